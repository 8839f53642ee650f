"""Non-vacuity: every fault met traffic, and every operation that is counted crossed the network.
Pure. A run whose fault met nothing says nothing of what the fault does.

A fault met an operation whose path it touched while it stood. Journals say which paths were taken:
who got a message from whom, and who relayed it to whom. Where they cannot, an operation's own ends
say it: what was sent from a touched path's one end to its other, and what no path is told of
(a cut lets nothing through to be told of, and who is ended or paused tells of nothing; a broadcast,
or a lookup, is everybody's).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from harness.checks import reach, record, records, silences
from harness.checks.metric import Chosen
from harness.checks.reach import Matrix, Stand
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import FaultChanged
from harness.history.history import History, Nanoseconds, once
from harness.operations import Outcome
from harness.operations.records import RecordKind

MET = "non-vacuity: every fault met traffic"
UNLOADED = "non-vacuity: faults under whose load nothing was left to send"
CROSSED = "non-vacuity: every operation crossed the network"
# Records whose `peer` is the node that it came from, or went to, over a path of one link.
OF_A_PATH = (
    RecordKind.RECEIVED,
    RecordKind.DUPLICATE,
    RecordKind.FORWARDED,
    RecordKind.RELAYED,
    RecordKind.STORED,
    RecordKind.ANSWERED,
    RecordKind.CONNECTED,
)


def check(history: History) -> list[Finding]:
    """A finding of the faults, where a run had any, and one where operations that nobody but their
    sender tells of did not cross the network.
    """
    return [*_faults(history), *_operations(history)]


def _faults(history: History) -> list[Finding]:
    by_fault: dict[str, list[Stand]] = {}
    for stand in reach.stands(history):
        by_fault.setdefault(stand.change.fault, []).append(stand)
    if not by_fault:
        return []
    idle, without = list[str](), list[str]()
    for name, stood in by_fault.items():
        why = _idle(history, stood)
        if why is not None:
            unsent = _unsent(history, stood)
            (without if unsent else idle).append(f"{name}: {unsent or why}")
    count = len(by_fault) - len(without)
    found = [
        Finding(
            name=MET,
            answer=Answer.UNKNOWN if idle else Answer.PASS,
            promised=f"{count:,} of {count:,}",
            measured=f"{count - len(idle):,} of {count:,}",
            sentence="; ".join(idle[:3]) if idle else "operations crossed what each touched",
            cause=Cause.VACUOUS if idle else None,
        )
    ]
    return [*(found if count else []), *(_not_asked(without) if without else [])]


def _unsent(history: History, stood: Sequence[Stand]) -> str:
    """Say that nothing was sent while a fault stood, for the system has no operation that its
    phases were to send; empty where one of these was to be sent all the same.
    """
    plan = record.plan(history)
    if plan is None or plan.other_system is None:
        return ""
    phases = {
        one.name
        for one in history.phases
        for stand in stood
        if stand.change.begun_ns < one.end_ns and stand.gone_ns > one.begin_ns
    }
    words = dict.fromkeys(word for one in phases for word in plan.other_system.lacking(one))
    if not words or any(stream.get("phase") in phases for stream in plan.streams):
        return ""
    return plan.other_system.has_no(sorted(words))


def _not_asked(without: Sequence[str]) -> list[Finding]:
    return [
        Finding(
            name=UNLOADED,
            answer=Answer.NOT_ASKED,
            promised=f"{len(without):,} that met traffic",
            measured="–",
            sentence="; ".join(without[:3]),
        )
    ]


def _idle(history: History, stood: Sequence[Stand]) -> str | None:
    """Why a fault is not known to have met an operation; None where it met one."""
    stood = [_while_away(history, one) if one.is_an_end else one for one in stood]
    for stand in stood:
        paths = touched(history, stand.change)
        if paths is None:
            return "the record does not say which paths it was on"
        if _met(history, stand, paths):
            return None
    seconds = sum(one.end_ns - one.begin_ns for one in stood) / 1e9
    return f"no operation is known to have crossed what it touched in the {seconds:.1f} s it stood"


def _while_away(history: History, stand: Stand) -> Stand:
    """A stand of what ended nodes, or paused them, for as long as it kept them from running: what
    starts them again at once is over before they run.
    """
    mine = {history.index(node) for node in stand.change.nodes}
    away = [
        one
        for one in silences.of(history).away
        if one.node in mine and one.begin_ns < stand.gone_ns and one.end_ns > stand.change.begun_ns
    ]
    since_ns = (max(one.begin_ns, stand.change.begun_ns) for one in away)
    begin_ns = min([stand.begin_ns, *since_ns])
    ends_ns = [one.end_ns for one in away if one.end_ns != silences.FOR_EVER_NS]
    return replace(stand, begin_ns=begin_ns, end_ns=max([stand.end_ns, *ends_ns]))


def touched(history: History, change: FaultChanged) -> Matrix | None:
    """Mark the paths that a fault touched, either way: what goes one way is answered the other.
    None where the record does not say which.
    """
    found = np.zeros((len(history.nodes), len(history.nodes)), np.bool_)
    named: tuple[Collection[str], ...] = (change.up, change.down, change.nodes)
    for nodes in named:
        ends = [at for at, name in enumerate(history.nodes) if name in nodes]
        found[ends] = found[:, ends] = True
    if change.paths or reach.is_cut(change):
        paths = reach.paths(history, change)
        if paths is None:
            return None
        found |= paths
    np.fill_diagonal(found, val=False)
    either: Matrix = found | found.T
    return either


def _met(history: History, stand: Stand, paths: Matrix) -> bool:
    """Whether an operation crossed one of these paths while the fault stood."""
    at_ns, one, other = taken(history)
    during = (at_ns >= stand.begin_ns) & (at_ns < stand.end_ns)
    if paths[one[during], other[during]].any():
        return True
    sent, source, target = (history.column(name) for name in ("sent_ns", "source", "target"))
    under_way = (sent >= stand.begin_ns) & (sent < stand.end_ns)
    named = under_way & (target >= 0) & _is_direct(history)
    if paths[source[named], target[named]].any():
        return True
    if len(at_ns) and stand.is_impairing:
        return False  # what passed would be told of
    free = under_way & (target < 0)
    if stand.change.nodes:
        return bool(free.any())
    return bool(reach.sources(paths)[source[free]].any())


def _is_direct(history: History) -> Chosen:
    """Which operations are not known to have passed other nodes on their way."""
    passed = (history.column("outcome") == Outcome.OK) & (history.column("hops") > 1)
    found: Chosen = ~passed
    return found


Taken = tuple[Nanoseconds, reach.Nodes, reach.Nodes]


@once
def taken(history: History) -> Taken:
    """The paths that journals tell of: when something took each, and its two ends."""
    names, journal = records.beginnings(history), history.journal
    order = np.argsort(names)
    mine = np.isin(journal["kind"], OF_A_PATH)
    peer, node, at_ns = (journal[name][mine] for name in ("peer", "node", "at_ns"))
    place = np.minimum(np.searchsorted(names[order], peer), max(len(names) - 1, 0))
    other = order[place] if len(names) else place
    known = (names[other] == peer) & (other != node) if len(names) else np.zeros(0, np.bool_)
    return at_ns[known], node[known], other[known]


def _operations(history: History) -> list[Finding]:
    """The finding of operations without a witness that did not ask any other node, as their senders
    say; none where each did. Of a system's own, who wrote its file says that the answer counts.
    """
    alone = np.zeros(history.operations.num_rows, np.bool_)
    for operation in history.kinds:
        if operation.spec.ledger is None and not operation.is_own:
            alone |= records.ended_ok(history, records.WHOLE_RUN, operation)
    count, stayed = int(alone.sum()), int((history.column("hops")[alone] <= 0).sum())
    if not stayed:
        return []
    return [
        Finding(
            name=CROSSED,
            answer=Answer.UNKNOWN,
            promised=f"{count:,} of {count:,}",
            measured=f"{count - stayed:,} of {count:,}",
            sentence=f"{stayed:,} are not known to have asked another node",
            cause=Cause.VACUOUS,
        )
    ]
