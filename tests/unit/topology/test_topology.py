from __future__ import annotations

import ipaddress
import json
from dataclasses import fields, replace

import pytest

from harness.errors import BadFileError
from harness.topology import shapes
from harness.topology.impairment import Impairment
from harness.topology.topology import Node, Topology

PLAIN = Topology(
    name="two",
    nodes=(Node(name="a", region="eu"), Node(name="b", region="us")),
    links=frozenset({("a", "b")}),
)
OTHERS = {
    "name": "other",
    "nodes": (PLAIN.nodes[0], replace(PLAIN.nodes[1], options={"fanout": 3})),
    "links": frozenset(),
    "adapter": "serf",
    "addresses": ipaddress.IPv4Network("10.0.0.0/16"),
    "seed": 2,
    "congestion_control": "reno",
    "gso_max_segs": 1,
    "silence_s": 31.0,
    "baseline": {("eu", "us"): Impairment(loss=0.1)},
}


def test_whatever_differs_has_another_digest():
    assert set(OTHERS) == {one.name for one in fields(Topology)}
    digests = {replace(PLAIN, **{name: value}).digest() for name, value in OTHERS.items()}
    assert len(digests | {PLAIN.digest()}) == len(OTHERS) + 1


def test_the_order_of_links_and_options_is_no_difference():
    a, b = ({"k": 4, "fanout": 3}, {"fanout": 3, "k": 4})
    of = [replace(PLAIN, nodes=(Node(name="a", options=one),), links=frozenset()) for one in (a, b)]
    assert of[0].digest() == of[1].digest()


def linked(kind: str, count: int) -> Topology:
    names = [f"n{index}" for index in range(count)]
    return Topology(
        name="t",
        nodes=tuple(Node(name=name, region="a" if name < "n5" else "b") for name in names),
        links=shapes.links(kind, names, {}, 1),
        baseline={("a", "b"): Impairment(delay_ms=20, loss=0.1), ("a", "a"): Impairment(loss=0.5)},
    )


@pytest.mark.parametrize("made", [PLAIN, replace(PLAIN, **OTHERS)], ids=["plain", "all"])
def test_json_and_back(made):
    said = json.loads(json.dumps(made.as_json()))
    assert Topology.from_json(said) == made
    assert Topology.from_json(said).digest() == made.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "expected version 1, found 2"),
        ({"nodes": [{"name": "a", "area": "eu"}]}, "area"),
        ({"links": [["a", "nobody"]]}, "no node 'nobody'"),
        ({"addresses": "here"}, "here"),
    ],
)
def test_what_is_no_topology_is_refused(change, says):
    with pytest.raises(BadFileError, match=says):
        Topology.from_json({**PLAIN.as_json(), **change})


def test_of_fewer_nodes_a_ring_stays_a_ring():
    some = linked("ring", 9).among({"n0", "n3", "n6"})
    assert [node.name for node in some.nodes] == ["n0", "n3", "n6"]
    assert some.links == {("n0", "n3"), ("n3", "n6"), ("n0", "n6")}
    assert {*some.baseline} == {("a", "a"), ("a", "b")}


def test_of_fewer_nodes_a_line_stays_in_one_piece():
    assert linked("line", 9).among({"n0", "n8"}).links == {("n0", "n8")}


def test_a_region_that_has_no_node_left_has_no_baseline():
    assert {*linked("ring", 9).among({"n0", "n3"}).baseline} == {("a", "a")}
