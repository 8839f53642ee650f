"""Tails read what is new in a file that is still written, and keep the little they need.

They are for whoever shows a run under way; who judges it reads it all (history/growing.py).
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.history import tables
from harness.history.proof import READ_BACK

HISTORY = 60  # samples of a node that are kept: a minute
ROUND_NS = 2_000_000_000  # looks at the nodes of one fault are one round, and rounds are further
PIECE = 1 << 24  # bytes that are read at a time: what somebody opens late is long
REST_MOST = 1 << 28  # bytes of a message that is not whole; what is longer is none


class Tail:
    """The bytes of a growing file that have not been read; none while it is not there."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        self._rest = b""

    def pieces(self) -> Iterator[bytes]:
        """Yield what is not used up yet with each new piece, to the end of the file; `keep` says
        what stays of it.
        """
        length = PIECE
        while length == PIECE:
            try:
                with self._path.open("rb") as file:
                    file.seek(self._at)
                    new = file.read(PIECE)
            except OSError:
                return
            length = len(new)
            self._at += length
            self._rest += new
            yield self._rest

    def has_lost(self) -> bool:
        """Whether what was read is no longer all there: the file is gone, or shorter."""
        try:
            return self._path.stat().st_size < self._at
        except OSError:
            return self._at > 0

    def keep(self, rest: bytes) -> None:
        """Keep this for the next time: it is not whole yet."""
        self._rest = rest


class Proofs:
    """The newest look at each thing of each fault: fault → (what, path) → its line. What is read
    back has the injector in place of a path: one that has its part does not speak for another. Of a
    fault of nodes it is the newest round of looks, of which none speaks for another either.
    """

    def __init__(self, run: Path) -> None:
        self._tail = Tail(run / "proofs.jsonl")
        self.newest: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self.answers: Counter[str] = Counter()  # how many looks so far had each answer

    def read(self) -> None:
        """Take in what is new."""
        for data in self._tail.pieces():
            *lines, rest = data.split(b"\n")
            self._tail.keep(rest)
            for line in filter(None, lines):
                proof = json.loads(line)
                self.answers[str(proof.get("answer"))] += 1
                mine = self.newest.setdefault(proof["fault"], {})
                of = (proof["backend"],) if proof["what"] == READ_BACK else proof["path"]
                if not of:
                    _forget(mine, proof["what"], proof["at_ns"] - ROUND_NS)
                    of = (proof["at_ns"], proof["sentence"])
                mine[proof["what"], *of] = proof


def _forget(looks: dict[tuple[Any, ...], dict[str, Any]], what: str, before_ns: int) -> None:
    """Forget looks at nodes of an earlier round."""
    old = [
        key
        for key, look in looks.items()
        if look["what"] == what and not look["path"] and look["at_ns"] < before_ns
    ]
    for key in old:
        del looks[key]


class Samples:
    """The last minute of samples of each node: index → rows as dicts, oldest first."""

    def __init__(self, run: Path) -> None:
        self._tail = Tail(run / "samples.arrow")
        self._schema: pa.Schema | None = None
        self.nodes: dict[int, deque[dict[str, Any]]] = {}

    def read(self) -> None:
        """Take in the batches that are whole. A batch has the samples of a second, so the last ones
        are enough.
        """
        newest: deque[pa.Message] = deque(maxlen=HISTORY)
        for data in self._tail.pieces():
            self._tail.keep(data[self._take(data, newest) :])
        for message in newest:
            assert self._schema is not None  # a stream begins with it
            for one in pa.ipc.read_record_batch(message, self._schema).to_pylist():
                self.nodes.setdefault(one["node"], deque(maxlen=HISTORY)).append(one)

    def _take(self, data: bytes, newest: deque[pa.Message]) -> int:
        """Add the batches that are whole; return how many bytes were used."""
        reader = pa.BufferReader(data)
        used = 0
        while True:
            try:
                message = pa.ipc.read_message(reader)
            except (EOFError, pa.ArrowInvalid, OSError):
                break
            if message.type == "schema":
                self._schema = pa.ipc.read_schema(message)
            elif message.type == "record batch":
                newest.append(message)
            used = int(reader.tell())
        return used


class Batches:
    """The record batches of an Arrow stream that is still written, each given once and not kept."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """`columns`: those that are read; the others are passed over."""
        self._tail, self._columns = Tail(path), list(columns)
        self._schema, self._dictionary = b"", b""  # messages that what comes later rests on
        self._fields: list[int] | None = None
        self.wrong = ""  # why nothing more is read: what is there is no such stream

    def new(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches that are whole and were not given yet, with the columns alone."""
        if not self.wrong and self._tail.has_lost():
            self.wrong = "what was read of it is gone"
        for data in self._tail.pieces():
            if self.wrong:
                self._tail.keep(b"")
                continue
            try:
                begin, end, newest = self._whole(data)
                if len(data) - end > REST_MOST:
                    raise ValueError(f"a message of more than {REST_MOST:,} bytes")
                stream = self._schema + self._dictionary + data[begin:end] + tables.END_OF_STREAM
                if end > begin:
                    yield from self._read(stream)
            except (pa.ArrowException, OSError, ValueError) as error:
                self.wrong = f"{type(error).__name__}: {str(error)[:80]}"
                continue
            self._tail.keep(data[end:])
            self._dictionary = newest

    def _whole(self, data: bytes) -> tuple[int, int, bytes]:
        """Where the whole messages of a piece begin and end, and the newest dictionary in them."""
        source = pa.BufferReader(data)
        begin, end, newest = 0, 0, self._dictionary
        with suppress(pa.ArrowException, OSError, EOFError):  # it is not whole yet
            while True:
                kind = pa.ipc.read_message(source).type
                message, end = data[end : source.tell()], source.tell()
                if kind == "schema":
                    self._schema, begin = message, end
                elif kind == "dictionary":
                    newest = message
        return begin, end, newest

    def _read(self, stream: bytes) -> Iterator[pa.RecordBatch]:
        if self._fields is None:
            schema = pa.ipc.open_stream(stream).schema
            self._fields = [schema.get_field_index(name) for name in self._columns]
            if -1 in self._fields:
                raise ValueError(f"expected the columns {', '.join(self._columns)}")
        options = pa.ipc.IpcReadOptions(included_fields=self._fields)
        yield from pa.ipc.open_stream(stream, options=options)
