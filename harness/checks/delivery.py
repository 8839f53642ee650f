"""The delivery ledger: what senders were told, against the journals of the witnesses. Nothing here
is the sender's word.

Which record of whom an operation needs stands in its file in operations/. What was acknowledged is
the denominator. Findings: what was acknowledged and is not in the target's journal, is there twice,
is in another one's, or with another size or hash; what is not in the journal of every other node
that ran, or twice in one; what no other node stored, answered or met; what was done before it was
sent. What was not acknowledged need not arrive, but twice or at another node it must not.

A record that could not be made is not missing: where its node did not journal, because the harness
had stopped it or it had not begun, or where the system's journals have no such records, the answer
is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.checks import liveness, records, silences
from harness.checks.ids import Places
from harness.checks.ledger_finding import (
    MORE_THAN_ONCE,
    NOT_EVERYWHERE,
    NOT_STORED,
    RESIZED,
    TWICE,
    UNSEEN,
    Held,
    exempted,
    finding_of,
    unknown,
)
from harness.checks.metric import Chosen
from harness.checks.verdict import Answer, Finding
from harness.history.events import RunEnded
from harness.history.history import History, Nanoseconds
from harness.operations import Operation
from harness.operations.operation import Ledger, Witness
from harness.operations.records import RecordKind


def check(history: History) -> list[Finding]:
    """Findings of the whole run: gaps of the record, and the ledger of each operation that was
    acknowledged at least once.
    """
    if not history.ended:
        return [
            unknown(
                "run complete",
                "the run to end",
                "cut short",
                "the run was cut short: what came after is not known",
            )
        ]
    findings = []
    if failures := _failures(history):
        findings.append(
            unknown("record complete", "no gap", f"{len(failures)} gaps", "; ".join(failures[:3]))
        )
    for operation in history.kinds:
        sent = records.in_phase(history, records.WHOLE_RUN, operation)
        acknowledged = records.ended_ok(history, records.WHOLE_RUN, operation)
        findings += _astray(history, operation, sent & ~acknowledged)
        if acknowledged.any():
            findings += _judge(history, operation, acknowledged)
    return findings


def _failures(history: History) -> list[str]:
    """What made the record incomplete, as the end of the run tells."""
    return [
        failure
        for event in history.events
        if isinstance(event, RunEnded)
        for failure in event.failures
    ]


def _judge(history: History, operation: Operation, acknowledged: Chosen) -> list[Finding]:
    """The ledger of one operation, and whether time ran backwards in it."""
    count, ledger = int(acknowledged.sum()), operation.spec.ledger
    found = _backwards(history, operation, acknowledged)
    if ledger is None:
        return found
    name = ledger.finding.format(others=len(history.nodes) - 1)
    why = history.exempt.get(operation.word)
    if {ledger.record, ledger.content} - {None} - history.kept:
        return [*found, _cannot_tell(name, count, operation, why)]
    held = _HELD[ledger.witness](history, operation, acknowledged)
    finding = finding_of(name, count, held, ledger, history.unpromised.get(operation.word, ()))
    return [*found, exempted(finding, why)]


def _backwards(history: History, operation: Operation, acknowledged: Chosen) -> list[Finding]:
    """The finding of operations that were done, or seen by a receiver, before they were sent. All
    stamps are of one clock (`records.took_ns`), so that there is no such thing.
    """
    sent, done = history.column("sent_ns")[acknowledged], history.column("done_ns")[acknowledged]
    seen = records.witnessed_ns(history, operation, acknowledged)
    ledger = operation.spec.ledger
    is_early = (done < sent) | ((seen != records.NEVER) & (seen < sent))
    if ledger is not None and ledger.witness in BY_ID:
        is_early |= _early(history, ledger, acknowledged)
    wrong = int(is_early.sum())
    if not wrong:
        return []
    return [
        Finding(
            name=f"{operation.word}: done after it was sent",
            answer=Answer.FAIL,
            promised=f"{len(sent):,} of {len(sent):,}",
            measured=f"{wrong:,} done before it was sent",
            sentence="sender and receiver have one clock: who says so did not do it",
        )
    ]


def _early(history: History, ledger: Ledger, chosen: Chosen) -> Chosen:
    """Which of the chosen operations a node has a record of that was made before they were sent,
    or though they never were.
    """
    rows, mine = records.about(history, ledger.record, chosen)
    sent = history.column("sent_ns")[chosen]
    found = np.zeros(len(sent), np.bool_)
    found[rows[(sent[rows] == 0) | (mine.at_ns < sent[rows])]] = True
    return found


def _astray(history: History, operation: Operation, others: Chosen) -> list[Finding]:
    """The finding of operations that nobody acknowledged, and that were delivered wrongly all the
    same: twice, to another node, or before they were sent. That they arrive nobody promised.
    """
    ledger = operation.spec.ledger
    if ledger is None or ledger.witness not in BY_ID or not others.any():
        return []
    wrong = {
        "delivered before it was sent": int(_early(history, ledger, others).sum()),
        RESIZED: resized(history, ledger, others),
    }
    if ledger.witness is Witness.TARGET:
        arrivals = records.arrivals(history, ledger.record, others)
        wrong |= _misdelivered(history, ledger, others, *arrivals)
    else:
        wrong[TWICE] = repeated(history, ledger.record, others)
    if not any(wrong.values()):
        return []
    name = f"{operation.word}: not acknowledged, and not delivered wrongly"
    words = history.unpromised.get(operation.word, ())
    finding = finding_of(name, int(others.sum()), Held(wrong), ledger, words)
    if finding.answer is Answer.FAIL:
        once = "what nobody acknowledged may come once, to its target"
        finding = replace(finding, sentence=once)
    return [exempted(finding, history.exempt.get(operation.word))]


def _cannot_tell(name: str, count: int, operation: Operation, why: str | None) -> Finding:
    """The finding where the system's journals have no records that the ledger could count."""
    finding = unknown(
        name,
        f"{count:,} of {count:,}",
        "not told",
        f"journals of this run have no records that tell of a {operation.word}: nothing but the "
        "sender's word says that it happened",
    )
    return exempted(finding, why)


BY_ID = (Witness.TARGET, Witness.EVERY_OTHER_NODE)  # whose records name the operation itself
SILENT = "to a node that could not journal then"


def _misdelivered(
    history: History, ledger: Ledger, chosen: Chosen, seen: Nanoseconds, first: Places
) -> dict[str, int]:
    """How many of the chosen operations arrived at another node, or more than once; `seen` and
    `first` are their arrivals.
    """
    has_arrived = seen > 0
    node = records.told(history, ledger.record).node[first[has_arrived]]
    target, source = (history.column(name)[chosen][has_arrived] for name in ("target", "source"))
    return {
        "delivered to another node": int((node != target).sum()),
        "delivered to the sender itself": int((node == source).sum()),
        MORE_THAN_ONCE: _more_than_once(history, ledger.record, chosen),
    }


def _more_than_once(history: History, kind: RecordKind, chosen: Chosen) -> int:
    """How many of the chosen operations one node has more than once in one life, or two nodes
    have.
    """
    rows, mine = records.about(history, kind, chosen)
    some = np.zeros(int(chosen.sum()), mine.node.dtype)
    some[rows] = mine.node  # of each operation, one node that has it
    elsewhere = np.unique(rows[mine.node != some[rows]])
    return len(np.union1d(elsewhere, _twice_in_a_life(history, kind, chosen)))


def _at_target(history: History, operation: Operation, acknowledged: Chosen) -> Held:
    """Each operation must have one record, and that at its target, with the size that was sent."""
    ledger = _ledger(operation)
    seen, first = records.arrivals(history, ledger.record, acknowledged)
    lacking, has_arrived = seen == 0, seen > 0
    target = history.column("target")[acknowledged]
    silent = silences.of(history).during(history, acknowledged, target)
    wrong = {
        UNSEEN: int((lacking & ~silent).sum()),
        **_misdelivered(history, ledger, acknowledged, seen, first),
    }
    wrong[RESIZED] = resized(history, ledger, acknowledged)
    if ledger.content is not None:
        wrong |= _differing(history, ledger.content, acknowledged, has_arrived)
    return Held(wrong, {SILENT: int((lacking & silent).sum())})


def resized(history: History, ledger: Ledger, chosen: Chosen) -> int:
    """How many of the chosen operations a node has with another size than was sent. Where no record
    of their kind has a size, the system does not tell it.
    """
    rows, mine = records.about(history, ledger.record, chosen)
    sent, had = history.column("payload_bytes")[chosen][rows], history.journal["size"][mine.places]
    if ledger.content is None and not had.any():
        return 0
    return len(np.unique(rows[had != sent]))


def _differing(
    history: History, kind: RecordKind, chosen: Chosen, has_arrived: Chosen
) -> dict[str, int]:
    """Operations of which source and target do not both have a record of the content, the same."""
    found = records.told(history, kind)
    order = np.argsort(found.of, kind="stable")
    peer, node = history.journal["peer"][found.places[order]], found.node[order]
    who = records.owners(history, chosen)
    low, high = (np.searchsorted(found.of[order], who, side) for side in ("left", "right"))
    source, target = (history.column(name)[chosen] for name in ("source", "target"))
    different = 0
    for index in np.flatnonzero(has_arrived):
        mine = slice(low[index], high[index])
        ends = source[index], target[index]
        held = [set(peer[mine][node[mine] == end].tolist()) for end in ends]
        different += not held[0] or held[0] != held[1]
    return {"of another content than was sent": different}


def _at_every_other_node(history: History, operation: Operation, acknowledged: Chosen) -> Held:
    """Each operation must have a record at every node but its source that ran meanwhile: where that
    is asked for, for it is no safety. A node that is cut off cannot have it.
    """
    ledger = _ledger(operation)
    silent = silences.of(history)
    due, expected = silent.due(history, acknowledged), silent.expected(history, acknowledged)
    heard = records.heard_ns(history, ledger.record, acknowledged) != records.NEVER
    missed = np.zeros(len(acknowledged), np.bool_)
    missed[acknowledged] = (expected & ~heard).any(axis=1)
    unjudged = missed & ~liveness.judged(history)
    return Held(
        {
            NOT_EVERYWHERE: int((missed & ~unjudged).sum()),
            TWICE: repeated(history, ledger.record, acknowledged),
            RESIZED: resized(history, ledger, acknowledged),
        },
        {
            "while no other node ran": int((~due.any(axis=1)).sum()),
            "on their way when the journals ended": int((due & ~expected).any(axis=1).sum()),
        },
        unjudged=int(unjudged.sum()),
        where=liveness.why_not(history, unjudged),
    )


def repeated(history: History, kind: RecordKind, chosen: Chosen) -> int:
    """How many of the chosen operations a node has more than once in one life."""
    return len(_twice_in_a_life(history, kind, chosen))


def _twice_in_a_life(history: History, kind: RecordKind, chosen: Chosen) -> Places:
    """Which of the chosen operations, counted among these, a node has more than once in one life:
    a node that the harness has stopped since need not know what it had before.
    """
    rows, mine = records.about(history, kind, chosen)
    place = rows.astype(np.intp) * len(history.nodes) + mine.node
    again = np.flatnonzero(np.bincount(place)[place] > 1)
    life = silences.of(history).lives(mine.node[again], mine.at_ns[again])
    had, times = np.unique((place[again], life), axis=1, return_counts=True)
    return np.unique(had[0, times > 1] // len(history.nodes))


def _at_keeper(history: History, operation: Operation, acknowledged: Chosen) -> Held:
    """Each operation must have a record of its key at a node that is not its source. Where some
    node could not journal meanwhile, it may have been that one.
    """
    seen = records.witnessed_ns(history, operation, acknowledged)
    silent = silences.of(history).anybody_during(history, acknowledged)
    lacking = seen == records.NEVER
    return Held(
        {NOT_STORED: int((lacking & ~silent).sum())},
        {SILENT: int((lacking & silent).sum())},
    )


def _at_answerer(history: History, operation: Operation, acknowledged: Chosen) -> Held:
    """Each answer must name a node that is not the asker, and has a record that it answered it."""
    answered = history.column("answered_by")[acknowledged]
    source = history.column("source")[acknowledged]
    seen = records.witnessed_ns(history, operation, acknowledged)
    silent = silences.of(history).during(history, acknowledged, answered)
    lacking = (seen == records.NEVER) & (answered >= 0) & (answered != source)
    return Held(
        {
            "answered by nobody named": int((answered < 0).sum()),
            "answered by the asker itself": int((answered == source).sum()),
            "in no journal of who is said to have answered": int((lacking & ~silent).sum()),
        },
        {SILENT: int((lacking & silent).sum())},
    )


def _at_peer(history: History, operation: Operation, acknowledged: Chosen) -> Held:
    """Each operation must have met its target, as that one's journal says."""
    lacking = records.witnessed_ns(history, operation, acknowledged) == records.NEVER
    target = history.column("target")[acknowledged]
    silent = silences.of(history).during(history, acknowledged, target)
    return Held(
        {"acknowledged but not in the peer's journal": int((lacking & ~silent).sum())},
        {SILENT: int((lacking & silent).sum())},
    )


def _ledger(operation: Operation) -> Ledger:
    assert operation.spec.ledger is not None
    return operation.spec.ledger


_HELD: dict[Witness, Callable[[History, Operation, Chosen], Held]] = {
    Witness.TARGET: _at_target,
    Witness.EVERY_OTHER_NODE: _at_every_other_node,
    Witness.KEEPER: _at_keeper,
    Witness.ANSWERER: _at_answerer,
    Witness.PEER: _at_peer,
}
