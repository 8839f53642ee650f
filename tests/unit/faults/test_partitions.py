"""The patterns of a cut: who reaches whom while it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.regions import NAMES, NODES

from harness.faults import partitions
from harness.topology.topology import Node


def reaches(pairs, a, b):
    return (a, b) not in pairs


@pytest.mark.parametrize(
    "pattern", [name for name in partitions.PATTERNS if name not in ("isolate", "k-way")]
)
def test_every_cut_goes_both_ways_and_never_from_a_node_to_itself(pattern):
    pairs = partitions.pairs(partitions.cut(pattern, [], NODES, seed=3))
    assert pairs
    assert all((b, a) in pairs and a != b for a, b in pairs)
    assert partitions.pairs(partitions.cut(pattern, [], NODES, seed=3)) == pairs


def test_halves_and_a_minority():
    assert len(partitions.pairs(partitions.halves(NODES))) == 2 * 4 * 5
    assert len({id(far) for far in partitions.halves(NODES).values()}) == 2
    few = {source for source, far in partitions.minority(NODES, 1).items() if len(far) == 5}
    assert len(few) == 4  # the largest group below half of nine


def test_a_bridge_reaches_both_halves():
    """The halves do not reach each other."""
    pairs = partitions.pairs(partitions.bridge(NODES))
    middle = "node-4"
    assert all(reaches(pairs, middle, name) and reaches(pairs, name, middle) for name in NAMES)
    assert not reaches(pairs, "node-0", "node-8")


@pytest.mark.parametrize("count", [5, 6, 9, 20])
def test_in_a_majority_ring_each_reaches_a_majority(count):
    """No two nodes reach the same one."""
    nodes = [Node(name=f"n{index}") for index in range(count)]
    pairs = partitions.pairs(partitions.majority_ring(nodes, 1))
    seen = [
        frozenset(
            other.name
            for other in nodes
            if other.name == one.name or reaches(pairs, one.name, other.name)
        )
        for one in nodes
    ]
    assert all(len(view) > count / 2 for view in seen)
    assert len(set(seen)) == count


@given(st.integers(2, 9), st.integers(0, 99))
def test_k_ways_are_groups_of_nearly_equal_size(groups, seed):
    pairs = partitions.pairs(partitions.k_way(NODES, groups, seed))
    views = {
        frozenset(other for other in NAMES if other == one or reaches(pairs, one, other))
        for one in NAMES
    }
    assert len(views) == groups
    assert max(map(len, views)) - min(map(len, views)) <= 1


def test_one_way_gray_isolate_and_regions():
    both = partitions.pairs(partitions.halves(NODES))
    one = partitions.pairs(partitions.one_way(partitions.halves(NODES), NAMES))
    assert len(one) * 2 == len(both)
    assert not any((b, a) in one for a, b in one)
    assert len(partitions.gray(both, 0.25, 1)) == round(0.25 * len(both))
    assert partitions.pairs(partitions.isolate(NODES, ["node-2"])) == {
        pair for name in NAMES if name != "node-2" for pair in (("node-2", name), (name, "node-2"))
    }
    assert len(partitions.pairs(partitions.by_region(NODES))) == 2 * 4 * 5
