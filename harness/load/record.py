"""The raw record of one worker: ``load/operations-<worker>.arrow``, an Arrow IPC stream, one batch
about each second; and where it put or read values of the DHT, ``load/values-<worker>.arrow``, which
says under which key, and what was read.

Rows are gathered as tuples and turned into columns a few hundred at a time, because a second's
worth at once would stall the pacer that shares this process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import StorageError
from harness.history.history import OPERATIONS, VALUES
from harness.load.flight import Flight
from harness.operations import Outcome
from harness.operations.operation import ID_BYTES
from harness.stats import Integers

ERRORS_MAX = 1000  # different texts; more of them would be texts with ids inside
NO_ERROR = -1
# A gathered array has the columns of an operation in their order, all as integers: without its id,
# and with the error's code at the end.
COLUMNS = tuple(field for field in OPERATIONS if field.name not in ("id", "error"))
_NAMES = [field.name for field in COLUMNS]
OPERATION, OUTCOME = _NAMES.index("operation"), _NAMES.index("outcome")
PAYLOAD_BYTES = _NAMES.index("payload_bytes")
INTENDED_NS, SENT_NS, DONE_NS = map(_NAMES.index, ("intended_ns", "sent_ns", "done_ns"))
ERROR = len(COLUMNS)


class Record:
    """Writes the operations of one worker. Raises StorageError where the disk takes none."""

    def __init__(self, run: Path, *, worker: int, workers: int, seed: int) -> None:
        folder = run / "load"
        self._schema = OPERATIONS.with_metadata(
            {"version": "1", "worker": str(worker), "workers": str(workers), "seed": str(seed)}
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / f"operations-{worker}.arrow").open("wb")
        except OSError as error:
            raise StorageError(
                f"{folder}: the load's record cannot be written: {error.strerror}"
            ) from error
        self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._values_path = folder / f"values-{worker}.arrow"
        self._values: list[dict[str, bytes | None]] = []
        self._values_writer: Any = None  # opened for the first of them
        self._ids: list[bytes] = []
        self._rows: list[tuple[int, ...]] = []
        self._chunks: list[tuple[bytes, Integers]] = []
        self._error_codes: dict[str, int] = {}
        self.errors: list[str] = []
        # Arrow's first use takes 30 ms, which must not fall into the load.
        self._write(b"", np.zeros((0, len(COLUMNS) + 1), np.int64))

    def add(
        self,
        flight: Flight,
        outcome: Outcome,
        *,
        done_ns: int = 0,
        hops: int = -1,
        answered_by: int = -1,
        error: str | None = None,
    ) -> None:
        """Note the end of one operation."""
        self._ids.append(flight.id)
        self._rows.append(
            (
                flight.operation,
                flight.source,
                flight.target,
                flight.payload_bytes,
                flight.intended_ns,
                flight.sent_ns,
                done_ns,
                outcome,
                hops,
                answered_by,
                NO_ERROR if error is None else self._code(error),
            )
        )

    def note(self, flight: Flight, value: bytes | None) -> None:
        """Note the key of an operation that ended, and the value that it read, where that is told
        and long enough to begin with the id of the put that wrote it.
        """
        assert flight.key is not None
        read = None if value is None or len(value) < ID_BYTES else value[:ID_BYTES]
        self._values.append({"id": flight.id, "key": flight.key[:ID_BYTES], "value": read})

    def gather(self) -> Integers:
        """Turn the rows since the last call into an int64 array (rows × columns, see COLUMNS, the
        error's code last) and return it.
        """
        rows = np.array(self._rows, np.int64).reshape(-1, len(COLUMNS) + 1)
        if len(rows):
            self._chunks.append((b"".join(self._ids), rows))
            self._rows, self._ids = [], []
        return rows

    def write(self) -> None:
        """Write what was gathered as one batch."""
        self.gather()
        self._write_values()
        if not self._chunks:
            return
        ids = b"".join(chunk[0] for chunk in self._chunks)
        rows = np.concatenate([chunk[1] for chunk in self._chunks])
        self._chunks = []
        self._write(ids, rows)

    def _write(self, ids: bytes, rows: Integers) -> None:
        columns: list[Any] = [
            pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), len(rows), [None, pa.py_buffer(ids)]
            )
        ]
        columns += [
            pa.array(rows[:, at].astype(field.type.to_pandas_dtype()), field.type)
            for at, field in enumerate(COLUMNS)
        ]
        codes = pa.array(rows[:, ERROR].astype(np.int32), mask=rows[:, ERROR] == NO_ERROR)
        columns.append(pa.DictionaryArray.from_arrays(codes, pa.array(self.errors, pa.string())))
        try:
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self._file.name}: the load's record cannot be written: {error.strerror}"
            ) from error

    def _write_values(self) -> None:
        if not self._values:
            return
        batch = pa.RecordBatch.from_pylist(self._values, VALUES)
        self._values = []
        try:
            if self._values_writer is None:
                self._values_writer = pa.ipc.new_stream(str(self._values_path), VALUES)
            self._values_writer.write_batch(batch)
        except OSError as error:
            raise StorageError(
                f"{self._values_path}: the load's record cannot be written: {error.strerror}"
            ) from error

    def close(self) -> None:
        """Write the rest and end the streams."""
        self.write()
        if self._values_writer is not None:
            self._values_writer.close()
        self._writer.close()
        self._file.close()

    def _code(self, error: str) -> int:
        code = self._error_codes.get(error)
        if code is None:
            if len(self.errors) >= ERRORS_MAX:
                error = "another error (more than 1,000 different texts)"
            code = self._error_codes.setdefault(error, len(self.errors))
            if code == len(self.errors):
                self.errors.append(error)
        return code
