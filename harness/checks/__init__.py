"""Who judges: pure functions from a history, and the rows of a budget, to findings. One check a
file, one row in CHECKS; the two that need the rows are called by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks import (
    convergence,
    delivery,
    doubts,
    faults,
    load,
    nodes,
    record,
    replay,
    scope,
)
from harness.checks import rows as budget
from harness.checks.check import Check
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history.history import History
from harness.scenario.budget import Row

# What every run is held to, whatever its budget; findings come in this order, after the budget's.
CHECKS: dict[str, Check] = {
    "convergence": convergence.check,
    "nodes": nodes.check,
    "delivery": delivery.check,
    "load": load.check,
    "doubts": doubts.check,
    "faults": faults.check,
    "record": record.check,
}


def judge(history: History, rows: Sequence[Row]) -> Verdict:
    """Hold a history against the rows of its budget and against all checks. A check that crashes is
    an UNKNOWN finding, never a pass; so is one whose record has a gap.
    """
    history = _replayed(history)
    checks: dict[str, Check] = {
        "budget": lambda run: budget.check(run, rows),
        "scope": lambda run: scope.check(run, rows),
        **CHECKS,
    }
    findings: list[Finding] = []
    for name, check in checks.items():
        try:
            findings += [record.judged(history, name, found) for found in check(history)]
        except Exception as error:  # whatever broke, the run was not judged by it, and says so
            findings.append(
                Finding(
                    name=name,
                    answer=Answer.UNKNOWN,
                    promised="a judgement",
                    measured=type(error).__name__,
                    sentence=f"the checker {name} broke: {type(error).__name__}: {error}",
                    cause=Cause.CHECKER_BROKE,
                )
            )
    return Verdict(findings=tuple(findings))


def _replayed(history: History) -> History:
    """The history with what its schedule shows to be missing. Where the schedule cannot be
    replayed, the check of the load breaks on it, and says so.
    """
    try:
        found = tuple(replay.gaps(history))
    except Exception:
        return history
    return history.with_gaps(found)
