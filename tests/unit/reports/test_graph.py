"""The picture of the nodes: each side of a cut has a name of its own, and no cut is left out in
silence.
"""

from __future__ import annotations

from kit.histories import SECOND, history

from harness.history.events import FaultChanged
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
