"""Who judges: pure functions from a history, and the rows of a budget, to findings. One check a
file, one row in CHECKS, or in selection.TABLE where a scenario has to ask for it; the two that need
the rows are called by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from harness.checks import (
    asked,
    claims,
    convergence,
    delivery,
    denials,
    doubts,
    faults,
    isolation,
    load,
    nodes,
    phantoms,
    profiled,
    record,
    register,
    replay,
    scope,
    selection,
    time_limit,
    vacuity,
)
from harness.checks.check import Check
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history.history import History
from harness.scenario.budget import Row

# What every run is held to, whatever its budget; findings come in this order, after the budget's.
CHECKS: dict[str, Check] = {
    "convergence": convergence.check,
    "nodes": nodes.check,
    "delivery": delivery.check,
    "values": register.check_values,
    "denials": denials.check,
    "phantoms": phantoms.check,
    "claims": claims.check,
    "load": load.check,
    "doubts": doubts.check,
    "profiles": profiled.check,
    "faults": faults.check,
    "isolation": isolation.check,
    "non-vacuity": vacuity.check,
    "record": record.check,
}


def judge(history: History, rows: Sequence[Row]) -> Verdict:
    """Hold a history against the rows of its budget, against what every run is held to, and against
    the checks that its scenario asks for. A check that crashes is an UNKNOWN finding, never a pass;
    so is one whose record has a gap, and one that was asked for and had nothing to check.
    """
    history = _replayed(history)
    checks: dict[str, Check] = {
        "budget": lambda run: profiled.rows(run, rows),
        "scope": lambda run: scope.check(run, rows),
        **CHECKS,
    }
    found = {
        name: _held(history, name, partial(_run, name, check)) for name, check in checks.items()
    }
    for name in history.checks:
        if not found.get(name):
            names = {finding.name for some in found.values() for finding in some}
            found[name] = _held(history, name, partial(_run_selected, name, names))
    return Verdict(findings=tuple(finding for some in found.values() for finding in some))


def _run(name: str, check: Check, history: History) -> list[Finding]:
    return [record.judged(history, found, record.needs_of(name)) for found in check(history)]


def _run_selected(name: str, names: AbstractSet[str], history: History) -> list[Finding]:
    """Run a check that a scenario asks for, after those whose findings have these names; not where
    the system has no operation that it looks at.
    """
    if why := asked.unchecked(history, selection.word(name)):
        return [selection.not_asked(name, why)]
    limit_s = time_limit.CHECK_S if selection.is_foreign(name) else None
    with selection.aside(), time_limit.limited(limit_s):
        check = selection.load(name)
        needs = selection.needs(name, check)
        found = selection.findings(name, check(history), names)
    word = selection.word(name)
    return [asked.of_part(history, word, record.judged(history, one, needs)) for one in found]


def _held(history: History, name: str, run: Check) -> list[Finding]:
    try:
        return run(history)
    except (Exception, SystemExit) as error:  # the run was not judged by it, and says so
        return [
            Finding(
                name=name,
                answer=Answer.UNKNOWN,
                promised="a judgement",
                measured=type(error).__name__,
                sentence=f"the checker {name} broke: {type(error).__name__}: {error}",
                cause=Cause.CHECKER_BROKE,
            )
        ]


def _replayed(history: History) -> History:
    """The history with what its schedule shows to be missing. Where the schedule cannot be
    replayed, the check of the load breaks on it, and says so.
    """
    try:
        found = tuple(replay.gaps(history))
    except Exception:
        return history
    return history.with_gaps(found)
