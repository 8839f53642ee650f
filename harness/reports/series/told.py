"""What nodes told of themselves over time, of each name that a row of the budget is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from harness.checks import told, told_metrics
from harness.checks.metric import Floats
from harness.checks.metrics import METRICS
from harness.checks.verdict import Finding
from harness.history.history import History
from harness.history.metrics import Files, Series
from harness.reports.series import resources
from harness.reports.series.chart import Chart
from harness.reports.series.resources import NodeSeries

# Kind of a metric → the unit of its chart, and how many of it one of the kind's base is.
UNITS = {
    "time": ("ms", 1e-6),
    "size": ("MB", 1e-6),
    "byte rate": ("MB/s", 1e-6),
    "share": ("%", 100.0),
    "number": ("", 1.0),
    "rate": ("1/s", 1.0),
}


def key_of(metric: str) -> str:
    """Name the anchor of a metric's chart."""
    return f"told-{re.sub('[^A-Za-z0-9]+', '-', metric).strip('-')}"


def of_nodes(history: History, findings: Sequence[Finding]) -> tuple[list[Chart], list[NodeSeries]]:
    """Compute a chart over all nodes, and the series of each, of every name that is judged and was
    told once a second.
    """
    charts, series = [], []
    names = dict.fromkeys(one.metric for one in findings if told_metrics.is_told(one.metric))
    for name in names if history.metrics.values.num_rows else ():
        unit, factor = UNITS[METRICS[name].kind]
        word, _, rest = name.partition(".")
        table = _table(history, word, Series.read(rest)) * factor
        if np.isfinite(table).any():
            title = f"{'mean of ' if word == 'histogram' else ''}{name}"
            charts.append(resources.chart(history, key_of(name), title, unit, table, DATA))
            by = "highest" if word == "gauge" else "mean"
            series.append(resources.series(key_of(name), title, unit, table, by))
    return charts, series


DATA = (str(Files.VALUES), str(Files.SERIES))


def _table(history: History, word: str, asked: Series) -> Floats:
    """Compute node × second values, in the base unit of the metric's kind."""
    if word == "histogram":
        sums, counts = (
            _counted(history, Series(asked.name + end, asked.labels)) for end in ("_sum", "_count")
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Floats = np.where(counts > 0, sums / counts, np.nan)
        return mean * told_metrics.native(asked.name)[1]
    if word == "rate":
        kind, factor = told_metrics.native(asked.name)[2], told_metrics.native(asked.name)[1]
        return _counted(history, asked) * (1.0 if kind == "share" else factor)
    at_ns, node, value = _told(history, asked)
    table = resources.by_second(history, at_ns, node, value, is_rate=False)
    return table * told_metrics.native(asked.name)[1]


def _counted(history: History, asked: Series) -> Floats:
    """What the counters of each node gained together, a second."""
    at_ns, node, value = _told(history, asked)
    pages, place = np.unique(np.stack([node.astype(np.int64), at_ns]), axis=1, return_inverse=True)
    together = np.bincount(place.ravel(), value, pages.shape[1]).astype(np.float64)
    return resources.by_second(history, pages[1], pages[0], together, is_rate=True)


def _told(history: History, asked: Series) -> tuple[Floats, Floats, Floats]:
    """What was told of these series: when, by which node, and its value."""
    table = history.metrics.values
    mine = np.isin(table.column("series").to_numpy(), told.matching(history, asked))
    at_ns, node, value = (
        table.column(name).to_numpy()[mine] for name in ("at_ns", "node", "value")
    )
    return at_ns, node, np.where(np.isfinite(value), value, np.nan)
