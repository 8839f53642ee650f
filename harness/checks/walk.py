"""How far a slope may be off where what comes stays: each step is by itself, and none comes back (a
random walk, whose values repeat each other wholly). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

OF_MEDIAN = 1.1  # error of the median slope of a walk ÷ that of its mean step (simulated)
# Of what goes up or down for some blocks on end, single steps tell too little: so many together.
TOGETHER = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far the slope of a walk may be off, units a second, and of how many steps that is."""

    error_per_s: float
    steps: float

    def off_per_s(self, confidence: float) -> float:
        """Return how far an interval reaches to either side."""
        from scipy.special import stdtrit  # a sixth of a second

        return self.error_per_s * float(stdtrit(self._freedom, (1 + confidence) / 2))

    def p(self, over_per_s: float) -> float:
        """How likely it rises so much faster than it does."""
        from scipy.special import stdtr

        if over_per_s <= 0 or self.error_per_s <= 0:
            return 1.0
        return float(stdtr(self._freedom, -over_per_s / self.error_per_s))

    @property
    def _freedom(self) -> float:
        return max(self.steps - 1, 1.0)


def of(lives: Sequence[tuple[Floats, Floats]], quantum: float, together: int = 1) -> Walk:
    """Return how far the slope of lives (times, values) may be off by how evenly they step, so many
    steps `together`. Of values that only scatter that is more than they are off.
    """
    seconds = sum(float(at_s[-1] - at_s[0]) for at_s, _ in lives)
    count = sum(len(values) - 1 for _, values in lives)
    steps = np.concatenate([values[together:] - values[:-together] for _, values in lives])
    # Whole steps are seen to no more than a twelfth of the square of one.
    square = (float(steps.var(ddof=1)) if len(steps) > 1 else 0.0) / together + quantum**2 / 12
    return Walk(OF_MEDIAN * math.sqrt(square * count) / seconds, count / together)


def widest_off_per_s(
    lives: Sequence[tuple[Floats, Floats]], quantum: float, confidence: float
) -> float:
    """Return how far an interval reaches to either side of the slope, whatever of a walk's steps
    follow each other.
    """
    return max(of(lives, quantum, some).off_per_s(confidence) for some in TOGETHER)
