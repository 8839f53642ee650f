"""A mergeable histogram of nanoseconds over the buckets of harness/stats.py, and its sparse form
for messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import stats


class Histogram:
    """Counts of nanoseconds. Mutable: one writer, merged by addition."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: stats.Integers = np.zeros(stats.BUCKETS, np.int64)

    def add(self, values_ns: stats.Integers) -> None:
        """Count an array of int64 nanoseconds; what is below 0 counts as 0."""
        if len(values_ns):
            self.counts += stats.counts_of(values_ns)

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts

    def clear(self) -> None:
        """Start from zero."""
        self.counts[:] = 0

    @property
    def count(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    @property
    def mean_us(self) -> float | None:
        """The mean in microseconds, to the width of a bucket; None where nothing was counted."""
        count = self.count
        return float(self.counts @ stats.VALUES) / count / 1e3 if count else None

    def percentile_us(self, quantile: float) -> float | None:
        """Nearest-rank percentile in microseconds; None where nothing was counted."""
        value = stats.percentile_of_counts(self.counts, quantile)
        return None if value is None else value / 1e3

    def to_wire(self) -> dict[str, bytes]:
        """The occupied buckets, small enough to send every second."""
        occupied = np.nonzero(self.counts)[0]
        return {
            "buckets": occupied.astype("<u2").tobytes(),
            "counts": self.counts[occupied].astype("<u8").tobytes(),
        }

    @classmethod
    def from_wire(cls, sent: dict[str, Any]) -> Histogram:
        """The histogram that `to_wire` made these values of."""
        histogram = cls()
        histogram.counts[np.frombuffer(sent["buckets"], "<u2")] = np.frombuffer(
            sent["counts"], "<u8"
        ).astype(np.int64)
        return histogram
