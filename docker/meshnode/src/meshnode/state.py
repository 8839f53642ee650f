"""What survives a restart: DHT values and contacts, in one file that is either whole or set
aside.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import msgpack

FILE = "state.bin"
_MAGIC = b"MESHSTA1"


class TornState(Exception):  # noqa: N818 - a finding about a file, never fatal
    """A state file that is not what was written; it has been set aside."""


def save(directory: Path, data: dict[str, Any]) -> None:
    """Write `data` atomically (a kill leaves the old file or the new one). Raises OSError.

    Not synced to the disk: it must survive the death of a process, and after that of the machine
    the checksum tells.
    """
    body: bytes = msgpack.packb(data)
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / (FILE + ".new")
    temporary.write_bytes(_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body)
    temporary.replace(directory / FILE)


def load(directory: Path) -> dict[str, Any] | None:
    """What was saved, None where nothing was. Raises TornState for a torn or foreign file, which is
    renamed; OSError.
    """
    path = directory / FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    body = raw[12:]
    try:
        if raw[:8] != _MAGIC or raw[8:12] != zlib.crc32(body).to_bytes(4, "big"):
            raise ValueError("its checksum does not fit")
        data = msgpack.unpackb(body)
        if not isinstance(data, dict):
            raise ValueError("it holds no map")
    except ValueError as error:
        aside = directory / (FILE + ".torn")
        os.replace(path, aside)
        raise TornState(f"{path}: {error}; kept as {aside.name}") from error
    return data
