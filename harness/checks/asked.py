"""Which rows of a budget are about streams that nobody asked for. Pure.

Somebody who picks streams by hand may leave some out, and the rows about these are then no part of
the verdict. Only where the run's record says so: of a scenario, whose author wrote load and budget
together, and of an older folder it says nothing, and such a row is UNKNOWN.
"""

from __future__ import annotations

from harness.checks import record
from harness.history.gaps import ALWAYS, Part
from harness.history.history import History
from harness.operations import Operation
from harness.scenario.budget import Row


def left_out(history: History, row: Row) -> str:
    """Say which stream that the row is about was left out of the run; empty where none was."""
    plan = history.plan
    if plan is None or record.lacking(history, ALWAYS | {Part.PLAN}) is not None:
        return ""
    out = plan.left_out - {stream.get("operation") for stream in plan.streams}
    missing = [
        operation.word
        for operation in _about(row)
        if operation.word in out and not (history.column("operation") == operation).any()
    ]
    return f"{' and '.join(missing)} was none of the streams of this run" if missing else ""


def _about(row: Row) -> list[Operation]:
    """The operations without which there is nothing that the row could be held to."""
    words = {row.metric.partition(".")[0]}
    if row.conditions.received_per_s is not None:
        words.add(Operation.PRIVATE_MESSAGE.word)
    return [operation for operation in Operation if operation.word in words]


def unplanned(history: History, row: Row) -> str:
    """Say, as the end of a sentence, of which of its streams the row's phase was to send nothing;
    empty where it was to, or where nothing says what was planned.
    """
    if history.plan is None or not history.plan.streams:
        return ""
    phase = row.conditions.phase
    planned = {one.get("operation") for one in history.plan.streams if one.get("phase") == phase}
    missing = [operation.word for operation in _about(row) if operation.word not in planned]
    return f": phase {phase} was to send no {' and no '.join(missing)}" if missing else ""
