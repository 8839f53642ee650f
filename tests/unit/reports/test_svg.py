"""Pictures: an axis holds its values, lanes hold bands side by side, and texts fit their room."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.verdicts import full

from harness.reports.series import graph
from harness.reports.series.bands import Band
from harness.reports.series.chart import Bound, Chart, Line, Mark
from harness.reports.svg import axes, chart, topology

SCENE = chart.Scene(phases=(), bands=(), begin_ns=0, end_s=10.0)


def drawn(values, scene=SCENE, **more):
    line = Line(name="x", values=np.array(values, float))
    one = Chart(
        key="k", title="<t>", unit="", at_s=np.arange(len(values)) + 0.5, lines=(line,), **more
    )
    return ET.fromstring(chart.draw(one, scene).replace('hidden=""', 'hidden="hidden"'))


def of_class(root, name):
    return [each for each in root.iter() if name in each.get("class", "").split()]


@given(st.floats(1e-6, 1e12))
def test_an_axis_holds_its_values_and_has_few_ticks(most):
    top, ticks = axes.scale(most)
    assert top >= most * 0.999
    assert 2 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert np.all(np.diff(ticks) > 0)


@given(st.floats(1e-6, 1e9), st.floats(1, 1e9))
def test_a_logarithmic_axis_holds_its_values_and_has_few_ticks(least, factor):
    low, high, ticks = axes.log_scale(least, least * factor)
    assert low <= least * 1.001
    assert high >= least * factor * 0.999
    assert 2 <= len(ticks) <= 9
    assert np.all(np.diff(ticks) > 0)


def test_equal_factors_are_equally_far_apart_on_a_logarithmic_axis():
    of = axes.Axes(left=0, right=1, top=0, floor=90, end_s=1, least=1, most=1000, log=True)
    assert of.ys(np.array([1.0, 10.0, 100.0, 1000.0])).tolist() == pytest.approx([90, 60, 30, 0])
    assert of.y(0.0) == 90


@pytest.mark.parametrize("largest", [1.0, 10_000.0, 1_234_567.0])
def test_the_labels_of_an_axis_have_room_at_the_size_of_a_phone(largest):
    root = drawn([0, largest])
    labels = [each for each in of_class(root, "tick") if each.get("text-anchor") == "end"]
    for label in labels:
        if float(label.get("x")) < 200:
            assert float(label.get("x")) >= len(label.text) * 8.2


def test_bands_lie_side_by_side_and_what_has_no_lane_is_counted():
    def band(name, begin, end):
        return Band(name=name, kind="cut", does="", from_s=begin, until_s=end)

    found = [band("a", 0, 5), band("b", 5, 9), band("c", 1, 2), band("d", 1, 9)]
    lanes, more = chart.lanes_of(found)
    assert [[one.name for one in lane] for lane in lanes] == [["a", "b"], ["d"], ["c"]]
    assert more == 0
    assert chart.lanes_of([band(str(at), 0, 9) for at in range(9)])[1] == 9 - chart.LANES_MOST


def test_a_band_has_the_colour_of_its_kind_and_its_name_where_it_fits():
    wide = Band(name="<halves>", kind="cut", does="cut", from_s=1, until_s=9)
    thin = Band(name="a blink", kind="delay", does="delay 1 ms", from_s=9, until_s=9.01)
    scene = chart.Scene(phases=(), bands=(wide, thin), begin_ns=0, end_s=10.0)
    root = drawn([1, 2], scene)
    [first, second] = [each for each in of_class(root, "band") if each.tag == "rect"]
    assert (first.get("class"), second.get("class")) == ("band k-cut", "band k-delay")
    assert float(second.get("width")) >= 1
    assert second.find("title").text == "a blink: delay 1 ms"
    assert [each.text for each in of_class(root, "band") if each.tag == "text"] == ["<halves>"]


def test_a_bound_is_drawn_where_it_is_near_and_named_where_it_is_far():
    near = Bound(value=3.0, from_s=0, until_s=10, says="p99: p99 < 3 ms")
    far = Bound(value=1000.0, from_s=0, until_s=10, says="max: max < 1 s")
    root = drawn([1, 2], bounds=(near, far))
    [line] = [each for each in of_class(root, "bound") if each.tag == "line"]
    assert line.find("title").text == "p99: p99 < 3 ms"
    said = [each.text for each in of_class(root, "bound") if each.tag == "text"]
    assert said == ["p99 < 3 ms", "max < 1 s (off the chart)"]


def test_a_mark_says_how_many_did_not_come_true():
    [mark] = of_class(drawn([1, 2], marks=(Mark(from_s=1, until_s=2, says="3 of 4"),)), "mark")
    assert mark.find("title").text == "3 of 4"


def test_a_line_has_a_gap_where_nothing_was_measured():
    path = chart.path(np.arange(5.0), np.array([1.0, 2.0, np.nan, 3.0, np.nan]))
    assert path == "M0.0 1.0L1.0 2.0M3.0 3.0h2"


def test_a_band_has_a_gap_where_nothing_was_measured():
    lower = np.array([1.0, 1.0, np.nan, np.nan, 1.0, 1.0, np.nan, 1.0])
    band = Line(name="10 to 90 %", values=lower, upper=lower + 1)
    one = Chart(key="k", title="t", unit="", at_s=np.arange(8) + 0.5, lines=(band,))
    text = chart.draw(one, SCENE)
    parts = [each.split() for each in re.findall(r'class="band" points="([^"]*)"', text)]
    assert [len(points) for points in parts] == [4, 4, 4]
    first, second, lone = ([float(point.split(",")[0]) for point in points] for points in parts)
    assert max(first) < min(second) <= max(second) < min(lone)
    assert max(lone) - min(lone) == 2


def test_areas_stand_upon_each_other():
    lines = tuple(Line(name=name, values=np.array([1.0, 1.0]), look=name) for name in ("ok", "b"))
    stacked = Chart(key="k", title="t", unit="", at_s=np.arange(2.0), lines=lines, stacked=True)
    text = chart.draw(stacked, SCENE)
    lower, upper = re.findall(r'class="area \w+" points="([^"]*)"', text)
    # Four corners each: the floor of the upper one is the top of the lower one.
    assert lower.split()[:2] == upper.split()[:1:-1]


def test_a_picture_of_the_nodes_has_each_of_them():
    [picture] = graph.graphs(full(), ["a", "<b>", "a"])
    root = ET.fromstring(topology.draw(picture))
    assert len(of_class(root, "node")) == 3
    assert "<b>" in [each.text for each in root.iter("text")]
