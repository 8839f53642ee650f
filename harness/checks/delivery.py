"""The delivery ledger: what was acknowledged against what receivers' journals show. Nothing here is
the sender's word.

Findings: private messages acknowledged but not in the named receiver's journal, delivered twice, or
"delivered" to their own sender; broadcasts that the origin accepted and a node's journal does not
show; DHT gets answered by the asker itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from harness.checks import metrics
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, PhaseWindow
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario.budget import Row


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """Findings of the whole run, for the kinds of operation that it had."""
    del rows
    if not history.ended:
        return [
            _finding(
                "run complete",
                Answer.UNKNOWN,
                "the run to end",
                "cut short",
                "the run was cut short: what came after is not known",
                Cause.NOT_MEASURED,
            )
        ]
    window = PhaseWindow(name="all", begin_ns=0, end_ns=2**63 - 1)
    findings = []
    failures = [
        failure
        for event in history.events
        if event["event"] == "end"
        for failure in event.get("failures", [])
    ]
    if failures:
        findings.append(
            _finding(
                "record complete",
                Answer.UNKNOWN,
                "no gap",
                f"{len(failures)} gaps",
                "; ".join(failures[:3]),
                Cause.NOT_MEASURED,
            )
        )
    for operation, judge in _JUDGES.items():
        chosen = metrics.in_phase(history, window, operation) & (
            history.column("outcome") == Outcome.OK
        )
        if chosen.any():
            findings.append(_exempted(judge(history, chosen), history.exempt.get(operation.word)))
    return findings


def _exempted(finding: Finding, why: str | None) -> Finding:
    """A finding that the system cannot be held to is no answer, and says so."""
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


def _private_messages(history: History, chosen: npt.NDArray[np.bool_]) -> Finding:
    return _to_a_node(
        history, chosen, RecordKind.DELIVERED, "private messages: acknowledged and delivered"
    )


def _notifications(history: History, chosen: npt.NDArray[np.bool_]) -> Finding:
    return _to_a_node(
        history, chosen, RecordKind.NOTIFIED, "DHT listeners: told of the values put for them"
    )


def _to_a_node(history: History, chosen: npt.NDArray[np.bool_], kind: int, name: str) -> Finding:
    """What was sent to one node each, against the records of that kind: every one there, nowhere
    else, once.
    """
    wanted = metrics.sortable(metrics.identifiers(history, chosen))
    ids, records = metrics.arrivals(history, kind)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    seen = end - begin
    lost = int((seen == 0).sum())
    at = np.minimum(begin, max(len(records) - 1, 0))
    where = records["node"][at].astype(np.int64) if len(records) else np.full(len(wanted), -1)
    astray = int(((seen > 0) & (where != history.column("target")[chosen])).sum())
    itself = int(((seen > 0) & (where == history.column("source")[chosen])).sum())
    twice = int((seen > 1).sum())
    return _ledger(
        name,
        len(wanted),
        {
            "acknowledged but in no journal": lost,
            "delivered to another node": astray,
            "delivered to the sender itself": itself,
            "delivered more than once": twice,
        },
    )


def _broadcasts(history: History, chosen: npt.NDArray[np.bool_]) -> Finding:
    window = PhaseWindow(name="all", begin_ns=0, end_ns=2**63 - 1)
    every = metrics.in_phase(history, window, Operation.BROADCAST)
    others = len(history.nodes) - 1
    heard = [len(found) for _, found in metrics.receivers(history, window)]
    accepted = chosen[every]
    short = sum(1 for count, ok in zip(heard, accepted, strict=True) if ok and count < others)
    return _ledger(
        f"broadcasts: in the journals of all {others} other nodes",
        int(accepted.sum()),
        {"not everywhere": short},
    )


def _gets(history: History, chosen: npt.NDArray[np.bool_]) -> Finding:
    answered, source = history.column("answered_by")[chosen], history.column("source")[chosen]
    return _ledger(
        "DHT gets: answered by another node",
        int(chosen.sum()),
        {
            "answered by nobody named": int((answered < 0).sum()),
            "answered by the asker itself": int((answered == source).sum()),
        },
    )


def _ledger(name: str, count: int, wrong: dict[str, int]) -> Finding:
    found = {what: number for what, number in wrong.items() if number}
    if found:
        return _finding(
            name,
            Answer.FAIL,
            f"{count:,} of {count:,}",
            ", ".join(f"{number:,} {what}" for what, number in found.items()),
            "what the sender was told is not what happened",
        )
    return _finding(
        name,
        Answer.PASS,
        f"{count:,} of {count:,}",
        f"{count:,} of {count:,}",
        "counted from the receivers' journals",
    )


def _finding(
    name: str,
    answer: Answer,
    promised: str,
    measured: str,
    sentence: str,
    cause: Cause | None = None,
) -> Finding:
    return Finding(
        name=name,
        answer=answer,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=cause,
    )


_JUDGES = {
    Operation.PRIVATE_MESSAGE: _private_messages,
    Operation.BROADCAST: _broadcasts,
    Operation.DHT_GET: _gets,
    Operation.DHT_LISTEN: _notifications,
}
