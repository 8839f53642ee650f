"""Metrics of what was sampled: memory, CPU, descriptors and bytes of each node, and how late the
load generator was. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from harness.checks import records
from harness.checks.metric import Metric, PerNode, Samples
from harness.history.events import NodeChanged, NodeEnded
from harness.history.gaps import Part, Parts
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


def _rate(*columns: str, of_process: bool = False) -> Callable[[History, PhaseWindow], PerNode]:
    """What cumulative columns gained, a second; needs two samples at least half the phase apart.

    `of_process`: they begin anew with each process of the node. A node that was not counted (its
    values are NaN) is left out.
    """

    def take(history: History, phase: PhaseWindow) -> PerNode:
        found, ends = {}, _ends_of(history) if of_process else {}
        for node, rows in samples_of(history, phase).items():
            seconds = (rows["at_ns"][-1] - rows["at_ns"][0]) / 1e9
            if seconds >= phase.seconds / 2:
                own = ends.get(history.nodes[node], [])
                gained = sum(_gained(rows["at_ns"], rows[column], own) for column in columns)
                if np.isfinite(gained):
                    found[node] = np.array([gained / seconds])
        return PerNode(series=found)

    return take


def _gained(at_ns: npt.NDArray[np.int64], values: npt.NDArray[Any], ends_ns: list[int]) -> float:
    """What a counter gained between its first and last sample: the sum over its process's lives.

    Behind an end of the process, and where it fell, it had begun anew from zero.
    """
    values = values.astype(np.float64)
    lives = np.searchsorted(np.array(ends_ns, np.int64), at_ns)
    anew = (np.diff(lives) > 0) | (np.diff(values) < 0)
    return float(np.where(anew, values[1:], np.diff(values)).sum())


def _ends_of(history: History) -> dict[str, list[int]]:
    """When each node's process ended, in order: by itself, or stopped by the harness."""
    found: dict[str, list[int]] = {}
    for event in sorted(history.events, key=lambda one: one.at_ns):
        if isinstance(event, NodeEnded) or (
            isinstance(event, NodeChanged) and event.condition == "stopped"
        ):
            found.setdefault(event.node, []).append(event.at_ns)
    return found


_cpu_ns_per_s = _rate("cpu_ns", of_process=True)
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
    return Samples(values=lag, of=chosen)


SAMPLES = frozenset({Part.SAMPLES})


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
    "cpu": _of_node(
        "share", cpu, "share of one core over the phase: what the process clock gained"
    ),
    "fds": _of_node("number", _sampled("fds"), "open file descriptors"),
    "threads": _of_node("number", _sampled("threads"), "threads"),
    "connections": _of_node(
        "number", _sampled("connections"), "TCP sockets in the node's namespace"
    ),
    "network": _of_node(
        "byte rate",
        _rate("bytes_in", "bytes_out"),
        "bytes a second in and out on the data plane, over the phase",
    ),
    "network.in": _of_node("byte rate", _bytes_in_per_s, "bytes a second in"),
    "network.out": _of_node("byte rate", _rate("bytes_out"), "bytes a second out"),
    "network.of_iperf3": _of_node(
        "share",
        _of_iperf3,
        "bytes a second in ÷ what iperf3 carried in the same run",
        SAMPLES | {Part.MEASUREMENTS},
    ),
}
