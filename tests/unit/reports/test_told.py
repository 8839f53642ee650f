"""What nodes tell of themselves is drawn where a row is about it, and where it was told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kit.told import judged, telling

from harness.reports.series import links, told

RUN = telling(
    {
        ("lag_seconds", "gauge"): [0.25] * 9 + [math.nan],
        ('sent_total{to="a"}', "counter"): [10.0 * at for at in range(10)],
        ('sent_total{to="b"}', "counter"): [None] * 5 + [float(at) for at in range(5)],
        ('took_seconds_bucket{le="+Inf"}', "histogram"): [float(at) for at in range(10)],
        ("took_seconds_sum", "histogram"): [0.5 * at for at in range(10)],
        ("took_seconds_count", "histogram"): [float(at) for at in range(10)],
    },
    {("lag_seconds", "gauge"): [0.5] * 10},
)


def drawn(metric: str, **row: object):
    finding = judged(RUN, metric, 1, **row)
    charts, series = told.of_nodes(RUN, [finding, finding])
    return finding, charts, series


@pytest.mark.parametrize(
    ("metric", "row", "unit", "first", "last"),
    [
        ("gauge.lag_seconds", {"unit": "ms"}, "ms", 250, math.nan),
        ("rate.sent_total", {"unit": "1/s"}, "1/s", math.nan, 11),
        ('rate.sent_total{to="a"}', {"unit": "1/s"}, "1/s", math.nan, 10),
        ("histogram.took_seconds", {"unit": "ms", "statistic": "mean"}, "ms", math.nan, 500),
    ],
)
def test_what_a_row_is_about_is_drawn_once(metric, row, unit, first, last):
    finding, [chart], [series] = drawn(metric, **row)
    assert (chart.key, chart.unit) == (links.chart_of(finding), unit)
    low = series.low[0]
    assert np.allclose(low[[0, -1]], [first, last], equal_nan=True)
    assert links.is_drawn(finding)
    [bounded] = links.with_bounds(RUN, [chart], [finding])
    assert len(bounded.bounds) == 1
    assert links.files_of(finding) == ("metrics/",)


def test_a_quantile_is_not_the_mean_that_is_drawn():
    finding, [chart], _ = drawn("histogram.took_seconds", unit="s", statistic="p50")
    assert not links.is_drawn(finding)
    assert links.with_bounds(RUN, [chart], [finding])[0].bounds == ()


def test_what_nobody_told_has_no_chart():
    assert drawn("gauge.other")[1:] == ([], [])


def test_the_worst_node_is_first():
    [series] = drawn("gauge.lag_seconds", unit="ms")[2]
    assert series.worst == (1, 0)
