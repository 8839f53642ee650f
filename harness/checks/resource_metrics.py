"""Metrics of what was sampled: memory, CPU, descriptors and bytes of each node, and how late the
load generator was. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from harness.checks import records
from harness.checks.metric import Metric, PerNode, Samples
from harness.history.history import History, PhaseWindow


def samples_of(history: History, phase: PhaseWindow) -> dict[int, dict[str, npt.NDArray[np.int64]]]:
    """The sampler's rows inside a phase: node index → column → values, in order of time."""
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


def _sampled(column: str) -> Callable[[History, PhaseWindow], PerNode]:
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
        return PerNode(series=found)

    return take


_cpu_ns_per_s = _rate("cpu_ns")
_bytes_in_per_s = _rate("bytes_in")


def cpu(history: History, phase: PhaseWindow) -> PerNode:
    """Share of one core that each node used over the phase; nodes that were not sampled for half of
    it are left out.
    """
    rates = _cpu_ns_per_s(history, phase)
    return PerNode(series={node: value / 1e9 for node, value in rates.series.items()})


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
    return Samples(values=lag)


RESOURCE_METRICS: dict[str, Metric] = {
    "pacer.lag": Metric(
        kind="time",
        take=pacer_lag,
        sentence="how late the load generator sent, after the intended time",
    ),
    "rss": Metric(
        kind="size", take=_sampled("rss_bytes"), sentence="resident memory of a node's process"
    ),
    "cpu": Metric(
        kind="share",
        take=cpu,
        sentence="share of one core over the phase: last − first of the process clock",
    ),
    "fds": Metric(kind="number", take=_sampled("fds"), sentence="open file descriptors"),
    "threads": Metric(kind="number", take=_sampled("threads"), sentence="threads"),
    "connections": Metric(
        kind="number", take=_sampled("connections"), sentence="TCP sockets in the node's namespace"
    ),
    "network": Metric(
        kind="byte rate",
        take=_rate("bytes_in", "bytes_out"),
        sentence="bytes a second in and out on the data plane, over the phase",
    ),
    "network.in": Metric(kind="byte rate", take=_bytes_in_per_s, sentence="bytes a second in"),
    "network.out": Metric(kind="byte rate", take=_rate("bytes_out"), sentence="bytes a second out"),
    "network.of_iperf3": Metric(
        kind="share",
        take=_of_iperf3,
        sentence="bytes a second in ÷ what iperf3 carried in the same run",
    ),
}
