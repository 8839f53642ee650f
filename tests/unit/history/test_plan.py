"""The plan of a run, read from its folder: phases belong to it, however late the player was."""

from __future__ import annotations

import pytest
from kit.histories import history, operation
from kit.schedules import facts, messages, sequence

from harness.checks import replay
from harness.errors import BadFileError
from harness.history import plan
from harness.history.events import PhaseBegan, PhaseEnded, PhasesOver, RunBegan
from harness.history.history import PhaseWindow
from harness.history.phases import windows
from harness.history.plan import PhaseKind
from harness.load.plan import RunPlan
from harness.load.request import RunRequest
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.schedule import Share
from harness.scenario.timeline import Timeline
from harness.scenario.timeline import plan as planned_phases

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


def test_a_phase_has_the_kind_that_was_planned():
    said = {
        "t0_ns": SECOND,
        "load": {},
        "plan": [
            {"name": "a", "begin_s": 0.0, "end_s": 2.0, "kind": "chaos"},
            {"name": "b", "begin_s": 2.0, "end_s": 4.0, "kind": None},
            {"name": "c", "begin_s": 4.0, "end_s": 6.0},
        ],
    }
    happened = [
        PhaseBegan(at_ns=SECOND * (1 + 2 * at), phase=name) for at, name in enumerate("abc")
    ]
    found = windows([*happened, PhasesOver(at_ns=7 * SECOND)], plan.read(said, {}))
    assert [one.kind for one in found] == [PhaseKind.CHAOS, None, None]
    assert [one.kind for one in windows(happened, None)] == [None] * 3  # an older folder
    said["plan"][0]["kind"] = "nap"
    with pytest.raises(BadFileError, match="nap"):
        plan.read(said, {})


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


@pytest.mark.parametrize("at_s", [float("inf"), float("-inf"), float("nan"), 1e300, -2e9, 10**400])
def test_a_change_at_a_time_that_no_run_has_is_no_plan(at_s):
    """Infinity, as JSON's 1e400 is, was a traceback and exit code 70."""
    timeline = {
        "faults": [{"name": "slow"}],
        "changes": [{"at_s": at_s, "verb": "set", "fault": 0}],
    }
    facts = {"t0_ns": 1, "load": {}, "plan": [{"name": "load", "begin_s": 0.0, "end_s": 9.0}]}
    with pytest.raises(BadFileError, match="the run's plan: ValueError: expected at most 1e"):
        plan.read(facts, timeline)


UNTIL = "success of private_message in the last second >= 99 %"


def ended(at_ns=None):
    """Three phases, of which a condition was to end the second; each stream as it is planned."""
    stream = messages(20)
    phases = (
        Phase(name="a", duration_s=0.7, streams=(stream,)),
        Phase(name="b", duration_s=10.1, streams=(stream,), kind=PhaseKind.CONVERGE, until=UNTIL),
        Phase(name="c", duration_s=0.3, streams=(stream,)),
    )
    run = RunPlan(run="", t0_ns=SECOND, adapter="", seed=7, nodes=(), phases=phases, workers=("w",))
    said = {
        "t0_ns": SECOND,
        "seed": 7,
        "load": {"shares": 1, "streams": [stream.as_json(name, 1.0) for name in "abc"]},
        "plan": [phase.as_json() for phase in planned_phases(phases)],
    }
    happened = [] if at_ns is None else [PhaseEnded(phase="b", end_ns=at_ns)]
    changes = [(0.1, "set"), (0.7, "clear"), (10.8, "set"), (11.0, "clear")]
    timeline = {
        "faults": [{"name": "x"}],
        "changes": [{"at_s": at_s, "verb": verb, "fault": 0} for at_s, verb in changes],
    }
    return run if at_ns is None else run.ended("b", at_ns), plan.read(said, timeline, happened)


def test_a_phase_that_its_condition_ended_moves_what_follows():
    """The load and the judge move it alike, to the nanosecond."""
    run, planned = ended()
    assert [(one.begin_ns, one.end_ns) for one in planned.phases] == list(run.bounds_ns())
    plain = [change.at_ns for change in planned.changes]
    at_ns = SECOND + 3_123_456_789
    run, moved = ended(at_ns)
    assert [(one.begin_ns, one.end_ns) for one in moved.phases] == list(run.bounds_ns())
    early_ns = planned.phases[1].end_ns - at_ns
    assert (moved.phases[1].end_ns, moved.phases[2].begin_ns) == (at_ns, at_ns)
    assert moved.phases[2].end_ns == planned.phases[2].end_ns - early_ns
    assert [one.at_most_s for one in moved.phases] == [None, 10.1, None]
    later = [change.at_ns for change in moved.changes]
    assert later == [*plain[:2], plain[2] - early_ns, plain[3] - early_ns]


def test_a_condition_that_is_seen_too_late_moves_nothing():
    _, planned = ended()
    _, same = ended(planned.phases[2].end_ns)
    assert same == planned


def test_the_schedule_is_replayed_up_to_where_a_condition_ended_its_phase():
    at_ns = SECOND + 3_123_456_789
    run, planned = ended(at_ns)
    names = ("node-0", "node-1", "node-2")
    windows_ = tuple(
        PhaseWindow(name=one.name, begin_ns=one.begin_ns, end_ns=one.end_ns)
        for one in planned.phases
    )
    made = [
        operation(0, id=id_, source=source, target=target, intended_ns=due_ns)
        for number, (begin_ns, end_ns) in enumerate(run.bounds_ns())
        for id_, due_ns, source, target in sequence(
            messages(20),
            number,
            names,
            Share(seed=7, phase=number, stream=0),
            SECOND,
            begin_ns,
            end_ns,
        )
    ]
    whole = history(made, phases=windows_, plan=planned)
    assert len(made) == 14 + 49 + 6
    for window in windows_:
        assert replay.differences(whole, window, Operation.PRIVATE_MESSAGE) == []
    short = history([*made[:-7], *made[-6:]], phases=windows_, plan=planned)
    [said] = replay.differences(short, windows_[1], Operation.PRIVATE_MESSAGE)
    assert said.startswith("1 of 49 planned operations are not in the record")
    assert replay.differences(short, windows_[2], Operation.PRIVATE_MESSAGE) == []
