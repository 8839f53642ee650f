"""The delivery ledger: what senders were told, against the journals of the witnesses. Nothing here
is the sender's word.

Which record of whom an operation needs stands in its file in operations/. Findings: what was
acknowledged and is not in the target's journal, is there twice, or is in another one's; what is not
in the journal of every other node; what was answered by the asker itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.checks import records
from harness.checks.metric import Chosen
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import RunEnded
from harness.history.history import History
from harness.operations import Operation
from harness.operations.operation import Ledger, Witness


def check(history: History) -> list[Finding]:
    """Findings of the whole run: gaps of the record, and the ledger of each operation that was
    acknowledged at least once.
    """
    if not history.ended:
        return [
            _unknown(
                "run complete",
                "the run to end",
                "cut short",
                "the run was cut short: what came after is not known",
            )
        ]
    findings = []
    if failures := _failures(history):
        findings.append(
            _unknown("record complete", "no gap", f"{len(failures)} gaps", "; ".join(failures[:3]))
        )
    for operation in Operation:
        ledger = operation.spec.ledger
        acknowledged = records.ended_ok(history, records.WHOLE_RUN, operation)
        if ledger is not None and acknowledged.any():
            wrong = _WRONG[ledger.witness](history, operation, ledger, acknowledged)
            name = ledger.finding.format(others=len(history.nodes) - 1)
            finding = _finding(name, int(acknowledged.sum()), wrong)
            findings.append(_exempted(finding, history.exempt.get(operation.word)))
    return findings


def _failures(history: History) -> list[str]:
    """What made the record incomplete, as the end of the run tells."""
    return [
        failure
        for event in history.events
        if isinstance(event, RunEnded)
        for failure in event.failures
    ]


def _exempted(finding: Finding, why: str | None) -> Finding:
    """The finding; where the system cannot be held to it, as no answer that says why."""
    if why is None:
        return finding
    measured = (
        finding.measured
        if finding.answer is Answer.PASS
        else f"{finding.measured} of {finding.promised.partition(' of ')[0]}"
    )
    return replace(
        finding,
        answer=Answer.MEASURED,
        promised="–",
        measured=measured,
        sentence=f"not held to it: {why}",
    )


# What is wrong with the acknowledged operations, by the witness that their ledger needs:
# description → how many of them.
Wrong = dict[str, int]


def _at_target(history: History, _: Operation, ledger: Ledger, acknowledged: Chosen) -> Wrong:
    """Each operation must have one record, and that at its target."""
    assert ledger.record is not None
    wanted = records.sortable(records.identifiers(history, acknowledged))
    ids, found = records.arrivals(history, ledger.record)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    seen = end - begin
    at = np.minimum(begin, max(len(found) - 1, 0))
    where = found["node"][at].astype(np.int64) if len(found) else np.full(len(wanted), -1)
    target, source = history.column("target")[acknowledged], history.column("source")[acknowledged]
    return {
        "acknowledged but in no journal": int((seen == 0).sum()),
        "delivered to another node": int(((seen > 0) & (where != target)).sum()),
        "delivered to the sender itself": int(((seen > 0) & (where == source)).sum()),
        "delivered more than once": int((seen > 1).sum()),
    }


def _at_every_other_node(
    history: History, operation: Operation, ledger: Ledger, acknowledged: Chosen
) -> Wrong:
    """Each operation must have a record at every node but its source."""
    assert ledger.record is not None
    others = len(history.nodes) - 1
    heard = records.receivers(history, records.WHOLE_RUN, operation, ledger.record)
    accepted = acknowledged[records.in_phase(history, records.WHOLE_RUN, operation)]
    short = sum(len(found) < others for (_, found), ok in zip(heard, accepted, strict=True) if ok)
    return {"not everywhere": short}


def _answered(history: History, _: Operation, __: Ledger, acknowledged: Chosen) -> Wrong:
    """Each answer must name the node that it came from, and that must not be the asker."""
    answered = history.column("answered_by")[acknowledged]
    source = history.column("source")[acknowledged]
    return {
        "answered by nobody named": int((answered < 0).sum()),
        "answered by the asker itself": int((answered == source).sum()),
    }


_WRONG: dict[Witness, Callable[[History, Operation, Ledger, Chosen], Wrong]] = {
    Witness.TARGET: _at_target,
    Witness.EVERY_OTHER_NODE: _at_every_other_node,
    Witness.ANSWERER: _answered,
}


def _finding(name: str, count: int, wrong: Wrong) -> Finding:
    all_of_them = f"{count:,} of {count:,}"
    found = [f"{number:,} {what}" for what, number in wrong.items() if number]
    return Finding(
        name=name,
        answer=Answer.FAIL if found else Answer.PASS,
        promised=all_of_them,
        measured=", ".join(found) if found else all_of_them,
        sentence="what the sender was told is not what happened"
        if found
        else "counted from the receivers' journals",
    )


def _unknown(name: str, promised: str, measured: str, sentence: str) -> Finding:
    return Finding(
        name=name,
        answer=Answer.UNKNOWN,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=Cause.NOT_MEASURED,
    )
