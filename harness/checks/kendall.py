"""Kendall's S of troughs: how likely they rise by chance, and the interval of their slope, where
they repeat each other. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

REPEATS_CAP = 0.95
FEW = 4  # troughs, of which correlation cannot be told


@dataclass(frozen=True, slots=True)
class Troughs:
    """Of each life the times of its blocks (s) and its troughs; they come in steps of `quantum`."""

    lives: tuple[tuple[Floats, Floats], ...]
    block_s: float
    quantum: float

    @property
    def count(self) -> int:
        return sum(len(at_s) for at_s, _ in self.lives)

    def without(self, per_s: float) -> Troughs:
        """Take a trend away from them."""
        return replace(self, lives=tuple((at, some - per_s * at) for at, some in self.lives))

    @property
    def is_flat(self) -> bool:
        """Whether most of them are the same: what a step early leaves, and hardly anything else."""
        away = np.concatenate([np.abs(some - np.median(some)) for _, some in self.lives])
        return float(np.median(away)) <= self.quantum / 2

    def halves(self) -> tuple[Troughs, Troughs]:
        """Return the former half of each life, and the latter."""
        former = tuple((at[: len(at) // 2], some[: len(at) // 2]) for at, some in self.lives)
        latter = tuple((at[len(at) // 2 :], some[len(at) // 2 :]) for at, some in self.lives)
        return replace(self, lives=former), replace(self, lives=latter)

    def eased(self) -> Troughs:
        """Return by how much less than the trough as far from the begin of the former half of its
        life each of the latter half is: that rises where the rise eases. Each is in one of them.
        """
        made = []
        for at, some in self.lives:
            half = len(at) // 2
            made.append((at[:half], some[:half] - some[len(at) - half :]))
        return replace(self, lives=tuple(made))


def pairwise(troughs: Troughs) -> Floats:
    """Return the slopes between all pairs of troughs of the same life."""
    found = [np.empty(0)]
    for at_s, values in troughs.lives:
        first, second = np.triu_indices(len(at_s), 1)
        found.append((values[second] - values[first]) / (at_s[second] - at_s[first]))
    return np.concatenate(found)


def variance(troughs: Troughs) -> float:
    """Return the variance of S without a trend, with ties (Kendall 1975), summed over lives."""
    total = 0.0
    for _, values in troughs.lives:
        ties = np.unique(values, return_counts=True)[1].astype(np.float64)
        for count, sign in ((np.array([len(values)], np.float64), 1.0), (ties, -1.0)):
            total += sign * float((count * (count - 1) * (2 * count + 5)).sum()) / 18
    return total


def repeats(residuals: Troughs) -> float:
    """Return the correlation of a trough with the next, of what a trend left: 0 at least. Short
    series show less of it than there is; (nr + 2) / (n − 4) makes up for that (van Giersbergen
    2005, as Hamed 2009 has it for this test). What is nearer to the trend than half a step of the
    values is on it: they cannot be nearer.
    """
    product = square = 0.0
    for _, values in residuals.lives:
        away = values - np.median(values)
        around = np.sign(away) * np.maximum(np.abs(away) - residuals.quantum / 2, 0.0)
        product += float((around[1:] * around[:-1]).sum())
        square += float((around * around).sum())
    if square <= 0 or product <= 0:
        return 0.0
    count = residuals.count
    if count <= FEW:
        return REPEATS_CAP
    return min((count * product / square + 2) / (count - FEW), REPEATS_CAP)


def inflation(repeats: float, count: int) -> float:
    """Return by how much correlation makes the variance of S larger: count ÷ effective count of an
    autoregressive series of the first order (Bayley and Hammersley 1946).
    """
    lags = np.arange(1, count)
    return float(1 + 2 * ((1 - lags / count) * repeats**lags).sum())


def by_chance(troughs: Troughs) -> float:
    """Return how likely a series that steps up as often as down, seldom, has never stepped down: by
    the number of levels that it stood at. Four steps are no trend, however clearly they show.
    """
    levels = sum(len(np.unique(values)) - 1 for _, values in troughs.lives)
    return 0.5**levels


def freedom(troughs: Troughs, repeats: float) -> float:
    """Return the degrees of freedom of S's estimated variance: how many troughs there are in
    effect, less the two of a line. With few, chance makes more than a normal distribution has.
    """
    return max(troughs.count / inflation(repeats, troughs.count) - 2, 1.0)


def quantile(troughs: Troughs, repeats: float, confidence: float) -> float:
    """Return how many deviations of S an interval takes to either side."""
    from scipy.special import stdtrit  # a sixth of a second

    return float(stdtrit(freedom(troughs, repeats), (1 + confidence) / 2))


def within(troughs: Troughs, repeats: float, confidence: float) -> float:
    """Return by how much S may vary without a trend."""
    square = variance(troughs) * inflation(repeats, troughs.count)
    return quantile(troughs, repeats, confidence) * math.sqrt(square)


def interval(slopes: Floats, within: float) -> tuple[float, float]:
    """Return the interval of the median of pairwise slopes (Sen 1968): by how many of them lie
    below and above, when S varies `within` so much.
    """
    ordered, count = np.sort(slopes), len(slopes)
    low, high = round((count - within) / 2) - 1, round((count + within) / 2)
    return (
        float(ordered[low]) if low >= 0 else -math.inf,
        float(ordered[high]) if high < count else math.inf,
    )


def p(residuals: Troughs, repeats: float) -> float:
    """Return how likely troughs without a trend rise as much as these, or more: Mann and Kendall's
    test, one-sided, with its correction for continuity.
    """
    from scipy.special import stdtr

    total = float(np.sign(pairwise(residuals)).sum())
    square = variance(residuals) * inflation(repeats, residuals.count)
    if total <= 0 or square <= 0:
        return 1.0
    return float(stdtr(freedom(residuals, repeats), (1 - total) / math.sqrt(square)))
