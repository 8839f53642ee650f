"""What of a run its budget is about, and what of its load came true. Pure.

Rows promise; where none is about an operation, how many of it came true is said all the same, and
is UNKNOWN where some did not: nobody said whether that is good enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks import asked, faults, liveness, record, records, statistic
from harness.checks.metric import Chosen
from harness.checks.metrics import taken_over
from harness.checks.operation_metrics import SHARES, TIMES
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History
from harness.operations import Operation
from harness.scenario.budget import Row

BUDGET = "budget"
CAME_TRUE = "operations that came true: "  # and the word of the operation
NOTHING_ASKED = "load: something that the system can be asked"
RATE = "private_message.received"  # of a named node: what it did not receive makes it lower
FELT_BY_TIMES = ("max", "mean")  # statistics of times that one failed operation makes infinite
ERRORS_SAID = 5
FELT_BY_SHARES = ("min", "mean")  # of ones and zeroes, those that one zero more makes lower


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """One finding for the budget, unless its rows judge this run; and one for each operation that
    was sent.
    """
    mine = [row for row in rows if row.conditions.scenario in (None, history.name)]
    judging = [row for row in mine if not liveness.is_warm_up(history.phase(row.conditions.phase))]
    found = [_came_true(history, operation, judging) for operation in history.kinds]
    came_true = [finding for finding in found if finding is not None]
    about = _about(history, rows, mine, judging, is_loaded=bool(came_true))
    return [*about, *_unasked(history), *came_true]


def _about(
    history: History,
    rows: Sequence[Row],
    mine: Sequence[Row],
    judging: Sequence[Row],
    *,
    is_loaded: bool,
) -> list[Finding]:
    """Whether rows judged the run at all. Without a budget they did not, and the verdict is of what
    every run is held to, where anything was sent; a budget that is about other runs is a mistake,
    and one that is about other streams or the warm-up alone leaves nothing to say. `judging`: those
    of `mine` that are about more than that.
    """
    measured, cause = "not judged", None
    promises = [row for row in mine if row.bound is not None]
    if rows and not mine:
        measured, cause = f"0 of {len(rows)}", Cause.NOT_JUDGED
        sentence = f"0 of {len(rows)} rows are about this run: they name other scenarios"
    elif promises and all(asked.why_not(history, row) for row in promises):
        measured, cause = f"0 of {len(promises)}", Cause.NOT_JUDGED
        sentence = f"0 of {len(promises)} rows are about the streams of this run"
    elif promises and not any(
        row in judging and not asked.why_not(history, row) for row in promises
    ):
        measured, cause = f"0 of {len(promises)}", Cause.NOT_JUDGED
        sentence = f"0 of {len(promises)} rows are about more than the warm-up of this run"
    elif not is_loaded and all(row.bound is None for row in mine):
        cause = Cause.NOT_JUDGED
        sentence = "no row promises anything of this run, and nothing was sent: there is no verdict"
    elif not rows:
        sentence = "there is no budget: times, rates and resources were not judged"
    else:
        return []
    return [
        Finding(
            name=BUDGET,
            answer=Answer.MEASURED if cause is None else Answer.UNKNOWN,
            promised="–" if cause is None else "rows about this run",
            measured=measured,
            sentence=sentence,
            cause=cause,
        )
    ]


def _unasked(history: History) -> list[Finding]:
    """One finding where nothing was sent of all that was planned, for the system has none of these
    operations: nodes that are asked nothing keep what they promise.
    """
    plan = record.plan(history)
    other = None if plan is None else plan.other_system
    if plan is None or plan.streams or other is None or not other.streams:
        return []
    return [
        Finding(
            name=NOTHING_ASKED,
            answer=Answer.UNKNOWN,
            promised="a stream",
            measured="none",
            sentence=f"{other.has_no(other.words)}: nothing of what was planned could be asked",
            cause=Cause.NOT_JUDGED,
        )
    ]


def _came_true(history: History, operation: Operation, rows: Sequence[Row]) -> Finding | None:
    """How many of the operations that were sent came true; None where none was sent. A row says
    something of those only that it is taken from.
    """
    sent = records.in_phase(history, records.WHOLE_RUN, operation) & (history.column("sent_ns") > 0)
    count = int(sent.sum())
    if not count:
        return None
    failed = sent & ~records.ended_ok(history, records.WHOLE_RUN, operation)
    unjudged = failed & ~liveness.judged(history)
    covering, left = [], failed & ~unjudged
    for row in rows:
        if _feels(row, operation) and (mine := failed & _taken_from(history, row)).any():
            covering.append(row.name)
            left, unjudged = left & ~mine, unjudged & ~mine
    if not failed.any():
        answer, sentence = Answer.PASS, "each ended as it should, as its sender was told"
    elif unjudged.any() and failed.sum() == count:
        answer = Answer.UNKNOWN
        sentence = "none came true: that nothing wrong happened to them says nothing"
    elif not left.any():
        told = []
        if covering:
            told.append(f"the row {covering[0]!r} is about it{_said(history, failed)}")
        if unjudged.any():
            told.append(f"not judged {liveness.why_not(history, unjudged)}")
        answer, sentence = Answer.MEASURED, "; ".join(told)
    else:
        answer = Answer.UNKNOWN
        sentence = (
            f"{left.sum():,}{_phases(history, left)} did not{_most_common(history, left)}, and no "
            f"row of a budget says how many may fail"
        )
    return Finding(
        name=f"{CAME_TRUE}{operation.word}",
        answer=answer,
        promised="–" if answer is Answer.MEASURED else f"{count:,} of {count:,}",
        measured=f"{count - failed.sum():,} of {count:,}",
        sentence=sentence,
        cause=Cause.NOT_JUDGED if answer is Answer.UNKNOWN else None,
    )


def _taken_from(history: History, row: Row) -> Chosen:
    """Which operations a row's value is taken from: those due in its phases, of a row about a
    fault those that were due while it stood, and of a rate those to its node.
    """
    phase = history.phase(row.conditions.phase)
    windows = [] if phase is None else taken_over(history, row.metric, phase)
    if row.conditions.under is not None:
        windows = [faults.under(history, row.conditions.under, window) for window in windows]
    found = np.zeros(history.operations.num_rows, np.bool_)
    for window in windows:
        found |= records.due(history, window)
    node = row.conditions.node
    if row.metric == RATE and node is not None:
        found &= history.column("target") == (history.index(node) if node in history.nodes else -1)
    return found


def _feels(row: Row, operation: Operation) -> bool:
    """Whether the row promises something that failed operations can break: a single one makes its
    value worse. A row without a bound, and one whose bound no value misses, promise nothing; one
    that promises an exact share, as that none comes true, is about each of them.
    """
    if not row.metric.startswith(f"{operation.word}.") or row.bound is None:
        return False
    if row.metric in SHARES or (row.metric == RATE and row.conditions.node is not None):
        wants_more = row.comparison in (">", ">=") and row.bound > 0
        is_exact = row.comparison == "==" or (row.comparison == "<=" and row.bound == 0)
        return (wants_more or is_exact) and row.statistic in FELT_BY_SHARES
    wants_less = not statistic.wants_more_time(row)
    return wants_less and row.metric in TIMES and row.statistic in FELT_BY_TIMES


def _phases(history: History, failed: Chosen) -> str:
    """The phases that these were due in, as a part of a sentence; empty where they are the run's
    only one, or none.
    """
    names = [one.name for one in history.phases if (failed & records.due(history, one)).any()]
    return f" of phase {', '.join(names[:3])}" if names and len(history.phases) > 1 else ""


def _most_common(history: History, failed: Chosen) -> str:
    """What most of these were said to have met, as a part of a sentence; empty where nothing was
    said.
    """
    said = _errors(history, failed)
    return f" (most: {said[0][0]})" if said else ""


def _said(history: History, failed: Chosen) -> str:
    """What these were said to have met, as a part of a sentence; empty where nothing was said."""
    said = _errors(history, failed)
    told = "; ".join(f"{count:,} × {text}" for text, count in said[:ERRORS_SAID])
    more = f"; and {len(said) - ERRORS_SAID} more" if len(said) > ERRORS_SAID else ""
    return f": {told}{more}" if said else ""


def _errors(history: History, failed: Chosen) -> list[tuple[str, int]]:
    """What these were said to have met, and how many, most first."""
    counts = history.operations.column("error").filter(failed).drop_null().value_counts()
    said = [(str(one["values"]), int(one["counts"].as_py())) for one in counts]
    return sorted(said, key=lambda one: -one[1])
