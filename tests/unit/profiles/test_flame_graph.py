"""A flame graph is well-formed, shows what was counted, and believes no name."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from harness.profiles.flame_graph import WIDTH, draw
from harness.profiles.stacks import Stacks, parse

SVG = "{http://www.w3.org/2000/svg}"


def boxes(drawn: str) -> dict[str, tuple[float, float, float]]:
    """Title → left edge, width, top."""
    found = {}
    for group in ET.fromstring(drawn).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        title = group.find(f"{SVG}title").text
        found[title] = tuple(float(rect.get(key)) for key in ("x", "width", "y"))
    return found


def test_a_function_is_as_wide_as_its_share_and_below_its_caller():
    found = boxes(draw(parse("main;hot 3\nmain;cold 1\n", "samples"), "t", "s"))
    every, main = found["all: 4 samples, 100.0%"], found["main: 4 samples, 100.0%"]
    cold, hot = found["cold: 1 samples, 25.0%"], found["hot: 3 samples, 75.0%"]
    assert every[1] == main[1] == WIDTH
    assert (hot[1], cold[1]) == (WIDTH * 3 / 4, WIDTH / 4)
    assert hot[0] == cold[0] + cold[1]
    assert every[2] < main[2] < hot[2] == cold[2]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"x" onload="y', "]]>", "a&b", "é…"])
def test_a_name_is_text_and_nothing_else(name):
    drawn = draw(Stacks(counts={(name,): 1}, unit="samples"), name, name)
    assert f"{name}: 1 samples, 100.0%" in boxes(drawn)
    assert len(re.findall("<script", drawn)) == 1


def test_nothing_counted_is_a_picture_of_nothing():
    assert list(boxes(draw(Stacks(counts={}, unit="samples"), "t", "s"))) == [
        "all: 0 samples, 0.0%"
    ]


def test_it_asks_the_network_for_nothing():
    drawn = draw(parse("main 1\n", "samples"), "t", "s")
    assert re.findall(r"https?://[^\"' ]+", drawn) == ["http://www.w3.org/2000/svg"]
    assert "href" not in drawn


def test_a_deep_stack_is_drawn():
    drawn = draw(parse(";".join(map(str, range(400))) + " 1\n", "samples"), "t", "s")
    assert len(boxes(drawn)) == 401
