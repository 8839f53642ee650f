"""Rows of two sides, each held against the other: which changed, how badly, and the answer. Pure.

A side is one or more runs. Whether a row changed, a permutation test over all rows says; by how
much, the ratio of the sides' centres and its interval (history/regression.py). The change says how
bad it is; the answer is PASS only where the interval leaves no room for a change that fails.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.checks.verdict import Answer
from harness.errors import UsageError
from harness.history import regression
from harness.history.regression import Values
from harness.topology.quantities import number

RUNS_MOST = 200  # that are ever proposed
HOST_LEVEL = 0.05  # at which others are held to have taken more of the host on one side
HOST_SHARE = 0.05  # of all its cores, and by so much at least


class Better(StrEnum):
    """Which way a row is better."""

    LOWER = "lower"
    HIGHER = "higher"
    SAME = "as it was"  # any change is worse
    NEITHER = "neither"  # a change is told, and is no failure


class Level(StrEnum):
    """How far a row that changed did."""

    NONE = "none"
    SAID = "said"
    WARNED = "warned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From which change on a row is said, warned of, failed (shares: 0.2 is 20 %), and how often a
    comparison of runs that do not differ may say that any row changed.
    """

    said: float = 0.05
    warned: float = 0.10
    failed: float = 0.20
    false_alarms: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.said <= self.warned <= self.failed:
            raise UsageError(
                "thresholds: expected 0 < said <= warned <= failed; found "
                f"{self.said:.1%}, {self.warned:.1%}, {self.failed:.1%}"
            )
        if not 0 < self.false_alarms < 1:
            raise UsageError(
                f"false alarms: expected between 0 and 100 %; found {self.false_alarms:.1%}"
            )

    def level(self, change: float) -> Level:
        """How far a change of this share goes."""
        steps = ((self.failed, Level.FAILED), (self.warned, Level.WARNED), (self.said, Level.SAID))
        return next((level for least, level in steps if change > least), Level.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one run said of a row. `value` in the row's unit, `inf` where it never came true, None
    where it is not known: `why` says so. `within`: what it would be with parts of the run drawn
    again; empty where that is not known.
    """

    value: float | None
    why: str = ""
    is_missed: bool = False
    within: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A row, and what each run of each side said of it."""

    phase: str
    name: str
    unit: str
    better: Better
    base: tuple[Told, ...]
    head: tuple[Told, ...]
    feels_host: bool = False  # others on the host make it worse


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A row of the comparison. Centres and the interval are None where they are not known;
    `change`, `low` and `high` are shares of base: 0.25 is a quarter more. `p`: at which level it
    changed, corrected over all rows.
    """

    phase: str
    name: str
    unit: str
    better: Better
    answer: Answer
    level: Level
    is_worse: bool
    sentence: str
    base: float | None = None
    head: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def compare(
    pairs: Sequence[Pair],
    thresholds: Thresholds,
    *,
    doubt: str = "",
    host: str = "",
) -> list[Compared]:
    """Compare the rows of two sides. `doubt`: why nothing can be said of any row; `host`: why
    nothing can be said of a row that feels the host.
    """
    known = [one for one in pairs if not _unknown(one)]
    values = [_values(one) for one in known]
    p_of: dict[int, float] = {}
    if known and sum(map(len, (known[0].base, known[0].head))) > 2:
        found = regression.levels([one for one, _ in values])
        p_of = {id(one): p for one, p in zip(known, found, strict=True)}
    made = {id(one): value for one, value in zip(known, values, strict=True)}
    compared = []
    for pair in pairs:
        if why := _unknown(pair):
            one = _row(pair, Answer.UNKNOWN, why)
        else:
            one = _compared(pair, *made[id(pair)], p_of.get(id(pair)), thresholds)
        if doubt and (one.answer is not Answer.UNKNOWN or one.change is not None):
            one = _in_doubt(one, doubt)
        elif host and pair.feels_host and one.answer is not Answer.UNKNOWN:
            one = _in_doubt(one, f"{one.sentence}, but {host}")
        compared.append(one)
    return compared


def _in_doubt(row: Compared, sentence: str) -> Compared:
    """The row, of which nothing can be said: its change is shown."""
    return replace(row, answer=Answer.UNKNOWN, level=Level.NONE, is_worse=False, sentence=sentence)


def host_differs(base: Sequence[float | None], head: Sequence[float | None]) -> str:
    """Say that others took another share of the host on one side than on the other, by what they
    took of it in each run; empty where that is not shown.
    """
    known = [[one for one in side if one is not None] for side in (base, head)]
    means = [sum(side) / len(side) if side else 0.0 for side in known]
    if abs(means[1] - means[0]) < HOST_SHARE:
        return ""
    if len(known[0]) == len(base) and len(known[1]) == len(head) and len(base) + len(head) > 2:
        values = Values(base=tuple(known[0]), head=tuple(known[1]))
        if regression.levels([values])[0] > HOST_LEVEL:
            return ""
    return f"others took {means[0]:.0%} of the host beside base, {means[1]:.0%} beside head"


def answer(rows: Sequence[Compared]) -> Answer:
    """The worst answer of all rows; UNKNOWN where none has one."""
    answers = {one.answer for one in rows}
    worst = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS)
    return next((one for one in worst if one in answers), Answer.UNKNOWN)


def _unknown(pair: Pair) -> str:
    """Why a row cannot be compared: runs that do not know it; empty where all do. A run that does
    not know may be one that was bad: the others of its side alone would tell too good a story.
    """
    for side, told in (("base", pair.base), ("head", pair.head)):
        lacking = [one for one in told if one.value is None]
        if lacking:
            why, count = Counter(one.why for one in lacking).most_common(1)[0]
            of = f"{len(lacking)} of {len(told)} runs" if len(told) > 1 else "the run"
            more = "" if count == len(lacking) else f" (in {count})"
            return f"UNKNOWN in {of} of {side}: {why}{more}"
    return ""


def _values(pair: Pair) -> tuple[Values, bool]:
    """What is tested of a row: its values; where some are infinite, which of them are."""
    base, head = ([one.value or 0.0 for one in side] for side in (pair.base, pair.head))
    is_lost = any(map(math.isinf, (*base, *head)))
    if is_lost:
        base, head = ([float(math.isinf(one)) for one in side] for side in (base, head))
    return Values(base=tuple(base), head=tuple(head)), is_lost


def _compared(
    pair: Pair, values: Values, is_lost: bool, p: float | None, thresholds: Thresholds
) -> Compared:
    base, head = len(pair.base), len(pair.head)
    is_shown = p is not None and p <= thresholds.false_alarms
    if is_lost:
        return _lost(pair, values, p, is_shown=is_shown)
    found = regression.change(values)
    low, high = found.low, found.high
    is_single = base == 1 and head == 1
    if is_single:
        low, high = _within(pair)
    change = found.ratio - 1
    row = _row(
        pair,
        Answer.UNKNOWN,
        "",
        base=found.base,
        head=found.head,
        change=_finite(change),
        low=_finite(low - 1),
        high=_finite(high - 1),
        p=p,
    )
    if is_single:
        return replace(row, sentence=_of_single(row))
    if math.isnan(change) or math.isnan(low):
        return replace(row, sentence=_from_nothing(is_shown=is_shown))
    return _answered(pair, row, thresholds, is_shown=is_shown)


def _answered(pair: Pair, row: Compared, thresholds: Thresholds, *, is_shown: bool) -> Compared:
    """The row with its level and answer, where there is a ratio."""
    base, head = len(pair.base), len(pair.head)
    change, low, high = row.change or 0.0, row.low or 0.0, row.high or 0.0
    is_worse = _is_worse(pair.better, change)
    level = thresholds.level(abs(change)) if is_shown else Level.NONE
    missed = _missed(pair)
    if pair.better is Better.NEITHER:
        level = min(level, Level.WARNED, key=list(Level).index)
        said = _change_said(row, level, is_worse=False) + missed
        return replace(row, answer=Answer.MEASURED, level=level, sentence=said)
    said = _change_said(row, level, is_worse=is_worse)
    row = replace(row, level=level, is_worse=is_worse and level is not Level.NONE)
    if is_worse and level is Level.FAILED:
        return replace(row, answer=Answer.FAIL, sentence=said + missed)
    reach = _reach(pair.better, low, high)
    least = regression.least(base, head)
    if least > thresholds.false_alarms:
        wanted = regression.runs_wanted(thresholds.false_alarms)
        why = (
            f"{base} and {head} runs cannot tell at a false-alarm rate of "
            f"{number(thresholds.false_alarms * 100)} %: {wanted} a side can"
        )
        return replace(row, sentence=why + missed)
    if reach > thresholds.failed:
        said += f"; {number(reach * 100, digits=2)} % for the worse is not excluded"
        said += _wanted(pair, row, thresholds)
        return replace(row, sentence=said + missed)
    return replace(row, answer=Answer.PASS, sentence=said + missed)


def _wanted(pair: Pair, row: Compared, thresholds: Thresholds) -> str:
    """Say how many runs a side would exclude it, if runs go on to differ as these do: an interval
    is as narrow as the root of their number is great.
    """
    change, reach = (row.change or 0.0), _reach(pair.better, row.low or 0.0, row.high or 0.0)
    worse = {Better.LOWER: change, Better.HIGHER: -change}.get(pair.better, abs(change))
    if worse >= thresholds.failed:
        return ""
    narrower = (reach - worse) / (thresholds.failed - worse)
    count = math.ceil(min(len(pair.base), len(pair.head)) * narrower**2)
    return f": about {count} runs a side may" if count <= RUNS_MOST else ""


def _reach(better: Better, low: float, high: float) -> float:
    """How far towards worse the interval goes."""
    if better is Better.LOWER:
        return high
    return -low if better is Better.HIGHER else max(high, -low)


def _is_worse(better: Better, change: float) -> bool:
    if better is Better.SAME:
        return change != 0
    return {Better.LOWER: change > 0, Better.HIGHER: change < 0}.get(better, False)


def _change_said(row: Compared, level: Level, *, is_worse: bool) -> str:
    if level is Level.NONE:
        return "no change shown"
    if row.better is Better.NEITHER:
        return "changed"
    return "worse" if is_worse else "better"


def _missed(pair: Pair) -> str:
    """Say that the row's own promise is kept by another share of runs than before."""
    base, head = (sum(one.is_missed for one in side) for side in (pair.base, pair.head))
    if base * len(pair.head) == head * len(pair.base):
        return ""
    return (
        f"; its promise was missed in {base} of {len(pair.base)} runs of base, in {head} of "
        f"{len(pair.head)} of head"
    )


def _of_single(row: Compared) -> str:
    if row.low is None:
        return "one run a side: no answer; no part of the phase can be looked at alone"
    return "one run a side: no answer; the interval is of what varied within the runs"


def _from_nothing(*, is_shown: bool) -> str:
    shown = "it changed" if is_shown else "no change shown"
    return f"{shown}; base is 0 in some runs or all: there is no ratio"


def _lost(pair: Pair, values: Values, p: float | None, *, is_shown: bool) -> Compared:
    """The row of which some values are infinite: what never arrived is worse than anything."""
    base, head = (sum(side) for side in (values.base, values.head))
    sizes = len(pair.base), len(pair.head)
    said = f"∞ in {base:.0f} of {sizes[0]} runs of base, in {head:.0f} of {sizes[1]} of head"
    is_worse = head / sizes[1] > base / sizes[0]
    if pair.better is Better.HIGHER:
        is_worse = not is_worse
    if not is_shown:
        return _row(pair, Answer.UNKNOWN, f"no change shown: {said}", p=p)
    if is_worse and pair.better is not Better.NEITHER:
        row = _row(pair, Answer.FAIL, f"worse: {said}", p=p)
        return replace(row, level=Level.FAILED, is_worse=True)
    return replace(_row(pair, Answer.PASS, f"better: {said}", p=p), level=Level.FAILED)


def _within(pair: Pair) -> tuple[float, float]:
    """The interval of one run a side, by what varied within each; NaN where that is not known."""
    base, head = pair.base[0].within, pair.head[0].within
    if not base or not head or min(*base, *head) < 0:
        return math.nan, math.nan
    return regression.within(base, head)


def _row(pair: Pair, answered: Answer, sentence: str, **more: float | None) -> Compared:
    return Compared(
        phase=pair.phase,
        name=pair.name,
        unit=pair.unit,
        better=pair.better,
        answer=answered,
        level=Level.NONE,
        is_worse=False,
        sentence=sentence,
        **more,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
