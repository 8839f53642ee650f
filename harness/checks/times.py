"""Stretches of time, to be asked which others share a moment with one of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.metric import Chosen
from harness.history.history import Nanoseconds


@dataclass(frozen=True, slots=True)
class Times:
    """Stretches, both ends in them. `ends_ns` are in order; `begins_ns`: when the earliest begins
    of those that end then or later.
    """

    begins_ns: Nanoseconds
    ends_ns: Nanoseconds

    @classmethod
    def of(cls, stretches: Sequence[tuple[int, int]]) -> Times:
        """Make them of pairs, in any order: from, to."""
        begins_ns, ends_ns = np.array(stretches, np.int64).reshape(-1, 2).T
        order = np.argsort(ends_ns)
        earliest_ns = np.minimum.accumulate(begins_ns[order][::-1])[::-1]
        return cls(earliest_ns, ends_ns[order])

    def meet(self, since_ns: Nanoseconds, until_ns: Nanoseconds) -> Chosen:
        """Which of these other stretches, both ends in them, share a moment with one of them."""
        first = np.searchsorted(self.ends_ns, since_ns)
        found = first < len(self.ends_ns)
        found[found] = self.begins_ns[first[found]] <= until_ns[found]
        return found


def free(busy: Iterable[tuple[int, int]], within: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The stretches within one that are in none of the busy ones."""
    at_ns, over_ns = within
    for begin_ns, end_ns in sorted(busy):
        if at_ns < min(begin_ns, over_ns):
            yield at_ns, min(begin_ns, over_ns)
        at_ns = max(at_ns, end_ns)
    if at_ns < over_ns:
        yield at_ns, over_ns
