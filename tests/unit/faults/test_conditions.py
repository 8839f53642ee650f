"""Conditions of nodes as values: which wins, what a moment is, and what the judge knows of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.faults import spec
from harness.faults.fault import Condition, Fault, State, Verb, fold_conditions
from harness.history import events
from harness.history.events import NodeChanged
from harness.history.proof import ProofAnswer
from harness.network.proof.verdicts import Look, judge_command
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
        ({"condition": "restarted", "command": "v2 {arguments}"}, "restarted, another command"),
        ({"condition": "killed", "image": "node:v2"}, "killed, another image"),
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


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("{program} {arguments}", ("node", "--at", "a b")),
        ("/v2/node {arguments} --new 'x y'", ("/v2/node", "--at", "a b", "--new", "x y")),
        ("sh {directory}/{name}.sh {else}", None),
        ("sh {directory}/{name}.sh", ("sh", "/d/node-1.sh")),
        ("{program}-v2 $HOME;", ("node-v2", "$HOME;")),
    ],
)
def test_a_command_is_words_and_fields_and_no_shell(command, argv):
    words = {"where": "node-1", "condition": "restarted", "command": command}
    if argv is None:
        with pytest.raises(BadFileError, match=r"no field \{else\}; possible: \{program\}"):
            spec.parse(words)
        return
    program = spec.parse(words).resolve(NODES, 1).program
    values = {"name": "node-1", "directory": "/d"}
    assert program.argv(("node", "--at", "a b"), values) == argv


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"condition": "paused", "command": "v2"}, "command, image: it is of nodes that start"),
        ({"cpu": "20%", "image": "v2"}, "command, image: it is of nodes that start again"),
        ({"condition": "restarted", "command": " "}, "command: expected a program"),
        ({"condition": "restarted", "command": "a 'b"}, "command: No closing quotation"),
    ],
)
def test_a_program_that_cannot_be_is_refused(words, says):
    with pytest.raises(BadFileError) as refused:
        spec.parse({"where": "node-1", **words})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (("/v2/node", "--at", "x"), ProofAnswer.GONE),
        (("/usr/bin/python3", "/v2/node", "--at", "x"), ProofAnswer.GONE),
        (("/v1/node", "--at", "y"), ProofAnswer.AMOUNT_NOT_SHOWN),
        ((), ProofAnswer.AMOUNT_NOT_SHOWN),
    ],
)
def test_another_command_is_shown_by_the_one_that_runs(found, answer):
    look = Look(at_ns=7, fault="f", gone=True)
    assert judge_command(look, "node-1", ("/v2/node", "--at", "x"), found).answer is answer
