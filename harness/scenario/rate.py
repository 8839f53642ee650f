"""A rate over time: ramps and steps, as points that straight lines connect. Pure.

`[[0, 100], [30, 1000]]` rises from 100 to 1,000 a second in 30 s and stays there; two points of one
time are a step; a rate of 0 is a pause, or the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadFileError

Point = tuple[float, float]  # seconds since the stream began, operations a second
SECONDS_MAX = 604_800.0
POINTS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A rate over time. Raises BadFileError for points that are none."""

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        seconds = [point[0] for point in self.points]
        if not 1 <= len(seconds) <= POINTS_MAX or seconds[0] != 0:
            raise BadFileError(
                f"rate_per_s: expected 1 to {POINTS_MAX:,} points [seconds, rate] of which the "
                f"first is at 0 s, found {[list(point) for point in self.points[:3]]}"
            )
        if seconds != sorted(seconds) or not 0 <= seconds[-1] <= SECONDS_MAX:
            raise BadFileError(
                f"rate_per_s: expected points in the order of time, at most {SECONDS_MAX:,.0f} s; "
                f"found {seconds}"
            )
        for _, rate in self.points:
            if not 0 <= rate < math.inf:
                raise BadFileError(f"rate_per_s: expected rates of 0 or more, found {rate}")
        if any(seconds.count(one) > 2 for one in seconds):
            raise BadFileError("rate_per_s: expected at most 2 points of one time, a step")

    @classmethod
    def parsed(cls, found: Sequence[Any]) -> Profile:
        """Return the profile of a list `[[seconds, rate], …]`. Raises BadFileError."""
        for point in found:
            if (
                not isinstance(point, list | tuple)
                or len(point) != 2
                or not all(type(number) in (int, float) for number in point)
            ):
                raise BadFileError(f"rate_per_s: expected points [seconds, rate], found {point!r}")
        return cls(points=tuple((float(at_s), float(rate)) for at_s, rate in found))

    @property
    def highest(self) -> float:
        """The highest rate, operations a second."""
        return max(rate for _, rate in self.points)

    def count(self, seconds: float) -> float:
        """Return how many operations are due in the first so many seconds."""
        at_s, rates, slopes, due = self._pieces()
        piece = int(np.searchsorted(at_s, seconds, "right")) - 1
        into_s = max(0.0, seconds - float(at_s[piece]))
        return float(due[piece] + into_s * (rates[piece] + slopes[piece] * into_s / 2))

    def moments_s(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return when these many operations are due, in seconds; infinite where never."""
        at_s, rates, slopes, due = self._pieces()
        piece = np.maximum(np.searchsorted(due, counts, "right") - 1, 0)
        more = counts - due[piece]
        # The root of slope/2 · t² + rate · t = more, in the form that no slope of 0 breaks.
        root = np.sqrt(np.maximum(rates[piece] ** 2 + 2 * slopes[piece] * more, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            into_s = np.where(more > 0, 2 * more / (rates[piece] + root), 0.0)
        return np.asarray(at_s[piece] + into_s, np.float64)

    def _pieces(self) -> tuple[NDArray[np.float64], ...]:
        """Return each piece's begin (s), its rate there, its slope, and what is due before it."""
        at_s, rates = np.array(self.points, np.float64).T
        lasts_s = np.diff(at_s)
        slopes = np.zeros(len(at_s))
        np.divide(np.diff(rates), lasts_s, out=slopes[:-1], where=lasts_s > 0)
        due = np.concatenate(([0.0], np.cumsum(lasts_s * (rates[:-1] + rates[1:]) / 2)))
        return at_s, rates, slopes, due
