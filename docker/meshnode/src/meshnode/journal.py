"""The journal: what happened to each message here, 40 bytes a record, written once a loop turn."""

import enum
import os
import struct

MAGIC = b"MESHJRNL"
VERSION = 1
HEADER_BYTES = 64
EARLY_MAX = 10_000  # records before the first begin
RECORD = struct.Struct("<BBHI16sq8s")


class Kind(enum.IntEnum):
    """What a record tells (PROTOCOL.md §4)."""

    PRIVATE_SENT = 1
    PRIVATE_DELIVERED = 2
    BROADCAST_STARTED = 3
    BROADCAST_DELIVERED = 4
    BROADCAST_DUPLICATE = 5
    BROADCAST_FORWARDED = 6
    DHT_STORED = 7
    DHT_ANSWERED = 8
    DROPPED = 9
    PRIVATE_RELAYED = 10
    FILE_DELIVERED = 11
    # 12 to 14 are of systems that are driven from outside.
    FILE_HASHED = 15
    CONNECTED = 16
    LINK_UP = 17
    LINK_DOWN = 18


def header(node_id: bytes) -> bytes:
    """The 64 bytes that a journal starts with."""
    return (MAGIC + struct.pack("<II", VERSION, RECORD.size) + node_id).ljust(HEADER_BYTES, b"\0")


class Journal:
    """Records gathered in memory and written by `flush`.

    Until the first `begin` the latest life's records are kept, EARLY_MAX of them: a node that is
    started during a run listens before it can be handed a file. After an `end` they cost nothing.
    """

    def __init__(self, node_id: bytes) -> None:
        self._node_id = node_id
        self._descriptor: int | None = None
        self._records: list[bytes] = []
        self._is_early = True

    def begin(self, descriptor: int, *, early: bool = False) -> bool:
        """Journal to `descriptor` from now on; it is this object's to close. With `early` what was
        kept before is written too; True if that is all there was. Raises OSError.
        """
        is_whole = early and self._is_early
        if not is_whole:
            self._records.clear()
        kept, self._records, self._is_early = self._records, [], False
        self.end()
        if os.fstat(descriptor).st_size == 0:
            os.write(descriptor, header(self._node_id))
        self._descriptor, self._records = descriptor, kept
        return is_whole

    def end(self) -> None:
        """Write what is left and close. Raises OSError where that fails; the journal is closed all
        the same.
        """
        try:
            self.flush()
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def add(
        self,
        kind: Kind,
        message_id: bytes,
        at_ns: int,
        *,
        peer: bytes = b"",
        size: int = 0,
        hops: int = 0,
        outcome: int = 0,
    ) -> None:
        """One record; `peer` is a node id, `message_id` is cut to 16 bytes (a DHT key has 32)."""
        if self._descriptor is not None or self._is_early:
            record = RECORD.pack(
                kind, outcome, min(hops, 0xFFFF), min(size, 0xFFFFFFFF), message_id, at_ns, peer[:8]
            )
            self._records.append(record)
            if self._descriptor is None and len(self._records) > EARLY_MAX:
                self._is_early = False
                self._records.clear()

    def flush(self) -> None:
        """Write the records gathered. Raises OSError (a full disk); they are given up then."""
        if not self._records or self._is_early:
            return
        data = memoryview(b"".join(self._records))
        self._records.clear()
        while data and self._descriptor is not None:
            data = data[os.write(self._descriptor, data) :]
