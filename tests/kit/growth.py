"""A finished run folder's files grow once more, in another folder: cut at any byte, each file
behind the clock by a time of its own.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa

from harness.history import journal
from kit.run_folders import TIMELINE, at_ns

LAG_NS = 1_500_000_000  # the most that a writer is behind: less than harness.history.live allows
AT_END = ("manifest.json", "measurements.json")

Pieces = list[tuple[int, int]]  # (where a piece of a file ends, when it was written)


class Growth:
    """`grow` brings a folder to a moment of its run, `finish` to its end."""

    def __init__(self, finished: Path, into: Path, seed: int) -> None:
        self.into, self._finished, self._chance = into, finished, Random(seed)
        self._pieces: dict[str, Pieces] = {}
        self._sizes: dict[str, int] = {}
        for path in sorted(finished.rglob("*")):
            name = path.relative_to(finished).as_posix()
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and (of := _PIECES.get(path.suffix)) is not None:
                self._pieces[name] = list(of(path))
            elif path.is_file() and name not in AT_END:
                shutil.copy(path, into / name)

    def grow(self, now_ns: int) -> None:
        """Write what each writer had written by now, and a part of what follows."""
        for name, pieces in self._pieces.items():
            seen_ns = now_ns - self._chance.randrange(LAG_NS)
            place = bisect_right(np.maximum.accumulate([when for _, when in pieces]), seen_ns)
            begin = pieces[place - 1][0] if place else 0
            end = pieces[place][0] if place < len(pieces) else begin
            self._write(name, self._chance.randint(begin, max(begin, end - 1)))

    def scatter(self) -> None:
        """Bring each file to any length that it had, whatever the others have."""
        for name, pieces in self._pieces.items():
            self._write(name, self._chance.randint(self._sizes.get(name, 0), pieces[-1][0]))

    def finish(self) -> None:
        """Write all that is left."""
        shutil.copytree(self._finished, self.into, dirs_exist_ok=True)

    def _write(self, name: str, size: int) -> None:
        had = self._sizes.get(name, 0)
        if size > had or not had:
            with (self.into / name).open("ab") as file:
                file.write((self._finished / name).read_bytes()[had:size])
            self._sizes[name] = max(size, had)


def _lines(path: Path) -> Iterator[tuple[int, int]]:
    end = 0
    for line in path.read_bytes().splitlines(keepends=True):
        end += len(line)
        said = json.loads(line)
        if "at_ns" in said:
            yield end, said["at_ns"]
        elif "number" in said:  # a fault, before it first comes
            came = (one.at_s for one in TIMELINE.changes if one.fault.name == said["name"])
            yield end, at_ns(min(came))
        else:  # what nodes tell at a phase's end
            phase = next(one for one in TIMELINE.phases if one.name == said["phase"])
            yield end, at_ns(phase.end_s or 0)


def _batches(path: Path) -> Iterator[tuple[int, int]]:
    data = path.read_bytes()
    messages, batches = pa.BufferReader(data), pa.ipc.open_stream(data)
    when = 0
    while True:
        try:
            kind = pa.ipc.read_message(messages).type
        except EOFError:
            yield len(data), 2**62
            return
        if kind == "record batch":
            batch = batches.read_next_batch()
            times = batch.column("done_ns" if "done_ns" in batch.schema.names else "at_ns")
            when = max([when, *times.to_pylist()])
        yield messages.tell(), when


def _records(path: Path) -> Iterator[tuple[int, int]]:
    data = path.read_bytes()
    yield journal.HEADER_BYTES, 0
    for number, record in enumerate(np.frombuffer(data, journal.RECORD, -1, 64), 1):
        yield journal.HEADER_BYTES + number * journal.RECORD.itemsize, int(record["at_ns"])


_PIECES: dict[str, Callable[[Path], Iterator[tuple[int, int]]]] = {
    ".jsonl": _lines,
    ".arrow": _batches,
    ".bin": _records,
}
