"""The manifest says how every file of a run folder was when the run was closed.

It holds the length of each file and the hash of each of its segments, so that of a file that was
cut or changed later the beginning that is whole can still be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.history import shape
from harness.kernel.files import replace_text

FILE = "manifest.json"
VERSION = 1
SEGMENT_BYTES = 16_384


def write(folder: Path) -> None:
    """Write the manifest of a folder, over every file that is there now. Raises OSError."""
    files = {
        path.relative_to(folder).as_posix(): _entry(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / FILE
    }
    made = {"version": VERSION, "segment_bytes": SEGMENT_BYTES, "files": files}
    replace_text(folder / FILE, json.dumps(made, indent=1) + "\n")


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"bytes": len(data), "segments": _hashes(data)}


def _hashes(data: bytes) -> list[str]:
    return [
        blake2b(data[at : at + SEGMENT_BYTES], digest_size=16).hexdigest()
        for at in range(0, len(data), SEGMENT_BYTES)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What may be believed of a file: its bytes, or their beginning.

    `exists`: whether it is there; `wrong`: why it is not what it was, empty where it is.
    """

    data: pa.Buffer
    exists: bool = True
    wrong: str = ""

    @property
    def text(self) -> bytes:
        """Return a copy of the bytes."""
        return bytes(self.data)


NOTHING = pa.py_buffer(b"")


class Source:
    """The files of a run folder, each held against the manifest as it is opened."""

    def __init__(self, folder: Path, *, has_manifest: bool) -> None:
        """`has_manifest`: whether the run was closed by a version that writes one."""
        self.folder = folder
        self.problem = ""  # why the manifest itself cannot be believed
        self._files: Mapping[str, Any] | None = None
        try:
            self._files = _read(folder / FILE)
        except FileNotFoundError:
            if has_manifest:
                self.problem = f"{FILE} is missing"
        except (OSError, ValueError, RecursionError) as error:
            self.problem = f"{FILE} cannot be read: {error}"

    @property
    def is_sealed(self) -> bool:
        """Whether there is a manifest to hold files against."""
        return self._files is not None

    def names(self, pattern: str) -> list[str]:
        """Name the files that fit a pattern: those that are there, and those that were."""
        there = {path.relative_to(self.folder).as_posix() for path in self.folder.glob(pattern)}
        were = {name for name in self._files or () if Path(name).match(pattern)}
        return sorted(there | were)

    def differences(self) -> list[str]:
        """Say which files are not as they were when the run was closed."""
        opened = map(self.open, self._files or ())
        return [content.wrong for content in opened if content.wrong]

    def open(self, name: str) -> Content:
        """Open a file; what differs from the manifest, and what comes after, is left out."""
        try:
            data = _mapped(self.folder / name)
        except FileNotFoundError:
            missing = self._files is not None and name in self._files
            return Content(
                data=NOTHING, exists=False, wrong=f"{name} is missing" if missing else ""
            )
        except OSError as error:
            return Content(data=NOTHING, wrong=f"{name} cannot be read: {error.strerror}")
        if self._files is None:
            return Content(data=data)
        if name not in self._files:
            return Content(data=NOTHING, wrong=f"{name} was not there when the run was closed")
        entry = self._files[name]
        whole = _whole_bytes(data, entry["segments"])
        if whole == data.size == entry["bytes"]:
            return Content(data=data)
        return Content(
            data=data.slice(0, whole),
            wrong=f"{name} is not as it was when the run was closed: {whole:,} of "
            f"{entry['bytes']:,} bytes are",
        )


def _read(path: Path) -> Mapping[str, Any]:
    """Read a manifest. Raises OSError, ValueError."""
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}")
    files = found.get("files")
    if found.get("segment_bytes") != SEGMENT_BYTES or not isinstance(files, dict):
        raise ValueError(f"expected files, in segments of {SEGMENT_BYTES} bytes")
    for name, entry in files.items():
        wanted = {"bytes": int, "segments": list[str]}
        if wrong := shape.misses({"files": entry}, {"files": wanted}):
            raise ValueError(f"{name}: {wrong}")
    return files


def _mapped(path: Path) -> pa.Buffer:
    if not path.stat().st_size:
        return NOTHING
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _whole_bytes(data: pa.Buffer, segments: list[str]) -> int:
    """Count the bytes before the first segment that differs."""
    view, whole = memoryview(data), 0
    for wanted in segments:
        part = view[whole : whole + SEGMENT_BYTES]
        if blake2b(part, digest_size=16).hexdigest() != wanted:
            break
        whole += len(part)
    return whole
