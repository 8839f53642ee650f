"""Trends: whether the values of a row drift over runs, or changed at one of them. Pure.

Two tests, both of the order of the values alone, so that the rate of false alarms is the one that
is asked for, whatever the noise is like, as long as one run's noise says nothing of the next one's:

- a drift: Kendall's tau of the values against their order, which is the test of Mann (1945,
  Econometrica 13) and Kendall, with its exact distribution where no two values are the same;
- a change at one run: the largest of all standardised Mann–Whitney statistics of the runs before
  against the runs after (Pettitt 1979, Applied Statistics 28; standardised as Ross, Tasoulis and
  Adams 2011, Technometrics 53), against the same of values in random order.

A row without a trend seems to have one with at most the probability `false_alarms`: of many rows
that are looked at together, some do. A change is *certain* where it stands also against all of them
(Benjamini and Hochberg 1995): where no row of a page has a trend, the page has a certain one with
at most that probability.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
FALSE_ALARMS = 0.01  # of a row; and, of what is certain, of a page
RUNS_LEAST = 6  # below which order says nothing: 2 of 720 orders of six are a whole drift
SIDE_LEAST = 3  # runs on each side of a change
WINDOWS = (10, 20, 40)  # newest runs that are looked at by themselves, beside all
BETTER = 0.8  # of what a line leaves over: a level and a line that leave less are better
ORDERS = 50_000  # random ones, of the test of a change: no p below 1 / 50,001
NO_DOUBT = 0.1  # a p above it is not looked at more closely
SEED = 20_261_130


class Kind(StrEnum):
    """What a change is like."""

    STEP = "step"  # another level from one run on
    DRIFT = "drift"  # a little in one direction each run


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed: from run `begin` on (of a drift: after it) until before `end`, numbers of the
    series. `before` and `after` are levels in the row's unit; `per_run` is a drift's slope in it.
    `is_certain`: it stands against all rows that were looked at together.
    """

    kind: Kind
    begin: int
    end: int
    p: float
    is_certain: bool = False
    before: float = math.nan
    after: float = math.nan
    per_run: float | None = None

    @property
    def share(self) -> float:
        """How much more it is than before: 0.2 is a fifth more; inf from nothing."""
        if self.after == self.before:
            return 0.0
        if self.before == 0 or not math.isfinite(self.after - self.before):
            return math.copysign(math.inf, self.after - self.before)
        return (self.after - self.before) / abs(self.before)


def look(many: Sequence[Sequence[float]], false_alarms: float = FALSE_ALARMS) -> list[list[Change]]:
    """Find what changed in each of many series, each the oldest value first.

    Values may be inf, and never nan. In a series in which nothing changes, something is found with
    a probability of at most `false_alarms`; something certain in any of them, where nothing changes
    in all, likewise.
    """
    series = [np.asarray(one, np.float64) for one in many]
    certain = _level([_p(one) for one in series if len(one) >= RUNS_LEAST], false_alarms) / 2
    found = [_levels(one, _find(one, false_alarms / 2)) for one in series]
    return [[replace(one, is_certain=one.p <= certain) for one in of] for of in found]


def _p(values: Floats) -> float:
    """How likely a series without a trend would seem to have one as much as this."""
    return min(1.0, 2 * min(drift_p(values), step_p(values)))


def _level(ps: Sequence[float], false_alarms: float) -> float:
    """The p up to which a series has a trend, by Benjamini and Hochberg; 0: none has."""
    allowed = [
        false_alarms * rank / len(ps)
        for rank, p in enumerate(sorted(ps), 1)
        if p <= false_alarms * rank / len(ps)
    ]
    return max(allowed, default=0.0)


def drift_p(values: Floats) -> float:
    """How likely values in random order go in one direction as much as these, or the newest of
    them, either way; two-sided.
    """
    count = len(values)
    if count < RUNS_LEAST or values.min() == values.max():
        return 1.0
    return _least([_kendall_p(values[-one:]) for one in _windows(count)])


def _windows(count: int) -> list[int]:
    return [*(one for one in WINDOWS if one < count), count]


def _least(ps: Sequence[float]) -> float:
    """The smallest of several p, as if it had been the only one that was looked at (Bonferroni)."""
    return min(1.0, len(ps) * min(ps))


def _kendall_p(values: Floats) -> float:
    if values.min() == values.max():
        return 1.0
    return float(stats.kendalltau(np.arange(len(values)), values).pvalue)


def step_p(values: Floats) -> float:
    """How likely values in random order differ before and after some run as much as these, or the
    newest of them, which another change before them does not hide.
    """
    return _least([_step_p(values[-one:]) for one in _windows(len(values))])


def _step_p(values: Floats) -> float:
    if len(values) < RUNS_LEAST or values.min() == values.max():
        return 1.0
    ranks = stats.rankdata(values)
    # A hair below: equal ones must count as equal.
    found = float(_apart(ranks[np.newaxis])[0]) * (1 - 1e-9)
    p = 1.0
    for orders in (ORDERS // 25, ORDERS):
        by_chance = _by_chance(tuple(np.sort(ranks).tolist()), orders)
        as_far = orders - int(np.searchsorted(by_chance, found, "left"))
        p = (1 + as_far) / (1 + orders)
        if p > NO_DOUBT:
            break
    return p


def _apart(ranks: Floats) -> Floats:
    """The largest standardised difference before and after a run, of each line of ranks."""
    count = ranks.shape[1]
    before = np.arange(SIDE_LEAST, count - SIDE_LEAST + 1)
    sums = np.cumsum(ranks - ranks[0].mean(), axis=1)[:, before - 1]
    largest: Floats = np.max(np.abs(sums) / np.sqrt(before * (count - before)), axis=1)
    return largest


@functools.lru_cache(maxsize=512)
def _by_chance(ranks: tuple[float, ...], orders: int) -> Floats:
    """The same of so many random orders of these ranks, the smallest first."""
    rng, lines = np.random.default_rng(SEED), ORDERS // 25
    found = [
        _apart(rng.permuted(np.tile(np.array(ranks), (lines, 1)), axis=1))
        for _ in range(orders // lines)
    ]
    return np.sort(np.concatenate(found))


def _find(values: Floats, level: float, at: int = 0) -> list[Change]:
    """Find the changes of a series whose tests have at most this p, in order; `at`: where in the
    whole series it begins.
    """
    count = len(values)
    if count < RUNS_LEAST:
        return []
    of_drift, of_step = drift_p(values), step_p(values)
    if min(of_drift, of_step) > level:
        return []
    window = min(_windows(count), key=lambda one: _step_p(values[-one:]))
    step, step_misfit = _best_step(_finite(values), count - window)
    bend, drift_misfit = _best_drift(_finite(values))
    if of_step > level or (of_drift <= level and drift_misfit <= step_misfit):
        drift = Change(kind=Kind.DRIFT, begin=at + bend, end=at + count, p=of_drift)
        return [*_find(values[:bend], level, at), drift]
    change = Change(kind=Kind.STEP, begin=at + step, end=at + count, p=of_step)
    return [*_find(values[:step], level, at), change, *_find(values[step:], level, at + step)]


def _finite(values: Floats) -> Floats:
    """The values; what never came lies above all others by as much as they lie apart."""
    there = values[np.isfinite(values)]
    if len(there) == len(values) or not len(there):
        return np.nan_to_num(values, posinf=1.0, neginf=-1.0)
    apart = there.max() - there.min() or 1.0
    return np.clip(values, there.min() - apart, there.max() + apart)


def _best_step(values: Floats, since: int) -> tuple[int, float]:
    """At which run two levels fit the values from `since` on best, and what they leave over of all,
    without signs.
    """
    misfits = {
        at: _off(values[since:at]) + _off(values[at:])
        for at in range(since + SIDE_LEAST, len(values) - SIDE_LEAST + 1)
    }
    best = min(misfits, key=misfits.__getitem__)
    return best, _off(values[:best]) + _off(values[best:])


def _off(values: Floats) -> float:
    """How far values are off their median, together."""
    return float(np.abs(values - np.median(values)).sum())


def _best_drift(values: Floats) -> tuple[int, float]:
    """From which run on a level that becomes a line fits best, and what it leaves over; from the
    first on, where a level before it is not clearly better.
    """
    at, misfits = np.arange(len(values), dtype=np.float64), {}
    for bend in range(len(values) - RUNS_LEAST + 1):
        line = np.column_stack([np.ones_like(at), np.maximum(at - bend, 0)])
        left = values - line @ np.linalg.lstsq(line, values, rcond=None)[0]
        misfits[bend] = float(np.abs(left).sum())
    best = min(misfits, key=misfits.__getitem__)
    best = best if misfits[best] < BETTER * misfits[0] else 0
    return best, misfits[best]


def _levels(values: Floats, changes: Sequence[Change]) -> list[Change]:
    """Say of each change from where to where it went, up to the next one."""
    found, since = [], 0
    for number, change in enumerate(changes):
        is_last = number + 1 == len(changes)
        end = len(values) if is_last else changes[number + 1].begin
        end = max(end, change.begin + SIDE_LEAST)  # of a step from which a drift begins
        if change.kind is Kind.DRIFT:
            end = min(end, change.end)
            found.append(_drifted(values, change, since, end))
        else:
            before, after = (
                _median(values[since : change.begin]),
                _median(values[change.begin : end]),
            )
            found.append(replace(change, end=end, before=before, after=after))
        since = change.begin
    return found


def _drifted(values: Floats, change: Change, since: int, end: int) -> Change:
    """A drift with its slope, which is that of Theil and Sen."""
    at, part = np.arange(change.begin, end), values[change.begin : end]
    there = np.isfinite(part)
    if there.sum() < 2:
        return replace(change, end=end, before=_median(values[since:end]), after=_median(part))
    slope, intercept, *_ = stats.theilslopes(part[there], at[there])
    before = float(intercept + slope * change.begin)
    if change.begin - since >= SIDE_LEAST:
        before = _median(values[since : change.begin])
    after = float(intercept + slope * (end - 1)) if there[-1] else math.inf
    return replace(change, end=end, before=before, after=after, per_run=float(slope))


def _median(values: Floats) -> float:
    """The middle value; the worse of two where one is endless."""
    ordered = np.sort(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(high) if math.isinf(high) or math.isinf(low) else float((low + high) / 2)
