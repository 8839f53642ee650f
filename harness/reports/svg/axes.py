"""Axes: where seconds and values lie in a picture, and their ticks. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MINUTES_FROM_S = 600  # from so long a run on, its axis counts minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """A plot from `left` to `right` and from `top` down to `floor`, in units of the view.

    `least` and `most` are the values at its floor and its top; `log`: equal factors are equally
    far apart.
    """

    left: float
    right: float
    top: float
    floor: float
    end_s: float
    least: float
    most: float
    log: bool = False

    def x(self, at_s: float) -> float:
        """Place a moment; what lies outside the run stands at its edge."""
        inside = min(max(at_s, 0.0), self.end_s)
        return self.left + inside / max(self.end_s, 1e-9) * (self.right - self.left)

    def xs(self, at_s: Floats) -> Floats:
        """Place moments."""
        inside = np.clip(at_s, 0.0, self.end_s)
        return self.left + inside / max(self.end_s, 1e-9) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Place a value."""
        return float(self.ys(np.array([value]))[0])

    def ys(self, values: Floats) -> Floats:
        """Place values; what is too small for a logarithmic axis stands on its floor."""
        if self.log:
            part = np.log(np.maximum(values, self.least) / self.least)
            share = part / math.log(self.most / self.least)
        else:
            share = (values - self.least) / (self.most - self.least)
        placed: Floats = self.floor - share * (self.floor - self.top)
        return placed


def scale(most: float) -> tuple[float, list[float]]:
    """Choose the top of an axis that holds `most`, and its ticks: steps of 1, 2 or 5 times a power
    of ten.
    """
    most = most if math.isfinite(most) and most > 0 else 1.0
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = math.ceil(most / step * 0.999)
    return count * step, [round(number * step, 12) for number in range(count + 1)]


def log_scale(least: float, most: float) -> tuple[float, float, list[float]]:
    """Choose floor and top of a logarithmic axis, and its ticks: powers of ten, and 2 and 5 times
    those where there are few.
    """
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    high = max(high, low + 1)
    factors = (1, 2, 5) if high - low <= 2 else (1,)
    step = max(1, -(-(high - low) // 6))
    ticks = [factor * 10.0**power for power in range(low, high, step) for factor in factors]
    return 10.0**low, 10.0**high, [float(f"{one:.6g}") for one in [*ticks, 10.0**high]]


def moments(end_s: float) -> list[tuple[float, str]]:
    """Choose the ticks of the time axis: (seconds, text)."""
    of_s, unit = (60.0, "min") if end_s >= MINUTES_FROM_S else (1.0, "s")
    ticks = scale(end_s / of_s)[1]
    return [(tick * of_s, f"{tick:,.10g} {unit}") for tick in ticks if tick * of_s <= end_s + 1e-9]


def span(parts: Sequence[Floats]) -> tuple[float, float]:
    """Find the lowest and the highest finite value; of nothing, 0 and 1."""
    finite = [part[np.isfinite(part)] for part in parts]
    there = [part for part in finite if len(part)]
    if not there:
        return 0.0, 1.0
    return min(float(part.min()) for part in there), max(float(part.max()) for part in there)
