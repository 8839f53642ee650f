"""How fast a measured series rises, with an interval that correlated samples do not make too
narrow. Pure.

Samples a second apart repeat each other: what is tested are the troughs of a few dozen blocks of
time. A trough is the least value of a block, so a saw-tooth that is shorter than a block is flat.
The slope is the median of the slopes between all pairs of troughs of the same life (Theil 1950,
Sen 1968), and its interval and its test are those of Kendall's S (Mann 1945), summed over lives as
the regional Kendall test sums over places (Helsel and Frans 2006). S's variance is corrected for
ties, and for what troughs still repeat of each other (`kendall.inflation`).
`scipy.stats.theilslopes` knows neither lives nor correlation; of one life without correlation both
say the same (tests/unit/checks/test_slope.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from harness.checks import kendall, walk
from harness.checks.kendall import Floats, Troughs

BLOCKS = (48, 32, 24, 16)  # those are taken whose troughs tell the slope most sharply
BLOCK_S_LEAST = 5.0
BLOCKS_LEAST = 12  # of all lives; of fewer nobody can tell
BLOCKS_OF_LIFE_LEAST = 3
COVERED_LEAST = 0.5  # of a block lies between its first and last sample, or it is left out
WARM_UP_SHARE = 0.2  # of a life is left out: caches fill, and an allocator takes its pools
WARM_UP_S_LEAST, WARM_UP_S_MOST = 60.0, 1800.0
LEAST_S = WARM_UP_S_LEAST + BLOCKS_LEAST * BLOCK_S_LEAST  # of less nothing is told
AMPLE_S = BLOCKS[0] * BLOCK_S_LEAST  # without warm-ups: enough, where samples are
AMPLE_SAMPLES = 2 * BLOCKS[0]  # enough, where time is: what pauses leave of it may not be
SLOWS_BELOW = 0.5  # of the whole slope: what rises less in its latter half is a warm-up still
# What rises so much less in its latter half than in its former, but for this probability, eases.
EASES_BELOW, EASES_P = 0.75, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was sampled of one life of a process: times (s, rising) and values.

    Samples that were thinned must be the troughs of their stretches (`thinned`). `process` is what
    tells one life from another, its pid; None: nobody noted it.
    """

    at_s: Floats
    values: Floats
    process: int | None = None

    def __post_init__(self) -> None:
        if self.at_s.shape != self.values.shape or self.at_s.ndim != 1:
            raise ValueError(
                f"a life: expected as many times as values, found {self.at_s.shape} and "
                f"{self.values.shape}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """How fast a series rises, units a second; the interval is infinite where it says nothing.

    `p`: how likely troughs that do not rise faster than `least_per_s` look like these. `slows`: the
    latter half rises less than half as fast as the whole, or surely less than the former. `halves`:
    how fast the former half rises, and the latter. `repeats`: correlation of a trough with the
    next. `turns`: when its longest life's first trough was, the one that lies farthest from the
    line to the last, and the last (s from the first), and what they were. `is_uneven`: the interval
    is that of a walk (`_uneven`).
    """

    per_s: float
    low_per_s: float
    high_per_s: float
    p: float
    slows: bool
    halves: tuple[float, float]
    blocks: int
    block_s: float
    lives: int
    repeats: float
    last: float  # the newest trough
    turns: tuple[tuple[float, float], ...]
    is_uneven: bool

    @property
    def seconds(self) -> float:
        """How much time it is of, without warm-ups."""
        return self.blocks * self.block_s

    @property
    def is_bounded(self) -> bool:
        """Whether its interval says anything."""
        return math.isfinite(self.low_per_s) and math.isfinite(self.high_per_s)


def of(
    lives: Sequence[Life],
    *,
    confidence: float,
    least_per_s: float = 0.0,
    quantum: float = 0.0,
    is_counted: bool = False,
    warm_up_s: float | None = None,
) -> Slope | None:
    """Return the slope of a series over its lives; None where they are too short to tell.

    `confidence`: of the two-sided interval. `quantum`: the step in which the values come (one
    descriptor): a slope that makes less than one in all the time may not show, and the interval is
    so much wider. `is_counted`: each came by itself, and may have stayed (descriptors), so that the
    sum of what came may be told from a trend by how evenly it came (`_as_walk`); memory, which an
    allocator seldom gives back, cannot. `warm_up_s`: how much of the beginning of each life is left
    out; None: a fifth of it, one minute at least and half an hour at most.
    """
    settled = [one for one in (_settled(life, warm_up_s) for life in lives) if len(one.at_s) > 1]
    troughs = _troughs(settled, quantum, confidence)
    if troughs is None:
        return None
    slopes = kendall.pairwise(troughs)
    per_s = float(np.median(slopes))
    repeats = kendall.repeats(troughs.without(per_s))
    p = kendall.p(troughs.without(least_per_s), repeats)
    if is_counted:  # of two tests and intervals, each surer, the sharper one
        confidence, steps = (1 + confidence) / 2, walk.of(troughs.lives, troughs.quantum)
    repeated = 0.0 if troughs.without(per_s).is_flat else repeats
    low_per_s, high_per_s = kendall.interval(slopes, kendall.within(troughs, repeated, confidence))
    if is_counted:
        off_per_s = steps.off_per_s(confidence)
        if 2 * off_per_s < high_per_s - low_per_s:
            low_per_s, high_per_s = per_s - off_per_s, per_s + off_per_s
        p = min(2 * min(p, steps.p(per_s - least_per_s)), 1.0)
    is_uneven = math.isinf(high_per_s - low_per_s) and _are_enough(troughs, slopes, confidence)
    if is_uneven:
        low_per_s, high_per_s = _uneven(troughs, per_s, confidence)
    hidden_per_s = quantum / (troughs.count * troughs.block_s)
    by_chance = kendall.by_chance(troughs)
    if by_chance > (1 - confidence) / 2:
        low_per_s, high_per_s = min(low_per_s, 0.0), max(high_per_s, 0.0)
    former, latter = (_median(kendall.pairwise(half)) for half in troughs.halves())
    return Slope(
        per_s=per_s,
        low_per_s=low_per_s - hidden_per_s,
        high_per_s=high_per_s + hidden_per_s,
        p=max(p, by_chance),
        slows=math.isnan(latter) or latter < SLOWS_BELOW * per_s or _eases(troughs, former, latter),
        halves=(former, latter),
        blocks=troughs.count,
        block_s=troughs.block_s,
        lives=len(troughs.lives),
        repeats=repeats,
        last=float(troughs.lives[-1][1][-1]),
        turns=_turns(troughs),
        is_uneven=is_uneven,
    )


def _median(slopes: Floats) -> float:
    """Return the median, not a number where there is none."""
    return float(np.median(slopes)) if len(slopes) else math.nan


def _eases(troughs: Troughs, former: float, latter: float) -> bool:
    """Whether the latter half surely rises less than the former, and by a good deal."""
    if not latter < EASES_BELOW * former:
        return False
    eased = troughs.eased()
    repeats = kendall.repeats(eased.without(_median(kendall.pairwise(eased))))
    return kendall.p(eased, repeats) < EASES_P


def thinned(life: Life, every_s: float) -> Life:
    """Return the troughs of stretches of so long, each at the time it was sampled: what is to be
    kept of samples that are many.
    """
    if not len(life.at_s):
        return life
    stretch = np.floor((life.at_s - life.at_s[0]) / every_s).astype(np.int64)
    order = np.lexsort((life.values, stretch))
    chosen = order[np.unique(stretch[order], return_index=True)[1]]
    return replace(life, at_s=life.at_s[chosen], values=life.values[chosen])


def _settled(life: Life, warm_up_s: float | None) -> Life:
    """Return a life without its warm-up."""
    if not len(life.at_s):
        return life
    if warm_up_s is None:
        share_s = WARM_UP_SHARE * float(life.at_s[-1] - life.at_s[0])
        warm_up_s = min(max(share_s, WARM_UP_S_LEAST), WARM_UP_S_MOST)
    is_settled = life.at_s >= life.at_s[0] + warm_up_s
    return replace(life, at_s=life.at_s[is_settled], values=life.values[is_settled])


def _troughs(lives: Sequence[Life], quantum: float, confidence: float) -> Troughs | None:
    """Return the troughs of the blocks by which the slope is told most sharply: fine ones are of
    the flanks of a saw-tooth, and repeat each other. They are chosen by how troughs scatter about
    their line, not by how it rises; of those, where there are such, that are enough for an interval
    of this confidence: sixteen have none at one of two hundred series. None where there are too
    few.
    """
    total_s = sum(float(life.at_s[-1] - life.at_s[0]) for life in lives)
    found, sharpest = None, (True, math.inf)
    for count in BLOCKS:
        block_s = max(total_s / count, BLOCK_S_LEAST)
        made = tuple(one for one in (_blocks(life, block_s) for life in lives) if one is not None)
        troughs = Troughs(made, block_s, quantum)
        if troughs.count < BLOCKS_LEAST:
            break
        slopes = kendall.pairwise(troughs)
        residuals = troughs.without(float(np.median(slopes)))
        are_enough = _are_enough(troughs, slopes, confidence, kendall.repeats(residuals))
        sharpness = (not are_enough, _blur(residuals, confidence))
        if sharpness < sharpest:
            found, sharpest = troughs, sharpness
    return found


def _blur(residuals: Troughs, confidence: float) -> float:
    """Return to what the interval of a slope through these troughs is proportional."""
    away = [np.abs(values - np.median(values)) for _, values in residuals.lives]
    spread = sum(float(((at_s - at_s.mean()) ** 2).sum()) for at_s, _ in residuals.lives)
    repeats = kendall.repeats(residuals)
    error = math.sqrt(kendall.inflation(repeats, residuals.count) / spread)
    return (
        float(np.concatenate(away).mean())
        * error
        * kendall.quantile(residuals, repeats, confidence)
    )


def _blocks(life: Life, block_s: float) -> tuple[Floats, Floats] | None:
    """Return the times of a life's blocks, each the mean of its samples', and the troughs; None of
    one that is too short. What is left at the end is no block.
    """
    begin_s = float(life.at_s[0])
    # A hair more, or rounding takes a block whose last sample is the life's.
    count = int((float(life.at_s[-1]) - begin_s) / block_s + 1e-6)
    if count < BLOCKS_OF_LIFE_LEAST:
        return None
    at = np.minimum(((life.at_s - begin_s) / block_s).astype(np.int64), count)
    edges = np.searchsorted(at, np.arange(count + 1))
    times, troughs = [], []
    for begin, end in pairwise(edges.tolist()):
        if end <= begin:
            continue
        covered_s = float(life.at_s[end - 1] - life.at_s[begin])
        if end - begin > 1 and covered_s < COVERED_LEAST * block_s:
            continue
        times.append(float(life.at_s[begin:end].mean()) - begin_s)
        troughs.append(float(life.values[begin:end].min()))
    if len(times) < BLOCKS_OF_LIFE_LEAST:
        return None
    return np.array(times), np.array(troughs)


def _are_enough(troughs: Troughs, slopes: Floats, confidence: float, repeats: float = 0.0) -> bool:
    """Whether so many troughs would have an interval, if they repeated each other so much."""
    low_per_s, high_per_s = kendall.interval(slopes, kendall.within(troughs, repeats, confidence))
    return math.isfinite(low_per_s) and math.isfinite(high_per_s)


def _uneven(troughs: Troughs, per_s: float, confidence: float) -> tuple[float, float]:
    """Return the interval of troughs that wander so far that Kendall's S has none: that of a walk.
    It always holds 0, for in what wanders a rise is no news.
    """
    off_per_s = walk.widest_off_per_s(troughs.lives, troughs.quantum, confidence)
    return min(per_s - off_per_s, 0.0), max(per_s + off_per_s, 0.0)


def _turns(troughs: Troughs) -> tuple[tuple[float, float], ...]:
    """Return the first trough of the longest life, the one that lies farthest from the line to the
    last, and the last: times from the first, and troughs.
    """
    at_s, values = max(troughs.lives, key=lambda one: len(one[0]))
    line = np.interp(at_s, at_s[[0, -1]], values[[0, -1]])
    farthest = int(np.argmax(np.abs(values - line)))
    chosen = sorted({0, farthest, len(at_s) - 1})
    return tuple((float(at_s[at] - at_s[0]), float(values[at])) for at in chosen)
