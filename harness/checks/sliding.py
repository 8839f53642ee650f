"""Sliding stretches: all stretches of one length that differ in what was due in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.history.history import Nanoseconds


@dataclass(frozen=True, slots=True)
class Sliding:
    """The stretches, in order: where each begins, and which operations were due in it, by their
    positions (from, to; the end is not in it).
    """

    begins_ns: Nanoseconds
    first: npt.NDArray[np.intp]
    last: npt.NDArray[np.intp]

    @property
    def counts(self) -> npt.NDArray[np.intp]:
        """How many operations were due in each."""
        return self.last - self.first

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The sum in each of what these operations have, or of how many it is true."""
        passed = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        found: npt.NDArray[np.float64] = passed[self.last] - passed[self.first]
        return found


def over(due: Nanoseconds, length_ns: int, begin_ns: int, end_ns: int) -> Sliding:
    """Return those between two moments; `due`: when operations were due, in order."""
    # What is in one changes only where an operation leaves it, or comes into it.
    edges = np.concatenate([[begin_ns], due + 1, due - length_ns + 1])
    begins = np.unique(edges[(edges >= begin_ns) & (edges <= end_ns - length_ns)])
    return Sliding(begins, np.searchsorted(due, begins), np.searchsorted(due, begins + length_ns))
