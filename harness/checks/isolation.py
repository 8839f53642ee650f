"""Isolation: nothing crosses a cut while it holds. Pure.

An operation that was sent after a cut had come, and delivered before it began to go, leaked where
its source had no way to who received it, over whatever nodes. What was sent before the cut came may
have been on its way (held by a delay, in a queue, at a relay of the other side), and is not judged.
The receiver's journal says what was delivered; of a get and of a connection, whose asking and
answering both have to cross, the end says it. Of a put nobody can say which node took it when.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness.checks import reach, records, silences
from harness.checks.ids import Places
from harness.checks.metric import Chosen
from harness.checks.reach import Reach
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, Nanoseconds
from harness.history.proof import ProofAnswer
from harness.operations import Operation, Outcome
from harness.operations.operation import Ledger, Witness

NAME = "isolation: nothing crossed a cut while it held"
BY_RECORD = (Witness.TARGET, Witness.EVERY_OTHER_NODE)
BY_END = (Witness.ANSWERER, Witness.PEER)


@dataclass(frozen=True, slots=True)
class Leak:
    """What crossed: an operation, as its position in the history, where it came to, and when."""

    operation: int
    node: int
    at_ns: int


def check(history: History) -> list[Finding]:
    """One finding where something was sent to a node to which no way led; none where nothing was,
    or no cut parted anybody.
    """
    found = reach.of(history)
    if not len(found.edges_ns) and not found.unknown:
        return []
    asked, leaks = 0, list[Leak]()
    for operation in history.kinds:
        ledger = operation.spec.ledger
        if ledger is not None and ledger.record in history.kept:
            chosen = _sent(history, found, operation)
            asked += _across(history, found, ledger, chosen)
            leaks += _leaks(history, found, ledger, chosen)
    if leaks:
        return [_leaked(history, asked, sorted(leaks, key=lambda one: one.at_ns))]
    if found.unknown:
        return [_unknown(asked, found.unknown)]
    if not asked:
        return []
    unproven = _unproven(history, {one.change.fault for one in reach.stands(history) if one.is_cut})
    return [
        Finding(
            name=NAME,
            answer=Answer.UNKNOWN if unproven else Answer.PASS,
            promised=f"{asked:,} of {asked:,}",
            measured=f"{asked:,} of {asked:,}",
            sentence=unproven or "what was sent across a cut came to nobody behind it",
            cause=Cause.FAULT_NOT_PROVEN if unproven else None,
        )
    ]


def _sent(history: History, found: Reach, operation: Operation) -> Chosen:
    """Which operations of a kind were sent while a cut stood."""
    sent = records.in_phase(history, records.WHOLE_RUN, operation)
    sent &= history.column("sent_ns") > 0
    if sent.any():
        sent[sent] = found.is_cut(history.column("sent_ns")[sent])
    return sent


def _across(history: History, found: Reach, ledger: Ledger, chosen: Chosen) -> int:
    """How many of the chosen operations were to reach a node to which no way led when they were
    sent; one that ran, and where its record tells of them, that journalled.
    """
    sent, source, target = (
        history.column(name)[chosen] for name in ("sent_ns", "source", "target")
    )
    rows, able = np.arange(len(sent)), _able(history, ledger, sent)
    if ledger.witness is Witness.TARGET:
        return int((found.parted(sent, sent, source, target) & able[rows, target]).sum())
    if ledger.witness is Witness.PEER:
        there, back = (
            found.parted(sent, sent, *ends) for ends in ((source, target), (target, source))
        )
        return int(((there | back) & able[rows, target]).sum())
    if ledger.witness not in (Witness.EVERY_OTHER_NODE, Witness.ANSWERER):
        return 0
    stretch, count = found.stretch(sent), 0
    for one in np.unique(stretch).tolist():
        apart, mine = found.apart(one, one), stretch == one
        if apart is not None:
            count += int((apart[source[mine]] & able[mine]).any(axis=1).sum())
    return count


def _able(history: History, ledger: Ledger, at_ns: Nanoseconds) -> reach.Matrix:
    """Which nodes could have what was sent at each of these moments, and tell of it."""
    found, silent = np.ones((len(at_ns), len(history.nodes)), np.bool_), silences.of(history)
    unable = (*silent.gone, *(silent.mute if ledger.witness in BY_RECORD else ()))
    for node, times in silences.by_node(unable).items():
        found[:, node] = ~times.meet(at_ns, at_ns)
    return found


def _leaks(history: History, found: Reach, ledger: Ledger, chosen: Chosen) -> list[Leak]:
    if ledger.witness in BY_RECORD:
        rows, heard = records.about(history, ledger.record, chosen)
        return _crossed(history, found, np.flatnonzero(chosen)[rows], heard.node, heard.at_ns)
    if ledger.witness not in BY_END:
        return []
    column = "answered_by" if ledger.witness is Witness.ANSWERER else "target"
    ok = chosen & (history.column("outcome") == Outcome.OK) & (history.column(column) >= 0)
    places = np.flatnonzero(ok)
    node, done = history.column(column)[ok], history.column("done_ns")[ok]
    return _crossed(history, found, places, node, done, also_back=True)


def _crossed(
    history: History,
    found: Reach,
    places: Places,
    node: reach.Nodes,
    at_ns: Nanoseconds,
    *,
    also_back: bool = False,
) -> list[Leak]:
    """Which of these operations came to these nodes though no way led there, or none back."""
    sent, source = (history.column(name)[places] for name in ("sent_ns", "source"))
    is_leak = found.parted(sent, at_ns, source, node)
    if also_back:
        is_leak |= found.parted(sent, at_ns, node, source)
    return [
        Leak(place, whom, when)
        for place, whom, when in zip(
            places[is_leak].tolist(), node[is_leak].tolist(), at_ns[is_leak].tolist(), strict=True
        )
    ]


def _leaked(history: History, asked: int, leaks: list[Leak]) -> Finding:
    count = len({one.operation for one in leaks})
    first = leaks[0]
    sent_ns = int(history.column("sent_ns")[first.operation])
    names = [
        stand.change.fault
        for stand in reach.stands(history)
        if stand.is_cut and stand.begin_ns <= sent_ns < stand.end_ns
    ]
    kind = history.kind(int(history.column("operation")[first.operation])).word
    source = history.nodes[history.column("source")[first.operation]]
    sentence = (
        f"a {kind} that {source} sent while {' and '.join(names)} stood was at "
        f"{history.nodes[first.node]} {(first.at_ns - sent_ns) / 1e6:.1f} ms later, before it went"
    )
    unproven = _unproven(history, names)
    return Finding(
        name=NAME,
        answer=Answer.UNKNOWN if unproven else Answer.FAIL,
        promised=f"{asked:,} of {asked:,}",
        measured=f"{count:,} crossed",
        sentence=f"{sentence}; {unproven}" if unproven else sentence,
        cause=Cause.FAULT_NOT_PROVEN if unproven else None,
    )


def _unproven(history: History, names: Iterable[str]) -> str | None:
    """Why what crossed may be the harness's own, and what did not says nothing: a cut of these was
    not shown to be in force.
    """
    for name in sorted(names):
        about = [proof for proof in history.proofs if proof.fault == name]
        wrong = [proof for proof in about if proof.answer is ProofAnswer.NOT_IN_FORCE]
        if wrong:
            return str(wrong[0])
        if not any(proof.answer is ProofAnswer.IN_FORCE for proof in about):
            return f"nothing showed {name} in force"
    return None


def _unknown(asked: int, names: frozenset[str]) -> Finding:
    return Finding(
        name=NAME,
        answer=Answer.UNKNOWN,
        promised=f"{asked:,} of {asked:,}" if asked else "nothing",
        measured="not told",
        sentence=f"the record does not say whom {', '.join(sorted(names))} parted",
        cause=Cause.NOT_MEASURED,
    )
