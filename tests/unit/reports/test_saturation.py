"""The page of a search: its picture has a scale, room for its labels, and no point that was not."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from kit.searches import TRIES, attempt, facts

from harness.reports import saturation as page
from harness.reports.svg.chart import CHARACTER


def picture(of):
    svg = re.search("<svg.*</svg>", page.render(of)).group()
    quoted = re.sub(r"=([\w]+)(?=[ >])", r"='\1'", svg)
    return ET.fromstring(quoted)


def texts(root, anchor):
    return [each for each in root.iter("text") if each.get("text-anchor") == anchor]


def test_labels_have_room_on_a_phone_and_the_answers_ends_are_named():
    root = picture(facts(TRIES))
    assert root.get("viewBox").split()[2] == "520"
    boxes = []
    for label in texts(root, "middle"):
        half = len(label.text) * CHARACTER / 2
        x = float(label.get("x"))
        assert half <= x <= 520 - half
        boxes.append((label.get("y"), x - half, x + half))
    for one, other in itertools.combinations(boxes, 2):
        assert one[0] != other[0] or one[2] < other[1] or other[2] < one[1]
    assert {"400/s", "430/s", "100/s", "800/s"} <= {one.text for one in texts(root, "middle")}


@pytest.mark.parametrize("value", [11.0, 15.0, 1234.0])
def test_a_picture_has_a_scale_whatever_its_values_are(value):
    found = facts([attempt(100, value), attempt(200, value * 1.5)], bound=value * 1.2)
    ticks = [one.text for one in texts(picture(found), "end")]
    assert len(ticks) >= 2
    assert not any("e" in one for one in ticks)


def test_no_line_runs_through_a_try_that_has_no_point():
    tries = [attempt(100, 10.0), attempt(200, None), attempt(300, 30.0)]
    [*_, p99] = picture(facts(tries)).iter("path")
    assert "L" not in p99.get("d")
    assert p99.get("d").count("M") == 2


def test_a_bound_of_nothing_has_no_line():
    def bounds(of):
        return [one for one in picture(of).iter("line") if one.get("class") == "bound"]

    assert len(bounds(facts(TRIES))) == 1
    assert not bounds(facts(TRIES, bound=0.0))


def test_the_table_has_no_power_of_ten():
    text = page.render(facts([attempt(1_000_000, 1234.0)]))
    assert "<span>1,234 ms</span>" in text
    assert "<span>1,000,000/s</span>" in text


def test_no_word_or_figure_of_a_try_is_broken_in_two():
    """They look as they do in the report of a run, where nothing of them wraps."""
    text = page.render(facts([attempt(100, 10.0, "UNKNOWN")]))
    assert '<span class="answer UNKNOWN">UNKNOWN</span>' in text
    assert text.count('<td class="number"') == 1 + len(page.LINES)
