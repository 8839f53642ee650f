"""Shapes: every one connects, holds its promise, and comes out the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.topology import shapes


def names(count: int) -> list[str]:
    return [f"n{index}" for index in range(count)]


def degrees(links: shapes.Links, count: int) -> list[int]:
    found = dict.fromkeys(names(count), 0)
    for a, b in links:
        found[a] += 1
        found[b] += 1
    return list(found.values())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(shapes.SHAPES)), st.integers(1, 40), st.integers(0, 5))
def test_every_shape_is_one_component_and_repeats_with_its_seed(kind, count, seed):
    numbers = {"degree": 4.0} if "degree" in shapes.SHAPES[kind].parameters else {}
    first = shapes.links(kind, names(count), numbers, seed)
    assert first == shapes.links(kind, names(count), numbers, seed)
    pairs = {(int(a[1:]), int(b[1:])) for a, b in first}
    assert shapes.is_connected(count, pairs)
    assert all(a < b for a, b in pairs)


def test_counts_of_the_plain_shapes():
    expected = {"full-mesh": 45, "ring": 10, "line": 9, "star": 9, "tree": 9}
    for kind, count in expected.items():
        assert len(shapes.links(kind, names(10), {}, 1)) == count
    assert len(shapes.links("grid", names(9), {}, 1)) == 12


@pytest.mark.parametrize("count", [20, 100, 1000])
def test_random_regular_gives_every_node_its_degree(count):
    assert set(
        degrees(shapes.links("random-regular", names(count), {"degree": 6.0}, 7), count)
    ) == {6}


def test_seeds_differ():
    assert shapes.links("random-regular", names(50), {}, 1) != shapes.links(
        "random-regular", names(50), {}, 2
    )


def test_scale_free_has_hubs():
    """Small world keeps its number of links."""
    assert max(degrees(shapes.links("scale-free", names(300), {"attach": 3.0}, 1), 300)) > 20
    assert len(shapes.links("small-world", names(100), {"degree": 6.0, "rewire": 0.3}, 1)) == 300


def test_islands_are_noticed():
    assert not shapes.is_connected(4, {(0, 1), (2, 3)})
    assert shapes.is_connected(4, {(0, 1), (2, 3), (1, 2)})


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("random-regular", {"degree": 1.0}),
        ("random-regular", {"degree": 2.5}),
        ("small-world", {"rewire": 1.5}),
        ("small-world", {"degree": 5.0}),
        ("small-world", {"degree": float("nan")}),
        ("random-regular", {"degree": float("inf")}),
        ("tree", {"children": 0.0}),
    ],
)
def test_numbers_that_a_shape_cannot_have_are_refused(kind, numbers):
    with pytest.raises(BadFileError, match="shape"):
        shapes.links(kind, names(10), numbers, 1)
