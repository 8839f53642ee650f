"""The picture of the nodes: each side of a cut has a name of its own, and no cut is left out in
silence.
"""

from __future__ import annotations

from kit.histories import SECOND, fault, history

from harness.history.events import FaultChanged, NodeChanged
from harness.reports.series import graph


def cut(at_s, sides, fault="halves"):
    named = {f"node-{node}": side for node, side in enumerate(sides)}
    at_ns = at_s * SECOND
    return FaultChanged(verb="set", fault=fault, does="cut", set_ns=at_ns, sides=named)


def test_more_sides_than_letters_have_names_of_their_own():
    sides = [number // 2 for number in range(60)]
    [picture] = graph.graphs(history(nodes=60, events=[cut(2, sides)]), ["eu"] * 60)
    names = [group.name for group in picture.groups]
    assert len(set(names)) == 30
    assert names[25:] == ["side Z", "side AA", "side AB", "side AC", "side AD"]


def test_a_cut_that_came_back_with_other_sides_is_drawn_and_counted():
    events = [cut(2, [0, 0, 1]), cut(4, [0, 1, 1]), cut(6, [0, 0, 1])]
    drawn = graph.graphs(history(events=events), ["eu"] * 3)
    assert [one.title for one in drawn] == ["Cut halves", "Cut halves (2)"]
    many = [cut(at, [0, 0, 1], f"cut-{at}") for at in range(1, 4)]
    drawn = graph.graphs(history(events=[*many, cut(5, [0, 1, 1], "cut-1")]), ["eu"] * 3)
    assert drawn[-1].note.endswith("1 more cuts are not drawn")


def test_each_node_says_all_that_was_the_matter_with_it_and_shows_the_worst():
    events = [
        fault("set", 2, "slow", does="cpu 20 %", nodes=("node-0", "node-1")),
        fault("set", 3, "dead", does="killed", nodes=("node-1",)),
        NodeChanged(at_ns=3 * SECOND, node="node-1", condition="killed"),
        NodeChanged(at_ns=5 * SECOND, node="node-2", condition="paused"),  # by hand
    ]
    [picture] = graph.graphs(history(events=events), ["eu"] * 3)
    assert [(dot.kind, dot.says) for dot in picture.dots] == [
        ("slowed", "node-0: slowed"),
        ("killed", "node-1: killed, slowed"),
        ("paused", "node-2: paused"),
    ]
