"""Metrics that nodes tell of themselves and of each other: their own histograms and gauges, the
failures that they report, and when all were ready. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness import stats
from harness.checks import deaths, records, silences
from harness.checks.metric import Metric, PerNode, Samples
from harness.checks.times import free
from harness.history.events import spells
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.operations.records import RecordKind

AT_THE_END = ", at the phase's end"  # when nodes tell their gauges: once a phase


def _histogram(operation: str) -> Callable[[History, PhaseWindow], Samples]:
    """Samples out of the nodes' own histograms; a value is its bucket's middle (error at most
    0.4 %).
    """

    def take(history: History, phase: PhaseWindow) -> Samples:
        counts = np.zeros(stats.BUCKETS, np.int64)
        for (name, _, of), buckets in history.histograms.items():
            if name == phase.name and of == operation:
                for bucket, count in buckets.items():
                    counts[bucket] += count
        return Samples(values=np.repeat(stats.VALUES, counts))

    return take


def _gauge(name: str) -> Callable[[History, PhaseWindow], PerNode]:
    """What each node's health said at the end of the phase."""

    def take(history: History, phase: PhaseWindow) -> PerNode:
        found = {
            node: value
            for (of, node, gauge), value in history.gauges.items()
            if of == phase.name and gauge == name
        }
        series = {node: np.array([value]) for node, value in found.items()}
        return PerNode(series=series, lack=f"did not tell {name}")

    return take


def _failure_seen(history: History, phase: PhaseWindow) -> Samples:
    """Ends of nodes in the phase × the nodes that never ended in the run; infinite where one of
    these did not report it, before the node ended once more. Who held it failed as it ended, and
    did not take that back before it was started again, has nothing to report: that is 0.
    """
    told = _told(history)
    values = [
        _seen_ns(told.get((one.node, one.ended), ()), one)
        for one in _ends(history)
        if phase.begin_ns <= one.at_ns < phase.end_ns
    ]
    return Samples(values=np.array(values, np.float64))


class _End(NamedTuple):
    """An end of a node, to one that never ended in the run: when it was, when somebody began to
    start it again, and when it ended once more.
    """

    ended: int
    node: int
    at_ns: int
    back_ns: int
    until_ns: int


def _seen_ns(changes: Sequence[tuple[bool, int]], end: _End) -> float:
    """How long it took until who told of these changes had reported an end; infinite: not yet."""
    seen = [at_ns for failed, at_ns in changes if failed and end.at_ns <= at_ns < end.until_ns]
    if seen:
        return float(seen[0] - end.at_ns)
    held = spells(changes, silences.FOR_EVER_NS)
    return 0.0 if any(a <= end.at_ns and b >= end.back_ns for a, b in held) else np.inf


def unreported(history: History, at_ns: int) -> list[tuple[int, int]]:
    """Who may still report an end of a node from a moment on: each (ended, node) of which there is
    no report.
    """
    told = _told(history)
    return [
        (one.ended, one.node)
        for one in _ends(history)
        if one.at_ns < at_ns < one.until_ns
        and np.isinf(_seen_ns(told.get((one.node, one.ended), ()), one))
    ]


def _ends(history: History) -> Iterator[_End]:
    """Each end of a node × the nodes that never ended in the run."""
    gone: dict[int, list[silences.Stretch]] = {}
    for stretch in silences.of(history).gone:
        gone.setdefault(stretch.node, []).append(stretch)
    living = [node for node in range(len(history.nodes)) if node not in gone]
    for ended, stretches in gone.items():
        untils_ns = [*(one.begin_ns for one in stretches[1:]), silences.FOR_EVER_NS]
        for one, until_ns in zip(stretches, untils_ns, strict=True):
            back_ns = min(one.end_ns, deaths.until_ns(history, ended, one.begin_ns))
            for node in living:
                yield _End(ended, node, one.begin_ns, back_ns, until_ns)


def _suspected(history: History, phase: PhaseWindow) -> Samples:
    """Nodes that never ended in the run × the others that ran in the phase: how long the first
    longest held the second to be failed while it ran. One that was paused did not. None where no
    journal tells of members.
    """
    silent = silences.of(history)
    away: dict[int, list[tuple[int, int]]] = {}
    for stretch in (*silent.away, *silent.ended):
        away.setdefault(stretch.node, []).append((stretch.begin_ns, stretch.end_ns))
    gone = {stretch.node for stretch in silent.gone}
    living = [node for node in range(len(history.nodes)) if node not in gone]
    told = _told(history)
    values = []
    for node in range(len(history.nodes)):
        ran = list(free(away.get(node, ()), (phase.begin_ns, phase.end_ns)))
        for other in living if ran and told else ():
            if other != node:
                held = spells(told.get((other, node), ()), phase.end_ns)
                both = (min(a[1], b[1]) - max(a[0], b[0]) for a in ran for b in held)
                values.append(float(max([0, *both])))
    return Samples(values=np.array(values, np.float64))


def _told(history: History) -> dict[tuple[int, int], list[tuple[bool, int]]]:
    """What each node told of each other one, in order: that it failed (else that it joined), and
    when.
    """
    journal = history.journal
    about = np.isin(journal["kind"], (RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED))
    mine = np.flatnonzero(about)[np.argsort(journal["at_ns"][about], kind="stable")]
    order = {int(name): node for node, name in enumerate(records.beginnings(history))}
    columns = (journal[name][mine].tolist() for name in ("node", "peer", "kind", "at_ns"))
    found: dict[tuple[int, int], list[tuple[bool, int]]] = {}
    for node, peer, kind, at_ns in zip(*columns, strict=True):
        whose = (node, order.get(peer, records.NOBODY))
        found.setdefault(whose, []).append((kind == RecordKind.MEMBER_FAILED, at_ns))
    return found


def _ready(history: History, _: PhaseWindow) -> Samples:
    return Samples(values=np.array([] if history.ready_s is None else [history.ready_s * 1e9]))


NODE_METRICS: dict[str, Metric] = {
    "node.create": Metric(
        kind="time",
        take=_histogram("create"),
        tells="create",
        sentence="sign + encrypt, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.verify": Metric(
        kind="time",
        take=_histogram("verify"),
        tells="verify",
        sentence="decrypt + verify, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.handshake": Metric(
        kind="time",
        take=_histogram("handshake"),
        tells="handshake",
        sentence="TLS handshakes, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.route": Metric(
        kind="time",
        take=_histogram("route"),
        tells="route",
        sentence="finding the next hop, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.routes": Metric(
        kind="number",
        take=_gauge("routes"),
        tells="routes",
        sentence="entries of the routing table",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
        whatever_load=True,
    ),
    "node.links": Metric(
        kind="number",
        take=_gauge("links"),
        tells="links",
        sentence="authenticated links that stand",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
        whatever_load=True,
    ),
    "node.good": Metric(
        kind="number",
        take=_gauge("good"),
        tells="good",
        sentence="nodes that an OpenDHT node knows to be good",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
        whatever_load=True,
    ),
    "node.members": Metric(
        kind="number",
        take=_gauge("members"),
        tells="members",
        sentence="members that a node holds to be alive",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
        whatever_load=True,
    ),
    "membership.failure_seen": Metric(
        kind="time",
        take=_failure_seen,
        sentence="from a node's end until another node reported it failed, a sample a node that "
        "lives; 0 where it held it failed already",
        needs=frozenset({Part.JOURNAL}),
        records=frozenset({RecordKind.MEMBER_FAILED}),
        whole_run=True,
        whatever_load=True,
    ),
    "membership.suspected": Metric(
        kind="time",
        take=_suspected,
        sentence="how long a node that ran was held to be failed by another one, longest in the "
        "phase, a sample a pair; 0 where it was not",
        needs=frozenset({Part.JOURNAL}),
        records=frozenset({RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED}),
        whole_run=True,
        whatever_load=True,
    ),
    "cluster.ready": Metric(
        kind="time",
        take=_ready,
        sentence="from the start of the cluster until every node was ready",
        needs=frozenset(),
        whatever_load=True,
    ),
}
