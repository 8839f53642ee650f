"""A node's journal as bytes (PROTOCOL.md of meshnode, section 4): a header, then fixed-length
records.

This is the one place that knows the layout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
MAGIC, VERSION, HEADER_BYTES = b"MESHJRNL", 1, 64
RECORD = np.dtype(
    [
        ("kind", "u1"),  # operations.records.RecordKind
        ("outcome", "u1"),
        ("hops", "<u2"),
        ("size", "<u4"),
        ("id", "V16"),  # of the operation
        ("at_ns", "<i8"),  # CLOCK_MONOTONIC
        ("peer", "<u8"),  # the first 8 bytes of a wire id
    ]
)
# As a History holds it: with the index of the node whose journal it was.
JOURNAL = np.dtype([*((name, RECORD[name]) for name in RECORD.names or ()), ("node", "<u2")])

# The same, a record in one piece.
_OF_NODE = np.dtype([("record", RECORD), ("node", JOURNAL["node"])])


def put(records: Records, node: int, into: Records) -> None:
    """Copy the records of a node's journal, and the node's index, into as many of JOURNAL."""
    pieces = into.view(_OF_NODE)
    pieces["record"], pieces["node"] = records, node


def header(wire_id: bytes) -> bytes:
    """Return the first HEADER_BYTES of the journal of the node with this wire id (32 bytes)."""
    begin = MAGIC + struct.pack("<II", VERSION, RECORD.itemsize) + wire_id
    return begin.ljust(HEADER_BYTES, b"\0")


def whole_bytes(size: int) -> int:
    """Return how many of so many bytes of a journal are its header and whole records."""
    records = (size - HEADER_BYTES) // RECORD.itemsize
    return HEADER_BYTES + records * RECORD.itemsize if size >= HEADER_BYTES else 0


def record(kind: int, id_: bytes, at_ns: int, peer: bytes) -> bytes:
    """Return one record of a node that says neither outcome, hops nor size.

    `peer`: a wire id, or its beginning.
    """
    beginning = int.from_bytes(peer[:8], "little")
    return np.array((kind, 0, 0, 0, id_, at_ns, beginning), RECORD).tobytes()


_KINDS = 64  # more than there are, so that a later version's are read
_CERTAIN = 3  # so many sound records in a row are no chance
_SEARCHED_BYTES = 65_536  # behind a torn place


@dataclass(frozen=True, slots=True, kw_only=True)
class Torn:
    """A place at which a journal is torn, after so many of its records."""

    after: int
    why: str


def read(
    data: memoryview, wire_id: bytes, begin_ns: int, end_ns: int
) -> tuple[Records, list[Torn]]:
    """Read the records of a node's journal, and where it is torn.

    A record's time must lie between the two given. What a kill tore off is left out; a journal that
    goes on behind it is found again. Of one that is whole nothing is copied.
    """
    wrong = wrong_header(bytes(data[:HEADER_BYTES]), wire_id)
    if wrong:
        return np.empty(0, RECORD), [Torn(after=0, why=wrong)]
    return body(data[HEADER_BYTES:], begin_ns, end_ns)[:2]


def body(
    data: memoryview, begin_ns: int, end_ns: int, count: int = 0
) -> tuple[Records, list[Torn], int]:
    """Read what follows a header, or the first `count` records; also how many bytes are left over.

    The places are counted from the header on.
    """
    parts: list[Records] = []
    torn: list[Torn] = []
    at, size = 0, RECORD.itemsize
    while at < len(data):
        records = np.frombuffer(data, RECORD, (len(data) - at) // size, at)
        bad = np.nonzero(~_sound(records, begin_ns, end_ns))[0]
        whole = int(bad[0]) if len(bad) else len(records)
        parts.append(records[:whole])
        count += whole
        at += whole * size
        if at == len(data):
            break
        later = _next(data, at, begin_ns, end_ns)
        where = f"after {count:,} records"
        if later is None:
            torn.append(Torn(after=count, why=f"is torn {where}"))
            break
        torn.append(Torn(after=count, why=f"has {later - at} bytes {where} that are no record"))
        at = later
    if len(parts) == 1:
        return parts[0], torn, len(data) - at
    return (np.concatenate(parts) if parts else np.empty(0, RECORD)), torn, len(data) - at


def wrong_header(found: bytes, wire_id: bytes) -> str:
    """Say why a file does not begin as the journal of a node; empty where it does."""
    if not found:
        return "is empty"
    if len(found) < HEADER_BYTES or found[: len(MAGIC)] != MAGIC:
        return f"does not begin with {MAGIC.decode()}"
    if found[: len(MAGIC) + 8] != header(b"")[: len(MAGIC) + 8]:
        return "is of another version"
    return "" if found == header(wire_id) else "is the journal of another node"


def _sound(records: Records, begin_ns: int, end_ns: int) -> npt.NDArray[np.bool_]:
    kind, at_ns = records["kind"], records["at_ns"]
    sound: npt.NDArray[np.bool_] = (
        (kind > 0) & (kind < _KINDS) & (at_ns >= begin_ns) & (at_ns <= end_ns)
    )
    return sound


def _next(data: memoryview, at: int, begin_ns: int, end_ns: int) -> int | None:
    """Find where sound records begin again; None: nowhere."""
    size = RECORD.itemsize
    for start in range(at + 1, min(len(data) - size, at + _SEARCHED_BYTES) + 1):
        count = min(_CERTAIN, (len(data) - start) // size)
        if _sound(np.frombuffer(data, RECORD, count, start), begin_ns, end_ns).all():
            return start
    return None
