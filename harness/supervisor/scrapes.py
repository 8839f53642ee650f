"""What nodes tell of themselves once a second goes into the folder of a run, as the scraper hears
it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from harness.history.folder import RunFolder
from harness.history.metrics import SCRAPES, SERIES, VALUES, Files
from harness.redaction import redacted
from harness.systems.scraper.launcher import Scraper

WRITTEN_EVERY_S = 1.0


class Scrapes:
    """Writes what the scraper hears, from its making until `close`."""

    def __init__(
        self, scraper: Scraper, folder: RunFolder, failed: Callable[[str], None], t0_ns: int
    ) -> None:
        """`t0_ns`: when the run's clock says 0; `failed` hears what makes the record incomplete."""
        self._scraper, self._folder = scraper, folder
        self._lock = threading.Lock()
        self._heard_last: list[Mapping[str, Any]] = []
        self._written_s = time.monotonic()
        scraper.begin(t0_ns, self._heard, failed)

    def close(self) -> None:
        """Ask no more, and write what was heard last."""
        self._scraper.end()
        self._write()

    def _heard(self, said: Mapping[str, Any]) -> None:
        self._heard_last.append(said)
        if time.monotonic() - self._written_s >= WRITTEN_EVERY_S:
            self._write()

    def _write(self) -> None:
        with self._lock:
            heard, self._heard_last = self._heard_last, []
            self._written_s = time.monotonic()
            for name, batch in (
                (Files.SERIES, _series(heard)),
                (Files.VALUES, _values(heard)),
                (Files.SCRAPES, _scrapes(heard)),
            ):
                if batch.num_rows:
                    self._folder.append(name, batch)


def _series(heard: list[Mapping[str, Any]]) -> pa.RecordBatch:
    told = ((redacted(text), type_) for said in heard for text, type_ in said["new"])
    rows = [dict(zip(SERIES.names, one, strict=True)) for one in told]
    return pa.RecordBatch.from_pylist(rows, schema=SERIES)


def _values(heard: list[Mapping[str, Any]]) -> pa.RecordBatch:
    counts = [len(said["series"]) for said in heard]
    columns = [np.repeat([said[name] for said in heard], counts) for name in VALUES.names[:3]]
    columns += [
        np.array([one for said in heard for one in said[name]]) for name in ("series", "values")
    ]
    arrays = [
        pa.array(one.astype(field.type.to_pandas_dtype()))
        for one, field in zip(columns, VALUES, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=VALUES)


def _scrapes(heard: list[Mapping[str, Any]]) -> pa.RecordBatch:
    rows = [
        {**said, "series": len(said["series"]), "error": redacted(said["error"]) or None}
        for said in heard
    ]
    rows = [{name: row[name] for name in SCRAPES.names} for row in rows]
    return pa.RecordBatch.from_pylist(rows, schema=SCRAPES)
