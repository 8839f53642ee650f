"""The files of a run folder as the reader takes them, each read as far as it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from harness.history import journal, lines, tables
from harness.history.lines import Break
from harness.history.manifest import Content, Source

T = TypeVar("T")


class Files(Source):
    """The files of a run that is over, each read from its beginning to its end."""

    def lines(
        self, name: str, make: Callable[[Mapping[str, Any]], T]
    ) -> tuple[list[T], list[Break]]:
        """Return what was made of each JSON line, and the places that cannot be read."""
        return lines.read(name, self.open(name), make)

    def batches(self, name: str, schema: pa.Schema) -> tuple[list[pa.RecordBatch], str]:
        """Return the whole batches of an Arrow stream, and why there may be more."""
        return tables.read(name, self.open(name), schema)

    def journal(
        self, name: str, wire_id: bytes, begin_ns: int, end_ns: int
    ) -> tuple[journal.Records, list[journal.Torn], Content]:
        """Return a node's records, the places at which they are torn, and the file itself."""
        content = self.open(name)
        if not content.data.size and (not content.exists or content.wrong):
            return np.empty(0, journal.RECORD), [], content
        found = journal.read(memoryview(content.data), wire_id, begin_ns, end_ns)
        return *found, content
