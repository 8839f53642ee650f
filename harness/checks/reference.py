"""What iperf3 carried, as a reference of what nodes receive: whether others on the host kept it
low. Pure.
"""

from __future__ import annotations

from harness.checks import host, record, taken
from harness.checks.resource_metrics import OF_IPERF3
from harness.checks.verdict import Cause
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row


def excuse(history: History, row: Row) -> tuple[Cause, str] | None:
    """Why a share of what iperf3 carried, that is more than was promised, says nothing of the node;
    None where it does.
    """
    return lowered(history) if row.metric == OF_IPERF3 and row.comparison in ("<", "<=") else None


def lowered(history: History) -> tuple[Cause, str] | None:
    """Why what iperf3 carried may be less than the path carries: others had the host, or its disks,
    in a phase in which it sent. None where it is not.
    """
    for phase in windows(history):
        if gap := record.lacking(history, frozenset({Part.HOST}), phase):
            return Cause.GAP, gap
        used, said = host.use(history, phase), taken.mostly(history, phase)
        if used is not None and used.limited:
            said = f"{used.sentence}{host.busy(history, phase)}"
        if said is not None:
            return Cause.HOST_LIMITED, f"while iperf3 sent, {said}"
    return None


def windows(history: History) -> list[PhaseWindow]:
    """The phases in which iperf3 sent; all of them where the folder does not tell which."""
    planned = () if history.plan is None else history.plan.phases
    names = {one.name for one in planned if one.has_iperf3}
    return [one for one in history.phases if not names or one.name in names]
