"""Whether what runs measured has changed from one side to another, and by how much. Pure.

Runs are the unit: a run gives one value a row, and what varies within runs and between them is in
how these values differ. Two questions have an answer each:

- *Has anything changed?* A permutation test over runs: where the sides do not differ, the runs
  could as well have been dealt to them in any other way. The statistic of a row is Student's t of
  the logarithms, of which those that are far from all others are drawn nearer before anybody knows
  whose they are; over all rows it is the greatest, step by step (the step-down maxT procedure:
  Westfall and Young, Resampling-Based Multiple Testing, 1993; algorithm of Ge, Dudoit and Speed,
  TEST 12, 2003, box 2). So the chance that any row of a comparison is said to have changed, where
  none has, is at most the level, whatever the values' distribution is and however rows depend on
  each other.
- *By how much?* A side's centre is its pseudomedian, the median of the means of all pairs of its
  runs (Hodges and Lehmann, Estimates of Location Based on Rank Tests, Annals of Mathematical
  Statistics 34, 1963), on the logarithmic scale unless a value is 0: a few runs that something else
  slowed down do not move it. A bootstrap over runs gives the interval of the centres' ratio. Its
  percentiles are expanded to what Student's t asks for (Hesterberg, What Teachers Should Know About
  the Bootstrap, The American Statistician 69, 2015): plain ones are too narrow for a few runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Masks = npt.NDArray[np.bool_]

DEALS_MOST = 20_000  # ways of dealing runs to sides that are looked at; of more, so many by lot
DEALS_LEAST, DEALT_MOST = 2_000, 4_000_000  # of very many runs fewer, so that all fit the memory
RESAMPLES = 4_000  # of the bootstrap
CONFIDENCE = 0.95  # of a row's interval, which is not corrected over rows
FAR = 3 * 1.4826  # of the median distance from the median: 3 standard deviations of normal values
PAIRED_MOST = 40  # runs of a side whose pairs are looked at
SEED = 20_261_130  # of what is drawn: the same values get the same answer
DIGITS = 9  # of a ratio: what is beyond is of binary fractions
NEVER = 1e-12  # of the spread of all runs, below which there is none within sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What the runs of each side measured of a row, one finite value a run; 0 or more."""

    base: tuple[float, ...]
    head: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a row changed: `ratio` is head ÷ base, of the centres that `base` and `head` are; `low`
    and `high` are the ends of its interval. NaN where base is 0: there is no ratio.
    """

    base: float
    head: float
    ratio: float
    low: float
    high: float


def least(base: int, head: int) -> float:
    """Return the least level at which so many runs of each side can show that anything changed."""
    deals = math.comb(base + head, head)
    return (2.0 if base == head else 1.0) / deals


def runs_wanted(level: float) -> int:
    """Return how many runs each side takes to show a change at this level."""
    count = 2
    while least(count, count) > level:
        count += 1
    return count


def levels(rows: Sequence[Values]) -> list[float]:
    """Return for each row the level at which it has changed, corrected over these rows. All have
    values of the same runs; needs three runs at least.
    """
    if not rows:
        return []
    base = len(rows[0].base)
    scaled = np.array([_scaled(one) for one in rows])
    deals = _deals(base, scaled.shape[1] - base)
    sizes = np.abs(_student(scaled, deals))  # deal × row; the first is as it was
    found = sizes[0]
    order = np.argsort(-found, kind="stable")
    # Of the row with the least statistic on: the greatest of all rows that are not above it.
    greatest = np.maximum.accumulate(sizes[:, order[::-1]], axis=1)[:, ::-1]
    share = (greatest >= found[order] * (1 - 1e-9)).mean(axis=0)
    told = np.empty(len(rows))
    told[order] = np.maximum.accumulate(share)
    return [float(one) for one in told]


def change(values: Values) -> Change:
    """Return how a row changed, with the interval of a bootstrap over runs; of one run a side the
    interval is that value alone.
    """
    base, head = (np.array(side) for side in (values.base, values.head))
    rng = np.random.default_rng(SEED)
    drawn = [side[rng.integers(len(side), size=(RESAMPLES, len(side)))] for side in (base, head)]
    is_log = min(*values.base, *values.head) > 0
    means = [_centres(side[None, :], is_log=is_log)[0] for side in (base, head)]
    ratios = _ratios(*(_centres(side, is_log=is_log) for side in drawn))
    low, high = _ends(ratios, _outside(base, head, is_log=is_log))
    ratio = _ratios(np.array([means[0]]), np.array([means[1]]))[0]
    return Change(
        base=float(means[0]), head=float(means[1]), ratio=float(ratio), low=low, high=high
    )


def within(base: Sequence[float], head: Sequence[float]) -> tuple[float, float]:
    """Return the interval of head ÷ base by what single runs are when parts of them are drawn
    again: `base` and `head` are such values of each.
    """
    rng = np.random.default_rng(SEED)
    drawn = (np.array(side)[rng.integers(len(side), size=RESAMPLES)] for side in (base, head))
    return _ends(_ratios(*drawn), (1 - CONFIDENCE) / 2)


def student(confidence: float, freedom: int) -> float:
    """Return the quantile of Student's t, by its expansion around the normal one (Abramowitz and
    Stegun, Handbook of Mathematical Functions, 26.7.5): within 1 % from four degrees of freedom on
    at confidences up to 0.99 (one-sided 0.995).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _scaled(values: Values) -> Floats:
    """The values of all runs on the scale on which they are held against each other, none further
    from their median than FAR; whose they are has no part in it.
    """
    found = np.array([*values.base, *values.head])
    if found.min() > 0:
        found = np.log(found)
    middle = float(np.median(found))
    far = FAR * float(np.median(np.abs(found - middle)))
    return found.clip(middle - far, middle + far) if far else found


def _deals(base: int, head: int) -> Masks:
    """Which runs are head's in each way of dealing them, as they were first: all ways, or many."""
    count = base + head
    first = np.arange(count) >= base
    most = min(DEALS_MOST, max(DEALS_LEAST, DEALT_MOST // count))
    if math.comb(count, head) <= most:
        dealt = np.zeros((math.comb(count, head), count), np.bool_)
        for row, chosen in enumerate(combinations(range(count - 1, -1, -1), head)):
            dealt[row, list(chosen)] = True  # the first one is of the last runs: head's own
        return dealt
    rng = np.random.default_rng(SEED)
    return np.vstack([first, rng.permuted(np.tile(first, (most - 1, 1)), axis=1)])


def _student(rows: Floats, deals: Masks) -> Floats:
    """Student's t of each row under each deal."""
    count, head = rows.shape[1], int(deals[0].sum())
    centred = rows - rows.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    centred[total <= NEVER * (rows**2).sum(axis=1)] = 0.0  # the same in all runs
    total = (centred**2).sum(axis=1)
    summed = deals.astype(np.float64) @ centred.T
    between = summed**2 * (1 / head + 1 / (count - head))
    rest = np.maximum(total - between, NEVER * total)
    with np.errstate(invalid="ignore"):
        squared = np.where(total > 0, between / (rest / (count - 2)), 0.0)
    found: Floats = np.sign(summed) * np.sqrt(squared)
    return found


def _centres(drawn: Floats, *, is_log: bool) -> Floats:
    """The pseudomedian of each row of values; of many runs their median, which it comes near to."""
    scaled = np.log(drawn) if is_log else drawn
    if drawn.shape[1] <= PAIRED_MOST:
        first, second = np.triu_indices(drawn.shape[1])
        scaled = (scaled[:, first] + scaled[:, second]) / 2
    found: Floats = np.median(scaled, axis=1)
    return np.exp(found) if is_log else found


def _ratios(base: Floats, head: Floats) -> Floats:
    """Head ÷ base; 1 where both are 0, NaN where base alone is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(base > 0, head / base, np.where(head > 0, np.nan, 1.0))
    return found.round(DIGITS)


def _outside(base: Floats, head: Floats, *, is_log: bool) -> float:
    """Which share of the resamples lies beyond each end of the interval: as much as leaves it as
    wide as Student's t asks for.
    """
    spreads = []
    for side in (base, head):
        values = np.log(side) if is_log else side / (side.mean() or 1.0)
        spreads.append((float(values.var(ddof=1)) if len(side) > 1 else 0.0, len(side)))
    true = sum(spread / count for spread, count in spreads)
    drawn = sum(spread / count * (count - 1) / count for spread, count in spreads)
    freedom = len(base) + len(head) - 2
    if not drawn or not freedom:
        return (1 - CONFIDENCE) / 2
    return NormalDist().cdf(-student(CONFIDENCE, freedom) * math.sqrt(true / drawn))


def _ends(ratios: Floats, share: float) -> tuple[float, float]:
    if np.isnan(ratios).any():
        return math.nan, math.nan
    low, high = np.quantile(ratios, [share, 1 - share])
    return float(low), float(high)
