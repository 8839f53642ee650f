"""Who judges: pure functions from a history and a budget's rows to findings. One checker a file."""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks import delivery, faults, load, rows
from harness.checks.check import Checker
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history.history import History
from harness.scenario.budget import Row

CHECKERS: dict[str, Checker] = {
    "budget": rows.check,
    "delivery": delivery.check,
    "load": load.check,
    "faults": faults.check,
}


def judge(history: History, rows: Sequence[Row]) -> Verdict:
    """Hold a history against all checkers. A checker that crashes is an UNKNOWN finding, never a
    pass.
    """
    findings: list[Finding] = []
    for name, checker in CHECKERS.items():
        try:
            findings += checker(history, rows)
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
