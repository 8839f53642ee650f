"""Between what a statistic lies that nobody can tell exactly: of values that are counted by the
bucket that they fell in, and of a rate that was not seen to its end. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.checks.metric import Floats
from harness.checks.statistic import PERCENTILES, NoValueError, least
from harness.checks.verdict import Cause
from harness.stats import rank_of


@dataclass(frozen=True, slots=True)
class Between:
    """One value, which is at least `low` and at most `high`."""

    low: float
    high: float

    def of(self, statistic: str) -> tuple[float, float]:
        """See metric.Within."""
        if statistic == "count":
            return 1.0, 1.0
        if statistic in PERCENTILES:
            least(statistic, 1)
        return self.low, self.high


@dataclass(frozen=True, slots=True)
class Buckets:
    """How many values fell in each bucket, which holds those from `lows` to `highs`. `total`: their
    sum; nan where nobody tells it.
    """

    lows: Floats
    highs: Floats
    counts: Floats
    total: float = math.nan

    def of(self, statistic: str) -> tuple[float, float]:
        """See metric.Within. A percentile is by nearest rank."""
        behind = np.cumsum(self.counts)
        count = float(behind[-1])
        if statistic == "count":
            return count, count
        if not count:
            raise NoValueError(Cause.NOT_MEASURED, "nothing of this was measured in the phase")
        if statistic == "mean":
            if math.isnan(self.total):
                raise NoValueError(Cause.NOT_MEASURED, "nodes do not tell the sum, for a mean")
            return self.total / count, self.total / count
        if statistic in PERCENTILES:
            least(statistic, int(count))
            rank = rank_of(int(count), PERCENTILES[statistic])
        else:
            rank = 1 if statistic == "min" else int(count)
        at = int(np.searchsorted(behind, rank))
        return float(self.lows[at]), float(self.highs[at])
