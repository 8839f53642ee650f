"""Metrics of what was sampled: memory, CPU, descriptors and bytes of each node, and how late the
load generator was. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.checks import records
from harness.checks.metric import Floats, Metric, PerNode, Samples
from harness.history.events import FaultChanged, NodeChanged, NodeEnded
from harness.history.gaps import Part, Parts
from harness.history.history import History, Nanoseconds, PhaseWindow, once


@once
def _in_order(history: History) -> tuple[pa.Table, Nanoseconds]:
    """The sampler's rows in order of time, and these times."""
    at = history.samples.column("at_ns").to_numpy()
    if (at[1:] >= at[:-1]).all():  # as one sampler writes them
        return history.samples, at
    order = np.argsort(at, kind="stable")
    return history.samples.take(order), at[order]


def _inside(
    history: History, phase: PhaseWindow, *names: str
) -> tuple[npt.NDArray[np.intp], dict[str, npt.NDArray[Any]]]:
    """The sampler's rows inside a phase, by node and then by time: where each node's begin, and
    behind the last; and these columns.
    """
    table, at = _in_order(history)
    begin, end = np.searchsorted(at, [phase.begin_ns, phase.end_ns])
    rows = table.slice(begin, end - begin)
    nodes = rows.column("node").to_numpy()
    order = np.argsort(nodes, kind="stable")
    edges = np.searchsorted(nodes[order], np.arange(len(history.nodes) + 1))
    return edges, {name: rows.column(name).to_numpy()[order] for name in names}


def _sampled(column: str) -> Callable[[History, PhaseWindow], PerNode]:
    def take(history: History, phase: PhaseWindow) -> PerNode:
        edges, columns = _inside(history, phase, column)
        values = columns[column].astype(np.float64)
        told = {
            node: one[~np.isnan(one)]
            for node, (begin, end) in enumerate(pairwise(edges))
            if len(one := values[begin:end])
        }
        return PerNode(series={node: one for node, one in told.items() if len(one)})

    return take


def _rate(*columns: str, of_process: bool = False) -> Callable[[History, PhaseWindow], PerNode]:
    """What cumulative columns gained, a second, as `_rates` has it."""

    def take(history: History, phase: PhaseWindow) -> PerNode:
        nodes, rates = _rates(history, phase, columns, of_process=of_process)
        return PerNode(series=dict(zip(nodes.tolist(), rates[:, None], strict=True)))

    return take


def _rates(
    history: History, phase: PhaseWindow, names: Sequence[str], *, of_process: bool = False
) -> tuple[npt.NDArray[np.intp], Floats]:
    """What cumulative columns gained, a second: of which nodes, and how much; needs two samples of
    a node at least half the phase apart.

    `of_process`: they begin anew with each process of the node. A node that was not counted (its
    values are NaN) is left out.
    """
    edges, columns = _inside(history, phase, "at_ns", *names)
    at, nodes = columns["at_ns"], np.flatnonzero(np.diff(edges))
    begins, ends = edges[nodes], edges[nodes + 1]
    seconds = (at[ends - 1] - at[begins]) / 1e9
    lives = _lives(history, edges, at) if of_process else np.zeros(len(at), np.int64)
    gained = np.zeros(len(nodes))
    for name in names:
        gained += _gained(columns[name].astype(np.float64), lives, begins)
    is_known = (seconds >= phase.seconds / 2) & np.isfinite(gained)
    return nodes[is_known], gained[is_known] / seconds[is_known]


def _gained(
    values: Floats, lives: npt.NDArray[np.int64], begins: npt.NDArray[np.intp]
) -> Floats | int:
    """What a counter gained between the first and the last sample of each node, whose samples
    begin there: the sum over its process's lives. Behind an end of the process, and where it fell,
    it had begun anew from zero.
    """
    if not len(values):
        return 0
    anew = (np.diff(lives) > 0) | (np.diff(values) < 0)
    steps = np.append(0.0, np.where(anew, values[1:], np.diff(values)))
    steps[begins] = 0.0  # from another node's last
    gained: Floats = np.add.reduceat(steps, begins)
    return gained


def _lives(
    history: History, edges: npt.NDArray[np.intp], at_ns: Nanoseconds
) -> npt.NDArray[np.int64]:
    """In which life of its node's process each sample was taken."""
    found = np.zeros(len(at_ns), np.int64)
    for node, ends_ns in ends_of(history).items():
        mine = slice(edges[node], edges[node + 1])
        found[mine] = np.searchsorted(ends_ns, at_ns[mine])
    return found


@once
def ends_of(history: History) -> dict[int, list[int]]:
    """When each node's process ended, in order: by itself, or stopped by the harness."""
    order = {name: index for index, name in enumerate(history.nodes)}
    found: dict[int, list[int]] = {}
    for event in sorted(history.events, key=lambda one: one.at_ns):
        if isinstance(event, NodeEnded) or (isinstance(event, NodeChanged) and event.is_down):
            found.setdefault(order.get(event.node, records.NOBODY), []).append(event.at_ns)
    found.pop(records.NOBODY, None)
    return found


_cpu_ns_per_s = _rate("cpu_ns", of_process=True)
_bytes_in_per_s = _rate("bytes_in")


def cpu(history: History, phase: PhaseWindow) -> PerNode:
    """Share of one core that each node used over the phase; nodes that were not sampled for half of
    it are left out.
    """
    rates = _cpu_ns_per_s(history, phase)
    return PerNode(series={node: value / 1e9 for node, value in rates.series.items()})


def cpu_at_most(history: History, phase: PhaseWindow) -> tuple[PerNode, float]:
    """Share of one core that each node may have used over the phase at most, and for how long it
    was not seen that it did not (s, the longest of a node): `cpu`, and all cores of the host from
    the last sample of each of its processes until that ended. Of one whose end nobody tells, until
    the next one was sampled.
    """
    edges, columns = _inside(history, phase, "at_ns", "cpu_ns")
    at, used = columns["at_ns"], cpu(history, phase).series
    lives = _lives(history, edges, at)
    found, longest_ns = {}, 0
    for node, share in used.items():
        mine = slice(edges[node], edges[node + 1])
        at_ns, lived, fell = at[mine], lives[mine], np.diff(columns["cpu_ns"][mine]) < 0
        ends_ns = np.array([0, *ends_of(history).get(node, ())], np.int64)
        until_ns = np.where(np.diff(lived) > 0, ends_ns[lived[1:]], fell * at_ns[1:])
        unseen_ns = int(np.maximum(until_ns - at_ns[:-1], 0).sum())
        longest_ns = max(longest_ns, unseen_ns)
        found[node] = share + unseen_ns * history.cores / (at_ns[-1] - at_ns[0])
    return PerNode(series=found), longest_ns / 1e9


def cores(history: History, phase: PhaseWindow) -> float:
    """How many cores all nodes together used over the phase, but those that `cpu` leaves out."""
    _, rates = _rates(history, phase, ["cpu_ns"], of_process=True)
    return float(sum((rates / 1e9).tolist()))


def waited(history: History, phase: PhaseWindow) -> float:
    """For which share of the phase the node that waited longest for a core did, of those that no
    fault of the run kept from one; 0 where nobody tells.
    """
    nodes, rates = _rates(history, phase, ["run_delay_ns"], of_process=True)
    by_others = rates[~np.isin(nodes, _kept_from_cores(history))]
    return float(by_others.max(initial=0.0) / 1e9)


def wanted(history: History, phase: PhaseWindow) -> PerNode:
    """Share of one core that each node used over the phase or waited for, but what a fault of the
    run kept it from; nothing is added where nobody tells.
    """
    used = cpu(history, phase).series
    nodes, rates = _rates(history, phase, ["run_delay_ns"], of_process=True)
    is_free = ~np.isin(nodes, _kept_from_cores(history))
    delays = dict(zip(nodes[is_free].tolist(), (rates[is_free] / 1e9).tolist(), strict=True))
    return PerNode(series={node: value + delays.get(node, 0.0) for node, value in used.items()})


@once
def _kept_from_cores(history: History) -> list[int]:
    """The nodes that a fault of the run ever limited in what they may compute."""
    slowed = (
        event.nodes
        for event in history.events
        if isinstance(event, FaultChanged) and "cpu" in event.does.split()
    )
    return [history.index(name) for name in dict.fromkeys(chain.from_iterable(slowed))]


def _of_iperf3(history: History, phase: PhaseWindow) -> PerNode:
    reference = history.measurements.get("iperf3.goodput", np.empty(0))
    if not len(reference):
        return PerNode(series={})
    rates = _bytes_in_per_s(history, phase)
    return PerNode(series={node: value / reference.mean() for node, value in rates.series.items()})


def pacer_lag(history: History, phase: PhaseWindow) -> Samples:
    """How late the load generator sent each operation of the phase, ns; infinite where it never
    did.
    """
    intended, sent = history.column("intended_ns"), history.column("sent_ns")
    chosen = records.due(history, phase)
    lag = (sent - intended)[chosen].astype(np.float64)
    lag[sent[chosen] == 0] = np.inf
    return Samples(values=lag, of=chosen)


SAMPLES = frozenset({Part.SAMPLES})
OF_IPERF3 = "network.of_iperf3"  # a rate, as a share of another one


def _of_node(
    kind: str,
    take: Callable[[History, PhaseWindow], PerNode],
    sentence: str,
    needs: Parts = SAMPLES,
) -> Metric:
    """A metric of what was sampled of each node."""
    return Metric(kind=kind, take=take, sentence=sentence, needs=needs, by_node=True)


RESOURCE_METRICS: dict[str, Metric] = {
    "pacer.lag": Metric(
        kind="time",
        take=pacer_lag,
        sentence="how late the load generator sent, after the intended time",
        needs=frozenset({Part.OPERATIONS}),
    ),
    "rss": _of_node("size", _sampled("rss_bytes"), "resident memory of a node's process"),
    "memory": _of_node(
        "size",
        _sampled("memory_bytes"),
        "memory of a node's processes that no file holds, in memory or swapped out",
    ),
    "cpu": _of_node(
        "share", cpu, "share of one core over the phase: what the process clock gained"
    ),
    "fds": _of_node("number", _sampled("fds"), "open file descriptors"),
    "threads": _of_node("number", _sampled("threads"), "threads"),
    "connections": _of_node(
        "number", _sampled("connections"), "TCP sockets in the node's namespace"
    ),
    "disk": _of_node(
        "size",
        _sampled("disk_bytes"),
        "what the files in a node's directory take of the disk, without its log; twice a minute",
    ),
    "network": _of_node(
        "byte rate",
        _rate("bytes_in", "bytes_out"),
        "bytes a second in and out on the data plane, over the phase",
    ),
    "network.in": _of_node("byte rate", _bytes_in_per_s, "bytes a second in"),
    "network.out": _of_node("byte rate", _rate("bytes_out"), "bytes a second out"),
    OF_IPERF3: _of_node(
        "share",
        _of_iperf3,
        "bytes a second in ÷ what iperf3 carried in the same run",
        SAMPLES | {Part.MEASUREMENTS},
    ),
}
