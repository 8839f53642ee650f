"""Containers that a program brings are fitted to a topology, or make one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.experiments.session import brought, up
from harness.systems import abilities
from harness.topology.topology import Node

IDS = {"node-0": "f00", "node-1": "ba7"}


def test_without_a_topology_each_is_linked_with_each():
    made = brought.mesh({"a": "1", "b": "2", "c": "3"})
    assert made.neighbours() == {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}


def test_they_take_the_nodes_in_order_or_by_name():
    topology = brought.mesh({"x": "", "y": ""})
    assert brought.fitted(IDS, ["f00", "ba7"], topology) == {"x": "f00", "y": "ba7"}
    named = {"y": "ba7", "x": "f00"}
    assert brought.fitted(named, named, topology) == named


@pytest.mark.parametrize(
    ("ids", "given", "found"),
    [
        ({"node-0": "f00"}, ["f00"], "found 1"),
        ({"x": "f00", "z": "ba7"}, {"x": "f00", "z": "ba7"}, "found x, z"),
    ],
)
def test_what_does_not_fit_is_said(ids, given, found):
    with pytest.raises(UsageError, match=rf"each of the 2 nodes .*\(x, y\); {found}"):
        brought.fitted(ids, given, brought.mesh({"x": "", "y": ""}))


def test_a_runtime_would_start_nodes():
    with pytest.raises(UsageError, match="runtime_name: netns would start nodes"):
        brought.identify(["f00"], "netns")
    with pytest.raises(UsageError, match="topology: expected one, or nodes="):
        up.up()


def test_what_a_container_has_from_its_start_on_cannot_be_asked():
    topology = replace(brought.mesh(IDS), adapter="serf")
    abilities.require_start(topology, brought=True)
    for asked, what in (
        (replace(topology, congestion_control="reno"), "congestion_control"),
        (
            replace(topology, nodes=(Node(name="node-0", own_clock=True),), links=frozenset()),
            "clock",
        ),
        (replace(topology, adapter="meshnode"), "meshnode starts its nodes itself"),
    ):
        with pytest.raises(UsageError, match=what):
            abilities.require_start(asked, brought=True)
