"""What a row needs of the record that this has not: a part of it, or what a node used between the
last look at its process and the end of that. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from harness.checks import record, statistic
from harness.checks.metric import Bounded, Measured
from harness.checks.metrics import METRICS, taken_over
from harness.checks.promises import shown
from harness.checks.resource_metrics import cpu_at_most
from harness.checks.verdict import Cause
from harness.history.gaps import ALWAYS, Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row
from harness.topology.quantities import number

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
    base, at = statistic.take(at_most, history, row)
    high = row.in_unit(base)
    if high <= low:
        return Unseen()
    is_open = row.bound is not None and (
        row.comparison == "==" or row.holds(low) != row.holds(high)
    )
    told = f"; up to {shown(row, high)}{at}: for {number(seconds)} s nobody saw what was used by a "
    told += "process that was ended then"
    is_seen = shown(row, high) != shown(row, low)
    return Unseen(told if is_open or is_seen else "", is_open)


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
