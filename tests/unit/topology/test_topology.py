from __future__ import annotations

import ipaddress
from dataclasses import fields, replace

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
