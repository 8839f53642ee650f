"""Whether the record is whole where an answer rests on it. A gap makes UNKNOWN: never FAIL, and
never PASS.

Rows of a budget ask by what their metric needs; of the other checks NEEDS says what each rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.checks.verdict import Answer, Cause, Finding
from harness.history.gaps import ALWAYS, EVERYTHING, Part, Parts
from harness.history.history import History, PhaseWindow
from harness.history.plan import Plan

# What each check takes of the record, beside ALWAYS; one that is not here takes everything.
NEEDS: Mapping[str, Parts] = {
    "nodes": frozenset(),
    "scope": frozenset({Part.OPERATIONS}),
    "convergence": frozenset({Part.OPERATIONS, Part.JOURNAL, Part.PLAN}),
    "delivery": frozenset({Part.OPERATIONS, Part.JOURNAL}),
    "load": frozenset({Part.OPERATIONS, Part.PLAN}),
    "faults": frozenset({Part.PROOFS, Part.PLAN}),
    "isolation": frozenset({Part.OPERATIONS, Part.JOURNAL, Part.FAULTS, Part.PROOFS}),
    "coverage-by-side": frozenset({Part.OPERATIONS, Part.JOURNAL, Part.FAULTS, Part.TOPOLOGY}),
    # What is there of operations shows that a fault met something, or does not.
    "non-vacuity": frozenset({Part.FAULTS}),
    "leaks": frozenset({Part.SAMPLES, Part.HOST}),
    "linearizability": frozenset({Part.OPERATIONS}),
    "membership": frozenset({Part.JOURNAL, Part.FAULTS, Part.TOPOLOGY}),
    "profiles": frozenset(),
    "ordered": frozenset({Part.OPERATIONS, Part.JOURNAL}),
    "register": frozenset({Part.OPERATIONS}),
    "register-by-side": frozenset({Part.OPERATIONS, Part.FAULTS, Part.TOPOLOGY}),
    "values": frozenset({Part.OPERATIONS}),
    "denials": frozenset({Part.OPERATIONS, Part.JOURNAL}),
    "phantoms": frozenset({Part.OPERATIONS, Part.JOURNAL}),
    "claims": frozenset(),  # it asks for each node by itself
}
# What must be whole for a miss to be the system's own, by the row's kind: the host is asked first.
EXCUSES: Mapping[str, Parts] = {
    "time": frozenset({Part.HOST}),
    "rate": frozenset({Part.HOST, Part.SAMPLES}),
    "byte rate": frozenset({Part.HOST, Part.SAMPLES}),
}
ASK_THEMSELVES = ("budget", "doubts", "record")  # of the first each row does
WHOLE = "record: whole"  # the finding that one says so by
# What no verdict can do without, whatever its rows need.
FOUNDATIONS = ALWAYS | {Part.BUDGET}


def check(history: History) -> list[Finding]:
    """One finding where a verdict cannot say which rows there are, or what was executed."""
    if lacking(history, FOUNDATIONS) is None:
        return []
    count = sum(gap.touches(FOUNDATIONS) for gap in history.gaps)
    return [
        Finding(
            name=WHOLE,
            answer=Answer.UNKNOWN,
            promised="no gap",
            measured=f"{count} gap{'s' * (count > 1)}",
            sentence=lacking(history, FOUNDATIONS) or "",
            cause=Cause.GAP,
        )
    ]


def lacking(
    history: History, needs: Parts, phase: PhaseWindow | None = None, node: str | None = None
) -> str | None:
    """Say what of the record is missing where it is needed; None where nothing is.

    `phase` None: of the whole run; `node` None: of all nodes.
    """
    window = {} if phase is None else {"begin_ns": phase.begin_ns, "end_ns": phase.end_ns}
    found = [gap.why for gap in history.gaps if gap.touches(needs, node=node, **window)]
    if not found:
        return None
    return found[0] + (f", and {len(found) - 1} more" if len(found) > 1 else "")


def plan(history: History) -> Plan | None:
    """Return the plan of a run; None where there is none, or it cannot be trusted."""
    return history.plan if lacking(history, ALWAYS | {Part.PLAN}) is None else None


def unsure(history: History, needs: Parts) -> str | None:
    """Say why a FAIL that rests on these parts may be the folder's own; None where it is not.

    A journal that was cut between two records shows only by a manifest.
    """
    if history.sealed or Part.JOURNAL not in needs:
        return None
    return "without a manifest nobody can tell whether its journals are as they were"


def excuse(
    history: History, needs: Parts, kind: str, phase: PhaseWindow, *, lost: bool
) -> str | None:
    """Say what is missing that could have excused a missed row; None where nothing is.

    `lost`: it was missed by what never arrived, and not by a time that was measured.
    """
    missing = lacking(history, EXCUSES.get(kind, frozenset()), phase)
    return unsure(history, needs) if missing is None and (lost or kind != "time") else missing


def needs_of(check_name: str) -> Parts | None:
    """What a check takes of the record, beside ALWAYS; None: it asks for itself."""
    return None if check_name in ASK_THEMSELVES else NEEDS.get(check_name, EVERYTHING)


def judged(history: History, finding: Finding, needs: Parts | None) -> Finding:
    """The finding of a check; UNKNOWN where a part of the record is missing that it needs."""
    if finding.answer is Answer.UNKNOWN or needs is None:
        return finding
    missing = lacking(history, needs | ALWAYS, history.phase(finding.phase))
    if missing is None and finding.answer is Answer.FAIL:
        missing = unsure(history, needs)
    if missing is None:
        return finding
    return replace(
        finding,
        answer=Answer.UNKNOWN,
        measured="–",
        sentence=missing,
        cause=Cause.GAP,
        value=None,
    )


def is_told(history: History, name: str) -> bool:
    """Whether some node told something by this name, at the end of some phase."""
    return any(name == key[2] for key in (*history.gauges, *history.histograms))
