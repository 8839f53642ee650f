"""A fork with more nodes: how they are linked, and which faults are on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kit import run_folders

from harness.experiments import fork, original
from harness.experiments.original import Original
from harness.faults import spec
from harness.faults.fault import Fault, Verb
from harness.scenario.timeline import PlannedChange, PlannedPhase, Timeline
from harness.topology import shapes
from harness.topology.topology import Node, Topology

NAMES = [f"node-{index}" for index in range(10)]
NODES = tuple(Node(name=name, region="eu" if name < "node-4" else "us") for name in NAMES)
RING = """
[nodes]
count = 10
regions = ["eu", "us"]
[shape]
kind = "ring"
"""


@pytest.fixture
def of(tmp_path) -> Original:
    """A run of ten nodes in a ring; its file says how they are linked."""
    found = original.read(run_folders.good(tmp_path))
    ring = Topology(name="ring", nodes=NODES, links=shapes.links("ring", NAMES, {}, 1))
    return replace(
        found,
        scenario=replace(found.scenario, topology=ring),
        files={"topology.toml": RING},
    )


def with_fault(of: Original, /, **words: Any) -> Original:
    fault = spec.parse(words).resolve(NODES, 1)
    phases = (PlannedPhase(name="load", begin_s=0.0, end_s=30.0),)
    changes = tuple(
        PlannedChange(at_s=at_s, verb=verb, fault=fault)
        for at_s, verb in ((1.0, Verb.SET), (2.0, Verb.CLEAR))
    )
    return replace(of, timeline=Timeline(seed=1, phases=phases, changes=changes))


def grown(of: Original, count: int, /, **words: Any) -> Fault:
    [fault] = fork.made(with_fault(of, **words), f"nodes {count}").timeline.faults
    return fault


def names(of: Original) -> list[str]:
    return [node.name for node in of.scenario.topology.nodes]


def test_new_nodes_come_after_those_that_are_there(of):
    found = fork.made(of, "nodes 15")
    assert names(found) == [f"node-{index}" for index in range(15)]
    assert found.scenario.topology.nodes[:10] == NODES
    assert [node.region for node in found.scenario.topology.nodes[10:]] == ["eu", "eu"] + 3 * ["us"]


def test_they_are_linked_by_the_shape_of_the_file(of):
    found = fork.made(of, "nodes 25").scenario.topology
    assert found.links == shapes.links("ring", [node.name for node in found.nodes], {}, 1)


@pytest.mark.parametrize("files", [{}, {"topology.toml": RING.replace("ring", "line")}])
def test_without_a_file_that_made_the_links_they_are_linked_as_their_like(of, files):
    of = replace(of, files=files)
    found = fork.made(of, "nodes 11").scenario.topology
    assert found.links - of.scenario.topology.links == {
        ("node-0", "node-10"),
        ("node-1", "node-10"),
        ("node-9", "node-10"),
    }


def test_everybody_stays_linked_with_everybody(of):
    mesh = replace(of.scenario.topology, links=shapes.links("full-mesh", NAMES, {}, 1))
    of = replace(of, scenario=replace(of.scenario, topology=mesh), files={})
    assert len(fork.made(of, "nodes 25").scenario.topology.links) == 25 * 24 / 2


def test_nobody_new_joins_two_sides_of_a_cut(of):
    far = grown(of, 23, cut="halves").far
    assert len(far) == 23
    sides = {frozenset(targets) for targets in far.values()}
    assert len(sides) == 2
    assert frozenset.union(*sides) == {*far}
    assert all(far[target] != targets for targets in sides for target in targets)


@pytest.mark.parametrize(("cut", "alone"), [("isolate", "node-3"), ("bridge", "node-5")])
def test_who_stands_alone_in_a_cut_stays_alone(of, cut, alone):
    words = {"of": ["node-3"]} if cut == "isolate" else {}
    far = grown(of, 20, cut=cut, **words).far
    if cut == "isolate":
        assert far[alone] == {f"node-{index}" for index in range(20)} - {alone}
        assert {targets for name, targets in far.items() if name != alone} == {frozenset({alone})}
    else:
        assert alone not in far
        assert len(far) == 19


def test_what_is_on_all_is_on_the_new_too(of):
    assert len(grown(of, 15, where="all", delay="20ms").paths) == 15 * 14
    europe = {"node-0", "node-1", "node-2", "node-3", "node-10", "node-11"}
    assert {*grown(of, 15, where="region:eu", condition="paused").nodes} == europe
    assert {*grown(of, 15, where="region:eu", up="1mbit").up} == europe
    between = grown(of, 15, where="region:eu -> region:us", loss="1%").paths
    assert len(between) == 6 * 9


@pytest.mark.parametrize(
    "words",
    [
        {"where": "node-1 -> node-2", "delay": "20ms"},
        {"where": "node-7", "condition": "paused"},
        {"where": "node-7", "down": "1mbit"},
    ],
)
def test_what_is_on_some_stays_on_them(of, words):
    assert grown(of, 15, **words) == spec.parse(words).resolve(NODES, 1)
