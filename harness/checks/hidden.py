"""Why a row that was kept says nothing of the system: a slow host kept the promise, and not the
node. Pure.
"""

from __future__ import annotations

import numpy as np

from harness.checks import host, record, records, reference, statistic, taken
from harness.checks.host import STARVED_SHARE
from harness.checks.metric import Measured, Samples
from harness.checks.operation_metrics import SPEEDS, TIMES
from harness.checks.promises import missing
from harness.checks.resource_metrics import OF_IPERF3, waited, wanted
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Cause
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

HOST = frozenset({Part.HOST})
Why = tuple[Cause, str]


def by_the_host(history: History, row: Row, phase: PhaseWindow, kept: Measured) -> Why | None:
    """Why a row that was kept says nothing of the system; None where it does.

    Of what is to be little: others had the core that a node waited for, or the disks, with which it
    might have used more, or sent more, than is promised. Of a time that is to be long: it was long
    while others had the host. Of a share of what iperf3 carried: others kept that low.
    """
    if row.bound is None:
        return None
    if row.comparison in ("<", "<="):
        return _little(history, row, phase)
    if row.comparison not in (">", ">="):
        return None
    if row.metric == OF_IPERF3:
        return reference.lowered(history)
    return _long(history, row, phase, kept) if _is_time(row) else None


def _is_time(row: Row) -> bool:
    return row.metric in TIMES or (row.metric.startswith("node.") and row.kind == "time")


def _little(history: History, row: Row, phase: PhaseWindow) -> Why | None:
    said, of_disks = "", taken.mostly(history, phase)
    is_starved = waited(history, phase) >= STARVED_SHARE
    is_rate = row.kind in ("rate", "byte rate") or row.metric == OF_IPERF3
    if row.metric == "cpu":
        value, at = statistic.take(wanted(history, phase), history, row)
        is_starved = not row.holds(row.in_unit(value))
        said = f"; with what it waited for, it might have used {value:.0%} of one core{at}"
    elif not is_rate or row.metric in SPEEDS:
        return None
    if not is_starved and of_disks is None:
        return None
    if gap := record.lacking(history, HOST, phase):
        return Cause.GAP, gap
    used = host.use(history, phase)
    if is_starved and used is not None and used.is_of_others:
        return Cause.HOST_LIMITED, f"{used.sentence}{said}{host.busy(history, phase)}"
    return None if of_disks is None else (Cause.HOST_LIMITED, of_disks)


def _long(history: History, row: Row, phase: PhaseWindow, kept: Measured) -> Why | None:
    """Why times that are to be long say nothing: without those that were taken while others had the
    host, counted as if they were short, the promise does not hold.
    """
    if gap := record.lacking(history, HOST, phase):
        return Cause.GAP, gap
    slowed, said = host.slowed(history, phase)
    if not said:
        return None
    if isinstance(kept, Samples) and kept.of is not None:
        values = np.where(
            (slowed & records.due(history, phase))[kept.of], missing(row), kept.values
        )
        try:
            value, _ = statistic.take(Samples(values=values), history, row)
        except NoValueError:
            return None
        if row.holds(row.in_unit(value)):
            return None
        said += ", and what was under way then may be long by that alone"
    return Cause.HOST_LIMITED, said + host.busy(history, phase)
