"""What nodes and host used over time: bands of all nodes, and the series of each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.history.history import History
from harness.operations import Outcome
from harness.reports.series import clock
from harness.reports.series.chart import Chart, Floats, Line

BAND = (10, 90)  # percentiles of the nodes between which the band lies
WORST = 10
GAP_S = 2.0  # two samples so far apart say nothing of each second between them
HELD_S = 60.0  # what is looked at twice a minute: so long a look stands for its node at most
VALUES_MOST = 60_000  # of one resource, over all nodes: what a page carries for each
BUCKETS_LEAST, BUCKETS_MOST = 10, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something sampled of each node: its column, and the factor from that to `unit`. `seldom`:
    when it is looked at, where that is not in each pass; a look stands until the next.
    """

    title: str
    unit: str
    column: str
    factor: float = 1.0
    is_rate: bool = False
    seldom: str = ""

    @property
    def note(self) -> str:
        """What its chart says besides; empty: nothing."""
        said = f"looked at {self.seldom}; until the next look the last is drawn"
        return said if self.seldom else ""


RESOURCES = (
    Resource(title="Resident memory", unit="MB", column="rss_bytes", factor=1e-6),
    Resource(
        title="Memory that no file holds",
        unit="MB",
        column="memory_bytes",
        factor=1e-6,
        seldom="in each pass, of many nodes in turns",
    ),
    Resource(title="CPU of one core", unit="%", column="cpu_ns", factor=1e-7, is_rate=True),
    Resource(
        title="Waiting for a core", unit="%", column="run_delay_ns", factor=1e-7, is_rate=True
    ),
    Resource(title="File descriptors", unit="", column="fds"),
    Resource(title="Threads", unit="", column="threads"),
    Resource(title="TCP connections", unit="", column="connections"),
    Resource(title="Disk", unit="MB", column="disk_bytes", factor=1e-6, seldom="twice a minute"),
    Resource(title="Network in", unit="MB/s", column="bytes_in", factor=1e-6, is_rate=True),
    Resource(title="Network out", unit="MB/s", column="bytes_out", factor=1e-6, is_rate=True),
)
DATA = "samples.arrow"
# What nodes are ranked by → the rank of each row, which has a value at least.
RANKS: dict[str, Callable[[Floats], Floats]] = {
    "mean": lambda rows: np.asarray(np.nanmean(rows, axis=1)),
    "highest": lambda rows: np.asarray(np.nanmax(rows, axis=1)),
    "sum": lambda rows: np.asarray(np.nansum(rows, axis=1)),
}


def matrix(history: History, resource: Resource) -> Floats:
    """Compute node × second values, in the resource's unit; a rate is the gain a second of a
    cumulative column. Of several samples in a second the highest, of rates the mean; nan where
    nothing was sampled.
    """
    samples = history.samples
    at_ns, node = samples.column("at_ns").to_numpy(), samples.column("node").to_numpy()
    value = _floats(samples, resource.column)
    if resource.seldom:
        value = _held(at_ns, node, _floats(samples, "pid"), value)
    table = by_second(history, at_ns, node, value, is_rate=resource.is_rate)
    return table * resource.factor


def _floats(table: pa.Table, column: str) -> Floats:
    found: Floats = table.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
    return found


def _held(at_ns: npt.NDArray[Any], node: npt.NDArray[Any], pid: Floats, value: Floats) -> Floats:
    """Give each sample the last look at its node, as long as that has the same first process."""
    order = np.lexsort((at_ns, node))
    at, node, pid, value = at_ns[order] / 1e9, node[order], pid[order], value[order]
    looked = np.where(np.isfinite(value), np.arange(len(value)), -1)
    last = np.maximum.accumulate(looked) if len(looked) else looked
    holds = (last >= 0) & (node[last] == node) & (pid[last] == pid) & (at - at[last] <= HELD_S)
    found = np.full(len(value), np.nan)
    found[order] = np.where(holds | (looked >= 0), value[last], np.nan)
    return found


def by_second(
    history: History,
    at_ns: npt.NDArray[Any],
    node: npt.NDArray[Any],
    value: Floats,
    *,
    is_rate: bool,
) -> Floats:
    """Lay values out as node × second: the highest of each, or the mean gain of a cumulative one;
    nan where there is none.
    """
    length = clock.seconds(history)
    table = np.full(len(history.nodes) * length, np.nan)
    at = (at_ns - clock.begin_ns(history)) / 1e9
    if is_rate:
        order = np.lexsort((at, node))
        at, node, value = at[order], node[order], value[order]
        # A counter that went back is one of a new process: what it gained is not known.
        same = (node[1:] == node[:-1]) & (np.diff(value) >= 0)
        gained = np.diff(value) / np.maximum(np.diff(at), 1e-9)
        at, node, value = at[1:][same], node[1:][same], gained[same]
    inside = (at >= 0) & (at < length)
    cell = node[inside].astype(np.intp) * length + at[inside].astype(np.intp)
    value = value[inside]
    if is_rate:
        count = np.bincount(cell, minlength=len(table))
        table[count > 0] = (np.bincount(cell, value, len(table)) / np.maximum(count, 1))[count > 0]
    else:
        np.fmax.at(table, cell, value)
    return table.reshape(-1, length)


def key_of(column: str) -> str:
    """Name the anchor of a resource's chart."""
    return f"resource-{column.replace('_', '-')}"


def of_nodes(history: History) -> tuple[list[Chart], list[NodeSeries]]:
    """Compute a chart over all nodes, and the series of each, of every resource that was sampled,
    one after the other: a table of a long run is large.
    """
    charts, made = [], []
    for resource in RESOURCES:
        table = matrix(history, resource)
        if np.isfinite(table).any():
            by, key = "mean" if resource.is_rate else "highest", key_of(resource.column)
            title, unit = resource.title, resource.unit
            made_of = f"{title}, by node", unit, table, (DATA,)
            charts.append(replace(chart(history, key, *made_of), note=resource.note))
            made.append(series(key, title, unit, table, by))
    for key, end, title in (
        ("bad-to", "target", "Not come true, sent to the node"),
        ("bad-from", "source", "Not come true, sent by the node"),
    ):
        table = bad(history, end)
        if table.any():
            made.append(series(key, title, "/s", table, "sum"))
    return charts, made


def ranked(table: Floats, percents: Sequence[float]) -> list[Floats]:
    """Compute percentiles of the nodes in each second, by nearest rank; nan where nothing was
    sampled.
    """
    ordered = np.sort(table.T, axis=1)  # what was not sampled comes last
    count = np.isfinite(ordered).sum(axis=1)
    at = np.arange(len(ordered))
    return [
        ordered[at, np.maximum(np.ceil(count * percent / 100).astype(np.int64) - 1, 0)]
        for percent in percents
    ]


def chart(
    history: History, key: str, title: str, unit: str, table: Floats, data: tuple[str, ...]
) -> Chart:
    """Make a chart over all nodes of a table of node × second."""
    low, middle, high, worst = ranked(table, (BAND[0], 50, BAND[1], 100))
    return Chart(
        key=key,
        title=title,
        unit=unit,
        at_s=clock.middles(history),
        lines=(
            Line(name=f"{BAND[0]} to {BAND[1]} % of the nodes", values=low, upper=high),
            Line(name="median", values=middle),
            Line(name="worst", values=worst),
        ),
        data=data,
    )


def host(history: History) -> Chart:
    """Compute how busy the host was; nan where it was not sampled for longer than GAP_S."""
    at = (history.host.column("at_ns").to_numpy() - clock.begin_ns(history)) / 1e9
    gaps = np.maximum(np.diff(at), 1e-9)

    def share(column: str, unit_s: float, of: float) -> Floats:
        values = history.host.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(gaps > GAP_S, np.nan, 100 * np.diff(values) * unit_s / gaps / of)

    inside = (at[1:] >= 0) & (at[1:] <= clock.end_s(history) + 1)
    shares = (
        ("busy", share("cpu_busy_ns", 1e-9, history.cores)),
        ("stolen", share("cpu_steal_ns", 1e-9, history.cores)),
        ("used-up quota", share("cpu_throttled_us", 1e-6, history.cores)),
        ("pressure", share("psi_cpu_some_us", 1e-6, 1)),
        ("of disks", share("psi_io_some_us", 1e-6, 1)),
    )
    return Chart(
        key="host",
        title="The host: busy, stolen, waiting for a CPU or a disk",
        unit="%",
        at_s=at[1:][inside],
        lines=tuple(Line(name=name, values=values[inside]) for name, values in shares),
        note="used-up quota: what the harness's control group was kept from; pressure: the share "
        "of time in which some task waited for a CPU (PSI); of disks: for a disk",
        data=("host.arrow",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeries:
    """The series of every node: node × bucket, the lowest and the highest sample of each bucket
    (nan: none). `worst` are indexes of nodes, worst first, and `ranked` what they are ranked by.
    """

    key: str
    title: str
    unit: str
    low: Floats
    high: Floats
    worst: tuple[int, ...]
    ranked: Floats
    ranked_by: str
    seconds: float  # of a bucket


def bad(history: History, end: str) -> Floats:
    """Count operations that did not come true, node × second, by their `source` or `target`."""
    length, nodes = clock.seconds(history), len(history.nodes)
    due = (history.column("intended_ns") - clock.begin_ns(history)) / 1e9
    node = history.column(end).astype(np.int64)
    mine = (history.column("outcome") != Outcome.OK) & (due >= 0) & (due < length) & (node >= 0)
    cells = node[mine] * length + due[mine].astype(np.int64)
    return np.bincount(cells, minlength=nodes * length).reshape(nodes, length).astype(np.float64)


def buckets(nodes: int, length: int) -> int:
    """Choose how many seconds each bucket of a node's series has, so that a page can carry all."""
    most = min(BUCKETS_MOST, max(BUCKETS_LEAST, VALUES_MOST // max(nodes, 1)))
    return -(-length // most)


def series(key: str, title: str, unit: str, table: Floats, by: str) -> NodeSeries:
    """Make the series of every node of a table of node × second, ranked as RANKS says."""
    size = buckets(*table.shape)
    starts = np.arange(0, table.shape[1], size)
    known = np.isfinite(table)
    low = np.minimum.reduceat(np.where(known, table, np.inf), starts, axis=1)
    high = np.maximum.reduceat(np.where(known, table, -np.inf), starts, axis=1)
    ranked = np.full(len(table), -np.inf)
    some = known.any(axis=1)
    ranked[some] = RANKS[by](table[some])
    order = np.argsort(-ranked, kind="stable")[:WORST]
    return NodeSeries(
        key=key,
        title=title,
        unit=unit,
        low=np.where(np.isfinite(low), low, np.nan),
        high=np.where(np.isfinite(high), high, np.nan),
        worst=tuple(int(at) for at in order if np.isfinite(ranked[at])),
        ranked=ranked,
        ranked_by=by,
        seconds=float(size),
    )
