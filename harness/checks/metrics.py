"""The metrics that a budget's row may name: one table, from names to functions of a history. Pure.

A metric gives either samples (one value an operation or a receiver; what never arrived is infinite)
or one value a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from harness import stats
from harness.checks import overlay
from harness.checks.measurements import MEASUREMENTS
from harness.history import history as h
from harness.history.history import History, PhaseWindow
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One value an operation, in the base unit of the metric's kind; `inf` where it never came
    true.
    """

    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class PerNode:
    """Values by node index: all samples of the phase (`series`), or one number a node (a series of
    one).
    """

    series: dict[int, Floats]
    seconds: float = 0.0  # what a rate was taken over


Measured = Samples | PerNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A row may name it: what it is, the kind of quantity, and how it is taken from a phase of a
    history.
    """

    kind: str
    take: Callable[[History, PhaseWindow], Measured]
    sentence: str


def in_phase(history: History, phase: PhaseWindow, operation: Operation) -> npt.NDArray[np.bool_]:
    """Which operations of this kind were due in the phase."""
    intended = history.column("intended_ns")
    inside: npt.NDArray[np.bool_] = (intended >= phase.begin_ns) & (intended < phase.end_ns)
    chosen: npt.NDArray[np.bool_] = inside & (history.column("operation") == operation)
    return chosen


def _latency(operation: Operation) -> Callable[[History, PhaseWindow], Samples]:
    def take(history: History, phase: PhaseWindow) -> Samples:
        chosen = in_phase(history, phase, operation)
        took = (history.column("done_ns") - history.column("intended_ns"))[chosen].astype(
            np.float64
        )
        took[history.column("outcome")[chosen] != Outcome.OK] = np.inf
        return Samples(values=took)

    return take


def _share(operation: Operation) -> Callable[[History, PhaseWindow], Samples]:
    def take(history: History, phase: PhaseWindow) -> Samples:
        chosen = in_phase(history, phase, operation)
        return Samples(values=(history.column("outcome")[chosen] == Outcome.OK).astype(np.float64))

    return take


def _hops(operation: Operation) -> Callable[[History, PhaseWindow], Samples]:
    def take(history: History, phase: PhaseWindow) -> Samples:
        chosen = (
            in_phase(history, phase, operation)
            & (history.column("outcome") == Outcome.OK)
            & (history.column("hops") >= 0)
        )
        return Samples(values=history.column("hops")[chosen].astype(np.float64))

    return take


def identifiers(history: History, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.void]:
    """The 16-byte ids of chosen operations, comparable with those of the journal."""
    column = history.operations.column("id").combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    data = np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]
    return data[chosen]


def arrivals(history: History, kind: int) -> tuple[npt.NDArray[np.void], h.Records]:
    """Journal records of one kind, sorted by id (stable: by time within an id)."""
    found = history.journal[history.journal["kind"] == kind]
    found = found[np.argsort(found["at_ns"], kind="stable")]
    found = found[np.argsort(sortable(found["id"]), kind="stable")]
    return sortable(found["id"]), found


def sortable(ids: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Ids as byte strings that numpy can sort (S16 would drop trailing zeros, so a byte is
    added).
    """
    raw = np.frombuffer(np.ascontiguousarray(ids).tobytes(), np.uint8).reshape(-1, 16)
    return (
        np.ascontiguousarray(np.concatenate([raw, np.ones((len(raw), 1), np.uint8)], axis=1))
        .view("S17")
        .ravel()
    )


def receivers(history: History, phase: PhaseWindow) -> list[tuple[int, h.Records]]:
    """Each broadcast that was due in the phase: (intended ns, first receptions by nodes other than
    its source).
    """
    chosen = in_phase(history, phase, Operation.BROADCAST)
    wanted = sortable(identifiers(history, chosen))
    sources = history.column("source")[chosen]
    ids, records = arrivals(history, RecordKind.RECEIVED)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    found = []
    for intended, source, low, high in zip(
        history.column("intended_ns")[chosen], sources, begin, end, strict=True
    ):
        heard = records[low:high]
        heard = heard[heard["node"] != source]
        _, first = np.unique(heard["node"], return_index=True)
        found.append((int(intended), heard[first]))
    return found


def _propagation(history: History, phase: PhaseWindow) -> Samples:
    others = len(history.nodes) - 1
    values = [
        float(heard["at_ns"].max() - intended) if len(heard) == others and others else np.inf
        for intended, heard in receivers(history, phase)
    ]
    return Samples(values=np.array(values, np.float64))


def _delivery(history: History, phase: PhaseWindow) -> Samples:
    others = len(history.nodes) - 1
    parts = [
        np.concatenate(
            [(heard["at_ns"] - intended).astype(np.float64), np.full(others - len(heard), np.inf)]
        )
        for intended, heard in receivers(history, phase)
    ]
    return Samples(values=np.concatenate(parts) if parts else np.empty(0))


def _coverage(history: History, phase: PhaseWindow) -> Samples:
    others = max(len(history.nodes) - 1, 1)
    return Samples(
        values=np.array([len(heard) / others for _, heard in receivers(history, phase)], np.float64)
    )


def _lag(history: History, phase: PhaseWindow) -> Samples:
    intended, sent = history.column("intended_ns"), history.column("sent_ns")
    chosen = (intended >= phase.begin_ns) & (intended < phase.end_ns)
    lag = (sent - intended)[chosen].astype(np.float64)
    lag[sent[chosen] == 0] = np.inf
    return Samples(values=lag)


def _node_time(operation: str) -> Callable[[History, PhaseWindow], Samples]:
    """Samples out of the nodes' own histograms; a value is its bucket's middle (error at most 0.4
    %).
    """

    def take(history: History, phase: PhaseWindow) -> Samples:
        counts = np.zeros(stats.BUCKETS, np.int64)
        for (name, _, of), buckets in history.histograms.items():
            if name == phase.name and of == operation:
                for bucket, count in buckets.items():
                    counts[bucket] += count
        return Samples(values=np.repeat(stats.VALUES, counts))

    return take


def samples_of(history: History, phase: PhaseWindow) -> dict[int, dict[str, npt.NDArray[np.int64]]]:
    """The sampler's rows inside a phase, by node."""
    at = history.samples.column("at_ns")
    table = history.samples.filter(
        pc.and_(pc.greater_equal(at, phase.begin_ns), pc.less(at, phase.end_ns))
    )
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    nodes = columns["node"]
    order = np.argsort(nodes, kind="stable")
    edges = np.searchsorted(nodes[order], np.arange(len(history.nodes) + 1))
    return {
        index: {
            name: column[order[edges[index] : edges[index + 1]]] for name, column in columns.items()
        }
        for index in range(len(history.nodes))
        if edges[index + 1] > edges[index]
    }


def _gauge(column: str) -> Callable[[History, PhaseWindow], PerNode]:
    def take(history: History, phase: PhaseWindow) -> PerNode:
        return PerNode(
            series={
                node: rows[column].astype(np.float64)
                for node, rows in samples_of(history, phase).items()
            }
        )

    return take


def _rate(*columns: str) -> Callable[[History, PhaseWindow], PerNode]:
    """Last minus first of cumulative columns, a second; needs two samples at least half the phase
    apart.
    """

    def take(history: History, phase: PhaseWindow) -> PerNode:
        found = {}
        for node, rows in samples_of(history, phase).items():
            seconds = (rows["at_ns"][-1] - rows["at_ns"][0]) / 1e9
            if seconds >= phase.seconds / 2:
                gained = sum(float(rows[column][-1] - rows[column][0]) for column in columns)
                found[node] = np.array([gained / seconds])
        return PerNode(series=found, seconds=phase.seconds)

    return take


def _cpu(history: History, phase: PhaseWindow) -> PerNode:
    rates = _rate("cpu_ns")(history, phase)
    return PerNode(
        series={node: value / 1e9 for node, value in rates.series.items()}, seconds=rates.seconds
    )


def _received(history: History, phase: PhaseWindow) -> PerNode:
    journal = history.journal
    inside = (
        (journal["kind"] == RecordKind.DELIVERED)
        & (journal["at_ns"] >= phase.begin_ns)
        & (journal["at_ns"] < phase.end_ns)
    )
    counts = np.bincount(journal["node"][inside], minlength=len(history.nodes))
    return PerNode(
        series={node: np.array([count / phase.seconds]) for node, count in enumerate(counts)},
        seconds=phase.seconds,
    )


def _answered(history: History, phase: PhaseWindow, operation: Operation) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = in_phase(history, phase, operation) & (
        history.column("outcome") == Outcome.OK
    )
    return chosen


def _stretch(history: History, phase: PhaseWindow) -> Samples:
    chosen = _answered(history, phase, Operation.PRIVATE_MESSAGE) & (history.column("hops") > 0)
    return Samples(values=overlay.stretch(history, chosen))


def _relayed(history: History, phase: PhaseWindow) -> Samples:
    chosen = _answered(history, phase, Operation.PRIVATE_MESSAGE) & (history.column("hops") > 0)
    return Samples(values=(history.column("hops")[chosen] > 1).astype(np.float64))


def _fanout(history: History, phase: PhaseWindow) -> Samples:
    chosen = in_phase(history, phase, Operation.BROADCAST)
    return Samples(
        values=overlay.first_forwards(
            history, identifiers(history, chosen), history.column("source")[chosen]
        )
    )


def _goodput(history: History, phase: PhaseWindow) -> Samples:
    chosen = in_phase(history, phase, Operation.FILE_TRANSFER)
    took_s = (history.column("done_ns") - history.column("intended_ns"))[chosen] / 1e9
    size = history.column("payload_bytes")[chosen].astype(np.float64)
    return Samples(
        values=np.where(
            history.column("outcome")[chosen] == Outcome.OK, size / np.maximum(took_s, 1e-9), 0.0
        )
    )


def _burst_ns(history: History, phase: PhaseWindow) -> tuple[float, int]:
    """From the first intended time to the last arrival of the phase's private messages, and their
    number; inf where one failed.
    """
    chosen = in_phase(history, phase, Operation.PRIVATE_MESSAGE)
    count = int(chosen.sum())
    if not count or (history.column("outcome")[chosen] != Outcome.OK).any():
        return np.inf, count
    return float(
        history.column("done_ns")[chosen].max() - history.column("intended_ns")[chosen].min()
    ), count


def _burst(history: History, phase: PhaseWindow) -> Samples:
    took, count = _burst_ns(history, phase)
    return Samples(values=np.array([took] if count else []))


def _burst_each(history: History, phase: PhaseWindow) -> Samples:
    took, count = _burst_ns(history, phase)
    return Samples(values=np.array([took / count] if count else []))


def _linearity(history: History, phase: PhaseWindow) -> Samples:
    """Over the phases named alike up to the first "-": of each size the median time a message;
    dearest ÷ cheapest, minus 1.
    """
    by_size: dict[int, list[float]] = {}
    for one in history.phases:
        if one.name.partition("-")[0] == phase.name.partition("-")[0]:
            took, count = _burst_ns(history, one)
            if not count:
                return Samples(values=np.empty(0))
            by_size.setdefault(count, []).append(took / count)
    if len(by_size) < 2:
        return Samples(values=np.empty(0))
    times = np.array([np.median(values) for values in by_size.values()])
    return Samples(
        values=np.array([times.max() / times.min() - 1 if np.isfinite(times).all() else np.inf])
    )


def _gauge_at_end(name: str) -> Callable[[History, PhaseWindow], PerNode]:
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
    these never reported it.
    """
    ends = {event["node"]: event["at_ns"] for event in history.events if _is_end(event)}
    living = [index for index, name in enumerate(history.nodes) if name not in ends]
    reports = history.journal[history.journal["kind"] == RecordKind.MEMBER_FAILED]
    values = []
    for name, at_ns in ends.items():
        if phase.begin_ns <= at_ns < phase.end_ns:
            subject = int.from_bytes(history.wire_ids[history.index(name)][:8], "little")
            about = reports[(reports["peer"] == subject) & (reports["at_ns"] >= at_ns)]
            for node in living:
                seen = about["at_ns"][about["node"] == node]
                values.append(float(seen.min() - at_ns) if len(seen) else np.inf)
    return Samples(values=np.array(values, np.float64))


def _is_end(event: Mapping[str, Any]) -> bool:
    return (event["event"], event.get("condition")) in {
        ("node-ended", None),
        ("node-condition", "stopped"),
    }


def _measurement(name: str) -> Callable[[History, PhaseWindow], Samples]:
    def take(history: History, phase: PhaseWindow) -> Samples:
        del phase
        return Samples(values=history.measurements.get(name, np.empty(0)))

    return take


def _of_iperf3(history: History, phase: PhaseWindow) -> PerNode:
    reference = history.measurements.get("iperf3.goodput", np.empty(0))
    rates = _rate("bytes_in")(history, phase)
    found = (
        {node: value / reference.mean() for node, value in rates.series.items()}
        if len(reference)
        else {}
    )
    return PerNode(series=found, seconds=rates.seconds)


def _ready(history: History, phase: PhaseWindow) -> Samples:
    del phase
    return Samples(values=np.array([] if history.ready_s is None else [history.ready_s * 1e9]))


METRICS: dict[str, Metric] = {
    "private_message.end_to_end": Metric(
        kind="time",
        take=_latency(Operation.PRIVATE_MESSAGE),
        sentence="from the intended time until the receiver had verified and decrypted it",
    ),
    "private_message.delivered": Metric(
        kind="share",
        take=_share(Operation.PRIVATE_MESSAGE),
        sentence="share of private messages acknowledged by the receiver",
    ),
    "private_message.received": Metric(
        kind="rate",
        take=_received,
        sentence="private messages a second that a node received, from its journal",
    ),
    "private_message.hops": Metric(
        kind="number",
        take=_hops(Operation.PRIVATE_MESSAGE),
        sentence="links that a private message passed",
    ),
    "private_message.stretch": Metric(
        kind="number",
        take=_stretch,
        sentence="links passed ÷ links of the shortest path in the topology",
    ),
    "private_message.relayed": Metric(
        kind="share",
        take=_relayed,
        sentence="share of private messages that passed more than one link",
    ),
    "private_message.burst": Metric(
        kind="time",
        take=_burst,
        sentence="from the first intended time until the last of all had arrived",
    ),
    "private_message.burst_each": Metric(
        kind="time", take=_burst_each, sentence="the burst's time ÷ its messages"
    ),
    "private_message.linearity": Metric(
        kind="share",
        take=_linearity,
        sentence="time a message in bursts of different sizes: dearest ÷ cheapest − 1",
    ),
    "broadcast.fanout": Metric(
        kind="number",
        take=_fanout,
        sentence="nodes that a broadcast's source itself sent it to, counted at the receivers",
    ),
    "file_transfer.response": Metric(
        kind="time",
        take=_latency(Operation.FILE_TRANSFER),
        sentence="from the intended time until the receiver had verified the whole file",
    ),
    "file_transfer.goodput": Metric(
        kind="byte rate",
        take=_goodput,
        sentence="file bytes a second, from the intended time; 0 where it failed",
    ),
    "file_transfer.delivered": Metric(
        kind="share",
        take=_share(Operation.FILE_TRANSFER),
        sentence="share of files that arrived whole",
    ),
    "connect.response": Metric(
        kind="time",
        take=_latency(Operation.CONNECT),
        sentence="from the intended time until a new connection was authenticated",
    ),
    "connect.established": Metric(
        kind="share",
        take=_share(Operation.CONNECT),
        sentence="share of new connections that were authenticated",
    ),
    "broadcast.propagation": Metric(
        kind="time",
        take=_propagation,
        sentence="from the intended time until the last of all nodes had it",
    ),
    "broadcast.delivery": Metric(
        kind="time",
        take=_delivery,
        sentence="from the intended time until each receiver had it, a sample a receiver",
    ),
    "broadcast.coverage": Metric(
        kind="share",
        take=_coverage,
        sentence="share of the other nodes whose journals show the broadcast",
    ),
    "dht_put.response": Metric(
        kind="time",
        take=_latency(Operation.DHT_PUT),
        sentence="from the intended time until the value was stored elsewhere",
    ),
    "dht_put.stored": Metric(
        kind="share",
        take=_share(Operation.DHT_PUT),
        sentence="share of puts that another node acknowledged",
    ),
    "dht_get.response": Metric(
        kind="time",
        take=_latency(Operation.DHT_GET),
        sentence="from the intended time until another node's value had arrived",
    ),
    "dht_get.found": Metric(
        kind="share",
        take=_share(Operation.DHT_GET),
        sentence="share of gets answered by another node",
    ),
    "dht_get.hops": Metric(
        kind="number", take=_hops(Operation.DHT_GET), sentence="referrals that led to the value"
    ),
    "dht_listen.response": Metric(
        kind="time",
        take=_latency(Operation.DHT_LISTEN),
        sentence="from the intended time until the listener reported the value",
    ),
    "dht_listen.notified": Metric(
        kind="share",
        take=_share(Operation.DHT_LISTEN),
        sentence="share of values that their listener reported",
    ),
    "dht_lookup.response": Metric(
        kind="time",
        take=_latency(Operation.DHT_LOOKUP),
        sentence="from the intended time until the iterative lookup ended",
    ),
    "dht_lookup.hops": Metric(
        kind="number",
        take=_hops(Operation.DHT_LOOKUP),
        sentence="referrals that led to the closest node",
    ),
    "node.create": Metric(
        kind="time",
        take=_node_time("create"),
        sentence="sign + encrypt, from the nodes' own histograms",
    ),
    "node.verify": Metric(
        kind="time",
        take=_node_time("verify"),
        sentence="decrypt + verify, from the nodes' own histograms",
    ),
    "node.handshake": Metric(
        kind="time",
        take=_node_time("handshake"),
        sentence="TLS handshakes, from the nodes' own histograms",
    ),
    "node.route": Metric(
        kind="time",
        take=_node_time("route"),
        sentence="finding the next hop, from the nodes' own histograms",
    ),
    "node.routes": Metric(
        kind="number", take=_gauge_at_end("routes"), sentence="entries of the routing table"
    ),
    "node.links": Metric(
        kind="number", take=_gauge_at_end("links"), sentence="authenticated links that stand"
    ),
    "node.good": Metric(
        kind="number",
        take=_gauge_at_end("good"),
        sentence="nodes that an OpenDHT node knows to be good",
    ),
    "node.members": Metric(
        kind="number",
        take=_gauge_at_end("members"),
        sentence="members that a node holds to be alive",
    ),
    "membership.failure_seen": Metric(
        kind="time",
        take=_failure_seen,
        sentence="from a node's end until another node reported it failed, a sample a node that "
        "lives",
    ),
    "network.of_iperf3": Metric(
        kind="share",
        take=_of_iperf3,
        sentence="bytes a second in ÷ what iperf3 carried in the same run",
    ),
    "cluster.ready": Metric(
        kind="time",
        take=_ready,
        sentence="from the start of the cluster until every node was ready",
    ),
    "pacer.lag": Metric(
        kind="time", take=_lag, sentence="how late the load generator sent, after the intended time"
    ),
    "rss": Metric(
        kind="size", take=_gauge("rss_bytes"), sentence="resident memory of a node's process"
    ),
    "cpu": Metric(
        kind="share",
        take=_cpu,
        sentence="share of one core over the phase: last − first of the process clock",
    ),
    "fds": Metric(kind="number", take=_gauge("fds"), sentence="open file descriptors"),
    "threads": Metric(kind="number", take=_gauge("threads"), sentence="threads"),
    "connections": Metric(
        kind="number", take=_gauge("connections"), sentence="TCP sockets in the node's namespace"
    ),
    "network": Metric(
        kind="byte rate",
        take=_rate("bytes_in", "bytes_out"),
        sentence="bytes a second in and out on the data plane, over the phase",
    ),
    "network.in": Metric(kind="byte rate", take=_rate("bytes_in"), sentence="bytes a second in"),
    "network.out": Metric(kind="byte rate", take=_rate("bytes_out"), sentence="bytes a second out"),
    **{
        name: Metric(kind=kind, take=_measurement(name), sentence=sentence)
        for name, (kind, sentence) in MEASUREMENTS.items()
    },
}
