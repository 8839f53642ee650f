"""Conditions of nodes as values: which wins, what a moment is, and what the judge knows of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.faults import spec
from harness.faults.fault import Condition, Fault, State, Verb, fold_conditions
from harness.history import events
from harness.history.events import NodeChanged
from harness.scenario import timeline
from harness.scenario.scenario import Phase, Scenario
from harness.topology.topology import Node, Topology

NODES = tuple(Node(name=f"node-{index}") for index in range(4))
OF_FAULTS = [one for one in Condition if one is not Condition.RUNNING]
WORST_FIRST = (Condition.CRASHED, Condition.KILLED, Condition.STOPPED, Condition.PAUSED)


def at(*of: str, condition: Condition, name: str = "f") -> Fault:
    return Fault(name=name, nodes=of, condition=condition)


@given(st.lists(st.sampled_from(OF_FAULTS), min_size=1))
def test_the_worst_condition_of_a_node_wins_in_any_order(asked):
    faults = [at("a", condition=one, name=str(number)) for number, one in enumerate(asked)]
    of_nodes = {one.of_node for one in asked}
    worst = next(one for one in WORST_FIRST if one in of_nodes)
    assert fold_conditions(faults) == fold_conditions(reversed(faults)) == {"a": worst}


def test_the_judge_and_the_harness_mean_the_same_by_down():
    """The judge has words alone, for it imports nothing of what is done."""
    down = [str(one) for one in Condition if one.is_down and one.of_node is one]
    assert sorted(down) == sorted(events.DOWN)
    for one in Condition:
        assert NodeChanged(node="a", condition=one.of_node).is_down is one.is_down


@pytest.mark.parametrize(
    ("words", "does"),
    [
        ({"condition": "killed"}, "killed"),
        ({"condition": "crashed", "state": "wipe"}, "crashed, state wiped"),
        ({"condition": "stopped", "state": "keep"}, "stopped"),
        ({"condition": "restarted", "state": "wipe"}, "restarted, state wiped"),
    ],
)
def test_a_fault_says_what_it_does_and_is_the_same_after_json(words, does):
    fault = spec.parse({"where": "node-1", **words}).resolve(NODES, 1)
    assert fault.does == does
    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault


def test_a_fault_of_an_older_timeline_keeps_the_state():
    said = at("a", condition=Condition.STOPPED).as_json()
    del said["state"]
    assert Fault.from_json(said).state is State.KEEP


def test_a_restart_is_taken_back_in_the_moment_in_which_it_comes():
    """After those that go in that moment: else it would be cleared before it is set."""
    phases = (
        Phase(name="a", duration_s=5.0, faults=(spec.parse({"cut": "halves"}),)),
        Phase(
            name="b",
            duration_s=5.0,
            faults=(
                spec.parse({"where": "node-1", "condition": "restarted"}),
                spec.parse({"where": "node-2", "condition": "restarted", "at_s": 2}),
            ),
        ),
    )
    topology = Topology(name="t", nodes=NODES, links=frozenset())
    played = timeline.compile(Scenario(name="s", topology=topology, phases=phases))
    assert [(one.at_s, one.verb, one.fault.name) for one in played.changes] == [
        (0.0, Verb.SET, "a-1"),
        (5.0, Verb.CLEAR, "a-1"),
        (5.0, Verb.SET, "b-1"),
        (5.0, Verb.CLEAR, "b-1"),
        (7.0, Verb.SET, "b-2"),
        (7.0, Verb.CLEAR, "b-2"),
    ]
