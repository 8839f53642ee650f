"""A node's journal as bytes (PROTOCOL.md of meshnode, section 4): a header, then fixed-length
records.

This is the one place that knows the layout.
"""

from __future__ import annotations

import struct

import numpy as np

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


def header(wire_id: bytes) -> bytes:
    """Return the first HEADER_BYTES of the journal of the node with this wire id (32 bytes)."""
    begin = MAGIC + struct.pack("<II", VERSION, RECORD.itemsize) + wire_id
    return begin.ljust(HEADER_BYTES, b"\0")


def record(kind: int, id_: bytes, at_ns: int, peer: bytes) -> bytes:
    """Return one record of a node that says neither outcome, hops nor size.

    `peer`: a wire id, or its beginning.
    """
    beginning = int.from_bytes(peer[:8], "little")
    return np.array((kind, 0, 0, 0, id_, at_ns, beginning), RECORD).tobytes()
