"""The load against its seeded schedule: each operation that was planned, no other, and in time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import MS, SECOND, history, operation
from kit.schedules import messages, recorded, run

from harness.checks import load
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeEnded, RunEnded
from harness.operations import Operation, Outcome
from harness.operations.operation import NO_KEY
from harness.scenario.rate import Profile
from harness.scenario.stream import Arrivals, Stream

STREAMS = {
    "uniform": messages(20),
    "poisson": messages(20, arrivals=Arrivals.POISSON),
    "ramp": messages(60, profile=Profile(points=((0, 1), (8, 60)))),
    "burst": messages(1000, count=50, after_s=0.5, target="node-0"),
}


def judged(found):
    (finding,) = load.check(found)
    return finding


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_each_planned_operation_is_held_against_the_record(stream, workers):
    operations = recorded(stream, workers=workers)
    finding = judged(run(operations, stream, workers=workers))
    assert (finding.answer, finding.cause) == (Answer.PASS, None), finding.sentence
    for lost in (0, len(operations) // 2, len(operations) - 1):
        rest = operations[:lost] + operations[lost + 1 :]
        finding = judged(run(rest, stream, workers=workers))
        assert finding.cause is Cause.LOAD_NOT_DELIVERED
        assert f"1 of {len(operations)} planned operations are not in the record" in (
            finding.sentence
        )


def test_a_worker_that_was_killed_is_named_with_the_time():
    """Killed at 16.5 of 20 s: 8.2 of 10/s was a PASS."""
    stream = messages(10)
    operations = recorded(stream, workers=2, seconds=20)
    kept = [
        one
        for one in operations
        if one["id"][8:10] == b"\0\0" or one["intended_ns"] < 17.5 * SECOND
    ]
    finding = judged(run(kept, stream, workers=2, seconds=20))
    assert finding.cause is Cause.LOAD_NOT_DELIVERED
    assert "18 of 200 planned operations" in finding.sentence
    assert "(of load worker 2 of 2), the first was due 16.5 s into the phase" in finding.sentence


def test_planned_ten_and_made_none():
    """Three standard deviations of ten operations are ten: it was a PASS."""
    stream = messages(1)
    finding = judged(run([], stream))
    assert finding.cause is Cause.LOAD_NOT_DELIVERED
    assert finding.sentence.startswith("10 of 10 planned operations are not in the record")


def test_too_many_and_others_than_planned():
    stream = messages(20)
    operations = recorded(stream)
    assert (
        "1 operations are recorded that were not planned"
        in judged(run([*operations, operations[3]], stream)).sentence
    )
    moved = [{**operations[0], "intended_ns": operations[0]["intended_ns"] + 1}, *operations[1:]]
    assert "1 operations are not those that were planned" in judged(run(moved, stream)).sentence
    stranger = {**operations[0], "id": b"x" * 16}
    wrong, strange = load.check(run([*operations, stranger], stream))
    assert (wrong.answer, strange.answer) == (Answer.PASS, Answer.UNKNOWN)
    assert strange.name == "load: planned by nobody"


@pytest.mark.parametrize(("rate_per_s", "cause"), [(20, Cause.NOTHING_TO_READ), (100, None)])
def test_gets_that_found_no_key_are_in_the_record_and_said(rate_per_s, cause):
    """The first five of 200, and of 1,000: planned, and there, and never sent."""
    stream = Stream(operation=Operation.DHT_GET, rate_per_s=rate_per_s)
    never = {"sent_ns": 0, "done_ns": 0, "outcome": int(Outcome.FAILED), "error": NO_KEY}
    operations = [
        {**one, **never} if number < 5 else one for number, one in enumerate(recorded(stream))
    ]
    finding = judged(run(operations, stream))
    assert finding.cause is cause, finding.sentence
    reason = "no acknowledged key of another node to read yet"
    assert finding.sentence == (
        f"the load generator could not send 5 of 200 operations: {reason}"
        if cause
        else f"995 operations sent, 5 never ({reason})"
    )


def test_streams_of_one_operation_are_each_replayed():
    streams = messages(20, target="node-0"), messages(5)
    operations = recorded(*streams)
    assert judged(run(operations, *streams)).answer is Answer.PASS
    assert "1 of 50 planned" in judged(run(operations[:-1], *streams)).sentence


def test_a_phase_that_ended_early_is_short_and_nothing_worse():
    stream = messages(20)
    early = [one for one in recorded(stream) if one["intended_ns"] < 5 * SECOND]
    finding = judged(run(early, stream, ended_s=4))
    assert finding.cause is Cause.LOAD_NOT_DELIVERED
    assert finding.sentence == "the phase ended after 4.0 of 10 s"
    # Without an end of its own it lasts until somebody ends it.
    assert judged(run(early, stream, seconds=None, ended_s=4)).answer is Answer.PASS
    assert "1 of 80" in judged(run(early[:-1], stream, seconds=None, ended_s=4)).sentence


def test_a_phase_that_ended_before_any_of_it_was_due_kept_no_promise():
    """A condition held before a stream of the phase began: 2/s was a PASS, measured 0.0/s."""
    late = messages(2, after_s=12)
    finding = judged(run([], late, seconds=None, ended_s=5))
    assert (finding.answer, finding.cause) == (Answer.MEASURED, None)
    assert finding.measured == "0.0/s"
    assert finding.sentence == "not judged: no operation was due before the phase ended"
    of_older = replace(run([], late, seconds=None, ended_s=5), plan=None)
    finding = judged(of_older)
    assert finding.answer is Answer.MEASURED
    assert finding.sentence == "not judged: no operation of it is in the record"


def test_load_that_was_sent_late_is_not_the_load_that_was_planned():
    """It was "PASS 80,000/s", with a lag of p50 0.6 s."""
    stream = messages(20)
    late = [
        {**one, "sent_ns": one["intended_ns"] + 600 * MS, "done_ns": one["intended_ns"] + 601 * MS}
        for one in recorded(stream)
    ]
    finding = judged(run(late, stream))
    assert finding.cause is Cause.GENERATOR_BEHIND
    assert "sent 200 of 200 operations late (by up to 600 ms)" in finding.sentence
    assert "half of all were more than 600 ms late" in finding.sentence


def test_what_was_never_sent_has_one_of_two_causes():
    stream = messages(100)
    operations = recorded(stream)
    unsent = [
        {**one, "sent_ns": 0, "done_ns": 0, "outcome": int(Outcome.FAILED), "error": error}
        if one["source"] == 1 and one["intended_ns"] > 5 * SECOND
        else one
        for error in ["unsent: the node cannot be reached (Connection refused)"]
        for one in operations
    ]
    behind = judged(run(unsent, stream))
    assert behind.cause is Cause.GENERATOR_BEHIND
    assert "(the node cannot be reached (Connection refused))" in behind.sentence
    stop = (NodeChanged(at_ns=5 * SECOND, node="node-1", condition="stopped"), RunEnded())
    stopped = judged(run(unsent, stream, events=stop))
    assert stopped.cause is Cause.NODE_STOPPED
    assert "generator" not in stopped.sentence
    died = judged(
        run(unsent, stream, events=(NodeEnded(at_ns=5 * SECOND, node="node-1"), RunEnded()))
    )
    assert died.cause is Cause.LOAD_NOT_DELIVERED
    assert died.sentence.endswith("their source had ended by itself")


def test_gets_whose_key_only_the_run_knows_are_replayed_too():
    stream = Stream(operation=Operation.DHT_GET, rate_per_s=50)
    operations = recorded(stream, workers=2)
    assert judged(run(operations, stream, workers=2)).answer is Answer.PASS
    assert judged(run(operations[1:], stream, workers=2)).answer is Answer.UNKNOWN


def test_two_operations_of_one_id_are_said():
    """One record was counted for both: "2 of 2" delivered, where one was."""
    twice = history([operation(1), operation(1), operation(2)], planned_per_s={})
    (finding,) = load.check(twice)
    assert finding.cause is Cause.LOAD_NOT_DELIVERED
    assert finding.sentence == "2 operations are recorded under an id that another one has"
    assert load.check(history([operation(1), operation(2)])) == []
