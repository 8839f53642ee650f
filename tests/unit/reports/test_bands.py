"""What came and went often is one band, which says so: its pauses could not be seen on a page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import SECOND, fault, history

from harness.faults.churn import Churn
from harness.faults.fault import cut_of
from harness.history.events import FaultChanged, NodeChanged, NodeStarted
from harness.history.proof import Proof, ProofAnswer
from harness.reports.series import bands, graph
from harness.topology.topology import Node


def flapping(times, every_s=2.0, fault="load-1"):
    """A fault that is in force for half of each `every_s`."""
    found = []
    for number in range(times):
        for verb, at_s in (("set", 0.0), ("clear", every_s / 2)):
            at_ns = SECOND + round((number * every_s + at_s) * SECOND)
            found.append(FaultChanged(verb=verb, fault=fault, does="loss 1 %", set_ns=at_ns))
    return found


def look(at_s, answer):
    at_ns = round(at_s * SECOND)
    return Proof(at_ns=at_ns, fault="load-1", what="loss", backend="netem", answer=answer)


def test_a_fault_that_flaps_faster_than_a_page_can_show_is_one_band():
    proofs = [look(1.5, ProofAnswer.IN_FORCE), look(2.5, ProofAnswer.NOT_IN_FORCE)]
    found = history(seconds=3600, events=flapping(450), proofs=tuple(proofs))
    [band] = bands.bands(found)
    assert band.name == "load-1 (450 times, 450 s)"
    assert (band.from_s, band.until_s) == (0.0, 899.0)
    assert band.shown == "1 × in force"  # the other look was in a pause


def test_pauses_that_a_page_can_show_are_shown():
    found = bands.bands(history(seconds=10, events=flapping(5)))
    assert [(one.name, one.from_s, one.until_s) for one in found] == [
        ("load-1", 2.0 * number, 2.0 * number + 1) for number in range(5)
    ]


def test_another_fault_of_the_same_name_has_a_band_of_its_own():
    other = FaultChanged(verb="set", fault="load-1", does="cut", set_ns=901 * SECOND)
    found = bands.bands(history(seconds=3600, events=[*flapping(450), other]))
    assert [(one.name, one.kind) for one in found] == [
        ("load-1 (450 times, 450 s)", "loss"),
        ("load-1", "cut"),
    ]


def test_a_node_that_was_paused_again_and_again_is_one_band():
    changes = [
        NodeChanged(at_ns=(1 + at) * SECOND, node="node-1", condition=condition)
        for at, condition in enumerate(["paused", "running"] * 450)
    ]
    [band] = bands.bands(history(seconds=3600, events=changes))
    assert band.name == "node-1 paused (450 times, 450 s)"


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        ("killed", "killed"),
        ("crashed, state wiped", "crashed"),
        ("restarted", "restarted"),
        ("paused", "paused"),
        ("cpu 20 %, fds 64", "slowed"),
        ("memory 500 MB", "limited"),
    ],
)
def test_each_kind_of_node_fault_has_a_band_of_its_own_kind(does, kind):
    events = [fault("set", 2, does=does, nodes=("node-1",)), fault("clear", 4, does=does)]
    [band] = bands.bands(history(events=events))
    assert (band.kind, band.from_s, band.until_s) == (kind, 1.0, 3.0)
    assert kind in bands.NAMES


def condition(at_s, node, to):
    return NodeChanged(at_ns=round(at_s * SECOND), node=node, condition=to)


def test_a_restart_is_drawn_once():
    """It is taken back as soon as its node was stopped; the node is away until it runs again."""
    at = {"does": "restarted", "nodes": ("node-1",)}
    events = [
        condition(2.1, "node-1", "stopped"),
        fault("set", 2.2, took_ms=200.0, **at),
        NodeStarted(at_ns=round(2.3 * SECOND), node="node-1"),
        condition(2.9, "node-1", "running"),
        fault("clear", 2.9, took_ms=700.0, **at),
    ]
    assert [(one.name, one.kind) for one in bands.bands(history(events=events))] == [
        ("cut", "restarted")
    ]


def test_a_slowed_node_that_somebody_stopped_is_drawn_as_both():
    events = [
        fault("set", 2, "slow", does="cpu 20 %", nodes=("node-1",)),
        condition(4, "node-1", "stopped"),
        condition(6, "node-1", "running"),
    ]
    assert [one.name for one in bands.bands(history(events=events))] == ["slow", "node-1 stopped"]


def test_all_that_leave_by_one_churn_are_one_band():
    """Each of a hundred nodes would be a row, and a band in every chart."""
    churn = Churn(rate_per_s=1, down_s=2, floor=1, name="waves")
    faults = churn.faults([Node(name=f"node-{number}") for number in range(3)])
    events = []
    for at_s, node in ((1, "node-0"), (2, "node-1"), (6, "node-0")):
        one = faults[node]
        said = {"does": one.does, "words": one.words, "nodes": one.nodes}
        events += [fault("set", at_s, one.name, **said), fault("clear", at_s + 2, one.name, **said)]
    looks = [look(1.5, ProofAnswer.IN_FORCE), look(2.5, ProofAnswer.IN_FORCE)]
    proofs = tuple(replace(one, fault="waves node-1", what="condition") for one in looks)
    [band] = bands.bands(history(events=events, proofs=proofs))
    assert band.name == "waves (3 leaves, at most 2 away at once)"
    assert (band.kind, band.from_s, band.until_s) == ("churn", 0.0, 7.0)
    assert band.does.startswith("churn of all: 1 leave a second")
    assert band.shown == "1 × in force"  # node-1 was not away at the other look


def test_the_cut_around_a_crashed_machine_is_a_part_of_its_crash():
    """It was a band of its own, and a picture of the nodes."""
    sides = {"node-0": 0, "node-1": 1, "node-2": 0}
    name = cut_of("down")
    events = [
        fault("set", 2, name, paths=4, sides=sides),
        fault("set", 2.1, "down", does="crashed", nodes=("node-1",)),
        fault("clear", 5, name, paths=4, sides=sides),
        fault("clear", 5.1, "down", does="crashed", nodes=("node-1",)),
    ]
    proof = replace(look(3, ProofAnswer.IN_FORCE), fault=name, what="cut")
    found = history(events=events, proofs=(proof,))
    [band] = bands.bands(found)
    assert (band.name, band.kind, band.shown) == ("down", "crashed", "1 × in force")
    assert [one.title for one in graph.graphs(found, ["eu"] * 3)] == ["Nodes and links"]
