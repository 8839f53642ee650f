"""The gateway keeps a journal for a node (PROTOCOL.md of meshnode, section 4).

Its records say what the node saw; they are written once a turn of the loop.
"""

from __future__ import annotations

import os

from harness.history import journal


class Journal:
    """Appends records to the descriptor that `begin` was given; drops them while there is none."""

    def __init__(self, wire_id: bytes) -> None:
        self._wire_id = wire_id
        self._descriptor: int | None = None
        self._records: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether records are kept."""
        return self._descriptor is not None

    def begin(self, descriptor: int) -> bool:
        """Journal to `descriptor` from now on, which this object closes; return whether the file is
        a new one. Raises OSError; the descriptor is the caller's then.
        """
        self.end()
        is_new = os.fstat(descriptor).st_size == 0
        if is_new:
            os.write(descriptor, journal.header(self._wire_id))
        self._descriptor = descriptor
        return is_new

    def add(self, kind: int, id_: bytes, at_ns: int, *, peer: bytes = b"") -> bool:
        """Add one record; return True where it is the first since `flush`, which is then due."""
        if self._descriptor is None:
            return False
        self._records.append(journal.record(kind, id_, at_ns, peer))
        return len(self._records) == 1

    def flush(self) -> None:
        """Write the added records. Raises OSError (a full disk); the records are lost then."""
        data = memoryview(b"".join(self._records))
        self._records.clear()
        while data and self._descriptor is not None:
            data = data[os.write(self._descriptor, data) :]

    def end(self) -> None:
        """Write what is left and close the descriptor.

        It is closed also where writing fails, which raises OSError.
        """
        try:
            self.flush()
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
