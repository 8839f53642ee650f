"""Operations of a run so far, by operation: counted in its record while that is written, and not
kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.errors import BadFileError
from harness.history import metadata
from harness.history.tail import Batches
from harness.operations import Operation, Outcome
from harness.stats import Integers

COLUMNS = ("operation", "intended_ns", "sent_ns", "done_ns", "outcome")
# Upper ends of the buckets of times, seconds; the last one is without end.
BOUNDS_S = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
_BOUNDS_NS = np.array([round(bound * 1e9) for bound in BOUNDS_S])


@dataclass(slots=True)
class Times:
    """How many times were up to each bound (the last: all others), and their sum."""

    counts: Integers = field(default_factory=lambda: np.zeros(len(BOUNDS_S) + 1, np.int64))
    sum_ns: int = 0

    def add(self, values_ns: Integers) -> None:
        """Count times; what is below 0 counts as 0."""
        values_ns = np.maximum(values_ns, 0)
        buckets = np.searchsorted(_BOUNDS_NS, values_ns, side="left")
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.sum_ns += int(values_ns.sum())


@dataclass(slots=True)
class Count:
    """One operation. `response` = done − intended of what ended OK, `lag` = sent − intended of what
    was sent, both of what has ended.
    """

    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    sent: int = 0
    response: Times = field(default_factory=Times)
    lag: Times = field(default_factory=Times)


class Counts:
    """The operations of one run; `wrong` says why they cannot be told."""

    def __init__(self, run: Path) -> None:
        self._run, self._folder = run, run / "load"
        self._files: dict[Path, Batches] = {}
        self._counts: dict[int, Count] = {}
        self.wrong = ""

    def read(self) -> dict[str, Count]:
        """Count what is new; return all so far by the operation's word, none once it is wrong."""
        for path in self._folder.glob("operations-*.arrow"):
            if path not in self._files:
                self._files[path] = Batches(path, COLUMNS)
        for path, batches in sorted(self._files.items()):
            for batch in batches.new():
                self._add(batch)
            self.wrong = self.wrong or (batches.wrong and f"{path}: {batches.wrong}")
        if self.wrong:
            return {}
        known = {int(each): each.word for each in self._kinds()}
        return {known[each]: count for each, count in self._counts.items() if each in known}

    def _kinds(self) -> tuple[Operation, ...]:
        """The operations that numbers of the run may mean."""
        try:
            return metadata.kinds(metadata.read(self._run))
        except BadFileError:  # it is not told yet
            return tuple(Operation)

    def _add(self, batch: pa.RecordBatch) -> None:
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS}
        for each in np.unique(columns["operation"]):
            of = columns["operation"] == each
            intended, sent, done, outcome = (columns[name][of] for name in COLUMNS[1:])
            count = self._counts.setdefault(int(each), Count())
            for one in Outcome:
                count.outcomes[one] += int((outcome == one).sum())
            is_ok, was_sent = outcome == Outcome.OK, sent > 0
            count.sent += int(was_sent.sum())
            count.response.add(done[is_ok] - intended[is_ok])
            count.lag.add(sent[was_sent] - intended[was_sent])
