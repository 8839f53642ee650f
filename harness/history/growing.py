"""The files of a run folder that is still written: each look reads what is new since the last.

Of an Arrow stream it takes whole messages, of a journal whole records, of JSON whole lines. That a
file goes on behind them is no gap: nobody has closed it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from harness.history import journal, lines, tables
from harness.history.files import Files
from harness.history.lines import Break
from harness.history.manifest import NOTHING, Content

T = TypeVar("T")


@dataclass(slots=True)
class _Lines:
    at: int = 0  # bytes read
    count: int = 0  # lines read
    found: list[Any] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)


@dataclass(slots=True)
class _Stream:
    at: int = 0  # bytes read
    schema: bytes = b""  # the message that begins it
    dictionary: bytes = b""  # the newest message of one: later batches rest on it
    batches: list[pa.RecordBatch] = field(default_factory=list)
    why: str = ""


@dataclass(slots=True)
class _Journal:
    at: int = 0  # bytes read; what follows a torn place is read again at each look
    parts: list[journal.Records] = field(default_factory=list)


class Growing(Files):
    """Keeps what it has read; `read_bytes` counts the bytes that it took from files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, has_manifest=False)
        self._files = None  # a manifest that is just being written says nothing yet
        self.problem = ""
        self.read_bytes = 0
        self._lines: dict[str, _Lines] = {}
        self._streams: dict[str, _Stream] = {}
        self._journals: dict[str, _Journal] = {}

    def lines(
        self, name: str, make: Callable[[Mapping[str, Any]], T]
    ) -> tuple[list[T], list[Break]]:
        """Return what was made of each whole line so far, and the places that cannot be read."""
        known = self._lines.setdefault(name, _Lines())
        new = self._after(name, known.at)
        if whole := new.rfind(b"\n") + 1:
            content = Content(data=pa.py_buffer(new[:whole]))
            found, breaks = lines.read(name, content, make, known.count + 1)
            before = len(known.found)
            known.breaks += [replace(one, after=one.after + before) for one in breaks]
            known.found += found
            known.at += whole
            known.count += new.count(b"\n")
        return list(known.found), list(known.breaks)

    def batches(self, name: str, schema: pa.Schema) -> tuple[list[pa.RecordBatch], str]:
        """Return the whole batches of an Arrow stream so far; why one of them cannot be used."""
        known = self._streams.setdefault(name, _Stream())
        new = self._after(name, known.at)
        before, end, newest = known.dictionary, 0, known.dictionary
        begin = 0
        source = pa.BufferReader(new)
        with suppress(pa.ArrowException, OSError, EOFError):  # it is not whole yet
            while True:
                kind = pa.ipc.read_message(source).type
                message, end = new[end : source.tell()], source.tell()
                if kind == "schema":
                    known.schema, begin = message, end
                elif kind == "dictionary":
                    newest = message
        if end > begin and not known.why:
            stream = known.schema + before + new[begin:end] + tables.END_OF_STREAM
            found, known.why = tables.read(name, Content(data=pa.py_buffer(stream)), schema)
            known.batches += found
        known.at, known.dictionary = known.at + end, newest
        return list(known.batches), known.why

    def journal(
        self, name: str, wire_id: bytes, begin_ns: int, end_ns: int
    ) -> tuple[journal.Records, list[journal.Torn], Content]:
        """Return a node's whole records so far, and the places at which they are torn."""
        known, size = self._journals.setdefault(name, _Journal()), journal.RECORD.itemsize
        new = self._after(name, known.at)
        torn: list[journal.Torn] = []
        if not known.at and len(new) >= journal.HEADER_BYTES:
            if wrong := journal.wrong_header(new[: journal.HEADER_BYTES], wire_id):
                torn = [journal.Torn(after=0, why=wrong)]
            else:
                known.at, new = journal.HEADER_BYTES, new[journal.HEADER_BYTES :]
        later = np.empty(0, journal.RECORD)
        if known.at:
            count = sum(map(len, known.parts))
            found, torn, left = journal.body(memoryview(new), begin_ns, end_ns, count)
            if torn and left < size and torn[-1].after == count + len(found):
                torn.pop()  # a record that is just being written
            sound = torn[0].after - count if torn else len(found)
            known.parts.append(found[:sound])
            known.at += sound * size
            later = found[sound:]
        records = np.concatenate([np.empty(0, journal.RECORD), *known.parts, later])
        return records, torn, Content(data=NOTHING)

    def _after(self, name: str, at: int) -> bytes:
        """The bytes of a file from a place on; none where it is not there yet."""
        try:
            with (self.folder / name).open("rb") as file:
                file.seek(at)
                new = file.read()
        except FileNotFoundError:
            return b""
        self.read_bytes += len(new)
        return new
