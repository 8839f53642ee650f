"""The plan of a run, read from its folder: phases belong to it, however late the player was."""

from __future__ import annotations

import pytest
from kit.schedules import facts, messages

from harness.errors import BadFileError
from harness.faults.spec import parse
from harness.history import plan
from harness.history.events import PhaseBegan, PhasesOver, RunBegan
from harness.history.phases import windows
from harness.load.plan import RunPlan
from harness.load.request import RunRequest
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.timeline import Timeline
from harness.scenario.timeline import compile as compiled
from harness.scenario.timeline import plan as planned_phases
from harness.topology.topology import Node, Topology

MS, SECOND = 10**6, 10**9


def phases(**late_ms):
    """Two phases of two seconds from 1 s on, of which some were begun late."""
    said = {
        "t0_ns": SECOND,
        "seed": 1,
        "load": {},
        "plan": [
            {"name": "a", "begin_s": 0.0, "end_s": 2.0},
            {"name": "b", "begin_s": 2.0, "end_s": 4.0},
        ],
    }
    over_ns = 5 * SECOND + late_ms.pop("over", 0) * MS
    happened = [RunBegan(at_ns=1)]
    for name, begin_ns in (("a", SECOND), ("b", 3 * SECOND)):
        at_ns = begin_ns + late_ms.get(name, 1) * MS
        happened.append(PhaseBegan(at_ns=at_ns, phase=name, planned_ns=begin_ns))
    found = windows([*happened, PhasesOver(at_ns=over_ns)], plan.read(said, {}))
    return [(one.name, one.begin_ns, one.end_ns, one.late_ns) for one in found]


@pytest.mark.parametrize("late", [1, 249, 250, 1500])
def test_a_late_player_moves_no_operation_into_the_phase_before(late):
    """From 250 ms on, what was due in the meantime counted for the phase before."""
    assert phases(b=late) == [
        ("a", SECOND, 3 * SECOND, MS),
        ("b", 3 * SECOND, 5 * SECOND, late * MS),
    ]


def test_the_last_phase_ends_as_planned_or_with_the_run():
    assert phases(over=400)[1][2] == 5 * SECOND
    assert phases(over=-1500)[1][2] == 3500 * MS


def test_a_run_that_ended_before_its_first_phase_has_none():
    assert windows([RunBegan(at_ns=1), PhasesOver(at_ns=2)], None) == ()


def test_phases_of_any_length_are_those_of_the_load():
    """The load counts in whole nanoseconds, the folder in seconds."""
    lengths = (0.1, 0.2, 1 / 3, 0.7, 86_400.1, 1e-3)
    made = tuple(Phase(name=f"p{at}", duration_s=length) for at, length in enumerate(lengths))
    run = RunPlan(
        run="", t0_ns=123_456_789, adapter="", seed=1, nodes=(), phases=made, workers=("w",)
    )
    timeline = Timeline(seed=1, phases=planned_phases(made)).as_json()
    said = {"t0_ns": run.t0_ns, "seed": 1, "load": {}, "plan": timeline["phases"]}
    read = plan.read(said, timeline)
    assert [(one.begin_ns, one.end_ns) for one in read.phases] == list(run.bounds_ns())


def test_what_the_generator_says_is_enough_to_replay_it():
    """The facts of a run and those that the tests of the judge are made of are the same."""
    stream = messages(12.5, target="node-1", count=40, after_s=1.5, sources=("node-0",))
    phase = Phase(name="load", duration_s=10.0, streams=(stream,))
    request = RunRequest(phases=(phase,), seed=7, run=None, begin={})
    said = request.facts(["a", "b"], late_ns=3 * MS)
    (wanted,) = facts(stream, workers=2)["load"]["streams"]
    assert said["shares"] == 2
    assert said["streams"][0] == {**wanted, "rate_per_s": 4.0}


def test_an_older_folder_has_no_plan_or_no_schedule_and_a_broken_one_is_refused():
    assert plan.read({"load": {}}, {}) is None
    said = facts(messages(1))
    assert plan.read({**said, "load": {"streams": said["load"]["streams"]}}, {}).workers == 0
    oldest = {**said, "plan": [{"name": "a", "duration_s": 2}, {"name": "b", "duration_s": None}]}
    ends = [one.end_ns for one in plan.read(oldest, {}).phases]
    assert ends == [3 * SECOND, None]
    with pytest.raises(BadFileError, match="the run's plan: KeyError"):
        plan.read({**said, "plan": [{}]}, {})


@pytest.mark.parametrize("at_s", [float("inf"), float("-inf"), float("nan"), 1e300, -2e9])
def test_a_change_at_a_time_that_no_run_has_is_no_plan(at_s):
    """Infinity, as JSON's 1e400 is, was a traceback and exit code 70."""
    timeline = {
        "faults": [{"name": "slow"}],
        "changes": [{"at_s": at_s, "verb": "set", "fault": 0}],
    }
    facts = {"t0_ns": 1, "load": {}, "plan": [{"name": "load", "begin_s": 0.0, "end_s": 9.0}]}
    with pytest.raises(BadFileError, match="the run's plan: ValueError: expected at most 1e"):
        plan.read(facts, timeline)


def test_where_a_planned_fault_is_stands_in_its_timeline():
    """Also of a cut in one direction, of which no event tells the sides."""
    there = parse({"cut": "halves", "one_way": True, "name": "there"})
    slow = parse({"where": "a -> b", "delay": "5ms", "name": "slow"})
    phase = Phase(name="load", duration_s=10.0, faults=(there, slow))
    topology = Topology(
        name="t", nodes=tuple(Node(name=name) for name in "abcd"), links=frozenset({("a", "b")})
    )
    timeline = compiled(Scenario(name="s", topology=topology, phases=(phase,)))
    read = plan.read(facts(messages(1)), timeline.as_json())
    found = {one.name: one for one in read.faults}
    assert found["there"].far == ((frozenset("ab"), frozenset("cd")),)
    assert (found["there"].paths, found["slow"].far) == ((), ())
    assert found["slow"].paths == ((frozenset("a"), frozenset("b")),)
    assert found["slow"].words == slow.words
