"""Metrics that nodes tell of themselves and of each other: their own histograms and gauges, the
failures that they report, and when all were ready. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from harness import stats
from harness.checks import records, silences
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
        return PerNode(series={node: np.array([value]) for node, value in found.items()})

    return take


def _failure_seen(history: History, phase: PhaseWindow) -> Samples:
    """Ends of nodes in the phase × the nodes that never ended in the run; infinite where one of
    these did not report it, before the node ended once more.
    """
    gone: dict[int, list[int]] = {}
    for stretch in silences.of(history).gone:
        gone.setdefault(stretch.node, []).append(stretch.begin_ns)
    living = [node for node in range(len(history.nodes)) if node not in gone]
    reports = history.journal[history.journal["kind"] == RecordKind.MEMBER_FAILED]
    values = []
    for ended, begins_ns in gone.items():
        of_it = reports[reports["peer"] == records.beginnings(history)[ended]]
        for at_ns, until_ns in pairwise([*begins_ns, silences.FOR_EVER_NS]):
            if phase.begin_ns <= at_ns < phase.end_ns:
                mine = of_it[(of_it["at_ns"] >= at_ns) & (of_it["at_ns"] < until_ns)]
                for node in living:
                    seen = mine["at_ns"][mine["node"] == node]
                    values.append(float(seen.min() - at_ns) if len(seen) else np.inf)
    return Samples(values=np.array(values, np.float64))


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
        sentence="sign + encrypt, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.verify": Metric(
        kind="time",
        take=_histogram("verify"),
        sentence="decrypt + verify, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.handshake": Metric(
        kind="time",
        take=_histogram("handshake"),
        sentence="TLS handshakes, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.route": Metric(
        kind="time",
        take=_histogram("route"),
        sentence="finding the next hop, from the nodes' own histograms",
        needs=frozenset({Part.HISTOGRAMS}),
    ),
    "node.routes": Metric(
        kind="number",
        take=_gauge("routes"),
        sentence="entries of the routing table",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
    ),
    "node.links": Metric(
        kind="number",
        take=_gauge("links"),
        sentence="authenticated links that stand",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
    ),
    "node.good": Metric(
        kind="number",
        take=_gauge("good"),
        sentence="nodes that an OpenDHT node knows to be good",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
    ),
    "node.members": Metric(
        kind="number",
        take=_gauge("members"),
        sentence="members that a node holds to be alive",
        needs=frozenset({Part.GAUGES}),
        by_node=True,
        moment=AT_THE_END,
    ),
    "membership.failure_seen": Metric(
        kind="time",
        take=_failure_seen,
        sentence="from a node's end until another node reported it failed, a sample a node that "
        "lives",
        needs=frozenset({Part.JOURNAL}),
        records=frozenset({RecordKind.MEMBER_FAILED}),
        whole_run=True,
    ),
    "membership.suspected": Metric(
        kind="time",
        take=_suspected,
        sentence="how long a node that ran was held to be failed by another one, longest in the "
        "phase, a sample a pair; 0 where it was not",
        needs=frozenset({Part.JOURNAL}),
        records=frozenset({RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED}),
        whole_run=True,
    ),
    "cluster.ready": Metric(
        kind="time",
        take=_ready,
        sentence="from the start of the cluster until every node was ready",
        needs=frozenset(),
    ),
}
