"""What a row needs of the record that this has not: a part of it, what a node used between the last
look at its process and the end of that, or by processes that came and went between two looks. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.checks import host, record, statistic
from harness.checks.metric import Bounded, Measured, PerNode
from harness.checks.metrics import METRICS, taken_over
from harness.checks.promises import shown
from harness.checks.resource_metrics import cpu_at_most
from harness.checks.verdict import Cause
from harness.history.gaps import ALWAYS, Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row
from harness.topology.quantities import number

ENDED = "for {} s nobody saw what was used by a process that was ended then"
UNCOUNTED = (
    "it has no control group (none can be made here), so that CPU time of processes which came and "
    "went between two looks is in no count, and others than the run's known ones used {} of a core"
)
HOST = frozenset({Part.HOST})


def gap(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """What the record lacks of that which the row needs; None where it lacks nothing."""
    metric = METRICS[row.metric]
    needs = ALWAYS | (metric.needs if row.conditions.process is None else HOST)
    if row.conditions.under is not None:
        needs |= {Part.PROOFS, Part.PLAN}
    if row.conditions.received_per_s is not None:
        needs |= METRICS["private_message.received"].needs
    windows: Sequence[PhaseWindow | None] = [None]
    if not metric.whole_run:
        windows = taken_over(history, row.metric, phase)
    node = row.conditions.node if metric.by_node else None
    found = (record.lacking(history, needs, one, node) for one in windows)
    return next((gap for gap in found if gap is not None), None)


class Unseen(NamedTuple):
    """What nobody saw of a row's value: the end of a sentence, empty where it is too little to be
    shown; `is_open`: with it the row might have another answer.
    """

    told: str = ""
    is_open: bool = False

    @property
    def doubt(self) -> tuple[Cause, str] | None:
        """Why the row's answer is not known; None where it is."""
        return (Cause.GAP, self.told.removeprefix("; ")) if self.is_open else None


def unseen(history: History, row: Row, phase: PhaseWindow, taken: Measured) -> Unseen:
    """What the nodes may have used of a core and nobody saw, for their processes ended since."""
    if isinstance(taken, Bounded):
        return _within(history, row, taken)
    if row.metric != "cpu" or row.statistic == "count":
        return Unseen()
    low = row.in_unit(statistic.take(taken, history, row)[0])
    at_most, seconds = cpu_at_most(history, phase)
    whys = [ENDED.format(number(seconds))] if seconds else []
    if history.uncounted:
        at_most, why = _with_uncounted(history, phase, at_most)
        whys.append(why)
    base, at = statistic.take(at_most, history, row)
    high = row.in_unit(base)
    if high <= low:
        return Unseen()
    is_open = row.bound is not None and (
        row.comparison == "==" or row.holds(low) != row.holds(high)
    )
    told = f"; up to {shown(row, high)}{at}: {'; and '.join(whys)}"
    is_seen = shown(row, high) != shown(row, low)
    return Unseen(told if is_open or is_seen else "", is_open)


def _with_uncounted(history: History, phase: PhaseWindow, at_most: PerNode) -> tuple[PerNode, str]:
    """What nodes used at most, where all that no known process used was what they started without a
    control group, and nobody saw; and the sentence of it.
    """
    used = host.use(history, phase)
    others = history.cores * (1.0 if used is None else used.other_processes)
    lacking = {at for at, name in enumerate(history.nodes) if name in history.uncounted}
    series = {at: one + others * (at in lacking) for at, one in at_most.series.items()}
    return replace(at_most, series=series), UNCOUNTED.format(f"{others:.0%}")


def _within(history: History, row: Row, taken: Bounded) -> Unseen:
    """What nobody knows of values of which only the bounds are known."""
    if row.bound is None:
        return Unseen()
    pairs = [
        (row.in_unit(low), row.in_unit(high))
        for low, high in statistic.bounds(taken, history, row).values()
    ]
    if row.comparison == "==":
        must = [low == high == row.bound for low, high in pairs]
        can = [low <= row.bound <= high for low, high in pairs]
    else:
        ends = [(row.holds(low), row.holds(high)) for low, high in pairs]
        must, can = [all(one) for one in ends], [any(one) for one in ends]
    if all(must) or not all(can):
        return Unseen()
    if any(math.isinf(high) for _, high in pairs):
        return Unseen("; it may be more: nobody saw what a node counted last before its end", True)
    return Unseen("; the bound lies inside a bucket, and a value there may be any of it", True)


def between(history: History, row: Row, taken: Bounded) -> tuple[str, float]:
    """Show between what the row's statistic lies at the worst node, and one of the ends: as bad as
    it can be, where that is a number.
    """
    pairs = statistic.bounds(taken, history, row)
    index, value = statistic.worst(pairs, row)
    (low, high), at = pairs[index], f" at {history.nodes[index]}"
    ends = [row.in_unit(one) for one in (low, high)]
    if math.isinf(high):
        return f"at least {shown(row, ends[0])}{at}", ends[0]
    if math.isinf(low):
        return f"at most {shown(row, ends[1])}{at}", ends[1]
    text = shown(row, ends[0]) if low == high else f"{shown(row, ends[0])} to {shown(row, ends[1])}"
    return f"{text}{at}", row.in_unit(value)
