"""The load generator second by second: which seconds are in doubt, and why."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import judged
from kit.histories import MS, SECOND, history, host, operation

from harness.checks import doubts
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import doubts as noted
from harness.history import history as h
from harness.history.doubts import Doubt
from harness.operations import Outcome


def operations(lag_ms=0.1, took_ms=2, seconds=10):
    """Ten a second, of which those of the fifth second were sent so late, and took so long."""
    found = []
    for number in range(10 * seconds):
        due_ns = SECOND + number * 100 * MS
        special = number // 10 == 4
        sent_ns = due_ns + round((lag_ms if special else 0.1) * MS)
        done_ns = sent_ns + round((took_ms if special else 2) * MS)
        found.append(operation(number, intended_ns=due_ns, sent_ns=sent_ns, done_ns=done_ns))
    return found


def stolen(share):
    """A host of two cores whose hypervisor took such a share of it in the fifth second."""
    rows = []
    for at in range(1, 12):
        taken = share * 2 if at > 5 else 0
        rows.append({**host(at, at * 0.5), "cpu_steal_ns": int(taken * SECOND)})
        rows[-1]["psi_cpu_some_us"] = 250_000 * at
    return pa.Table.from_pylist(rows, h.HOST)


def test_a_run_without_doubt_has_no_finding():
    assert doubts.check(history(operations())) == []
    assert doubts.check(history()) == []


def test_seconds_in_which_operations_were_sent_late_are_marked():
    (finding,) = doubts.check(history(operations(lag_ms=12)))
    assert finding.answer is Answer.MEASURED
    assert finding.measured == "1 of 10 s in doubt"
    assert "second 5: 10 of 10 operations sent late (by up to 12 ms)" in finding.sentence


@pytest.mark.parametrize(
    ("never", "late", "said"),
    [
        (5, 1, "5 of 10 operations never sent, 1 of 10 sent late (by up to 3 ms)"),
        (5, 0, "5 of 10 operations never sent"),
        (0, 1, "1 of 10 operations sent late (by up to 3 ms)"),
    ],
)
def test_what_was_never_sent_is_not_said_to_have_been_late(never, late, said):
    """Of five never sent and one 3 ms late: "6 sent late (by up to 3 ms)"."""
    sent = operations()
    for one in sent[40 : 40 + never]:
        one |= {"sent_ns": 0, "done_ns": 0, "outcome": int(Outcome.FAILED)}
    for one in sent[45 : 45 + late]:
        one["sent_ns"] = one["intended_ns"] + 3 * MS
    (finding,) = doubts.check(history(sent))
    assert f"second 5: {said}; rows leave" in finding.sentence


@pytest.mark.parametrize(
    ("begin_ms", "end_ms", "first", "seconds"),
    [
        (2600, 5500, 3, 3),  # what a worker noted without a break may be told in one
        (2600, 3600, 3, 1),
        (2495, 3520, 3, 1),  # a second of a worker is seldom a whole one
        (2600, 2700, 2, 1),
    ],
)
def test_a_doubt_of_several_seconds_is_one_of_each(begin_ms, end_ms, first, seconds):
    plain = {"stalled_ns": 118 * MS, "blocked": 0, "cpu_ns": 0}
    one = Doubt(worker=0, begin_ns=begin_ms * MS, end_ns=end_ms * MS, **plain)
    (finding,) = doubts.check(history(operations(), doubts=(one,)))
    assert finding.measured == f"{seconds} of 10 s in doubt"
    within = f" within {seconds} s" if seconds > 1 else ""
    said = f"second {first}: load worker 1 stood still for 118 ms{within}"
    assert finding.sentence.startswith((f"{said};", f"{said},"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stalled_ns": 118 * MS}, "load worker 2 stood still for 118 ms"),
        ({"blocked": 7}, "nodes did not take 7 sends of load worker 2 at once"),
        ({"cpu_ns": 950 * MS}, "load worker 2 used 95% of a core"),
        ({}, None),
    ],
)
def test_what_a_worker_noted_of_itself_is_said(values, words):
    plain = {"stalled_ns": 0, "blocked": 0, "cpu_ns": 100 * MS}
    one = Doubt(worker=1, begin_ns=4 * SECOND, end_ns=5 * SECOND, **{**plain, **values})
    found = doubts.check(history(operations(), doubts=(one,)))
    assert [words in finding.sentence for finding in found] == ([] if words is None else [True])
    assert all("second 4: " in finding.sentence for finding in found)


def assert_of_the_host(found, answer, took, told):
    """A missed time is UNKNOWN for what took the host, which the second's doubt tells of too; or it
    is FAIL, and no second is in doubt.
    """
    finding = judged(found, statistic="p99")
    assert finding.answer is answer, finding
    if answer is Answer.FAIL:
        assert doubts.check(found) == []
        return
    assert finding.cause is Cause.HOST_LIMITED
    assert took in finding.sentence
    (said,) = doubts.check(found)
    assert told in said.sentence


@pytest.mark.parametrize(("share", "answer"), [(0.3, Answer.UNKNOWN), (0.05, Answer.FAIL)])
def test_a_time_that_was_missed_while_the_hypervisor_took_the_host_is_unknown(share, answer):
    found = history(operations(took_ms=500), host=stolen(share), cores=2)
    assert_of_the_host(
        found,
        answer,
        "the hypervisor took up to 30% of the host",
        "second 5: the hypervisor took 30%, tasks waited for a core 25% of it",
    )


@pytest.mark.parametrize(("share", "answer"), [(0.05, Answer.UNKNOWN), (0.0, Answer.FAIL)])
def test_a_time_that_was_missed_while_the_quota_was_used_up_is_unknown(share, answer):
    """A CI job that may use half a core stands still for 50 ms of each 100: FAIL."""
    rows = [
        {**host(at, at * 0.5), "cpu_throttled_us": int(share * 2e6) if at > 5 else 0}
        for at in range(1, 12)
    ]
    quota = pa.Table.from_pylist(rows, h.HOST)
    found = history(operations(took_ms=500), host=quota, cores=2)
    assert_of_the_host(
        found,
        answer,
        "the CPU quota of its control group took up to 5% of the host",
        "second 5: the CPU quota of its control group took 5%",
    )


def test_what_was_slow_without_the_hypervisor_stays_a_fail():
    slow = operations(took_ms=500)
    for one in operations(took_ms=500)[80:]:
        slow.append({**one, "id": one["id"][::-1], "done_ns": one["sent_ns"] + 400 * MS})
    finding = judged(history(slow, host=stolen(0.3), cores=2), statistic="p90")
    assert finding.answer is Answer.FAIL, finding


def test_doubts_are_read_as_they_were_written():
    one = Doubt(worker=1, begin_ns=4, end_ns=9, stalled_ns=3, blocked=2, cpu_ns=5)
    facts = {"load": {"workers": [{"worker": 1, "doubts": [one.as_row()]}, {"worker": 0}]}}
    assert noted.read(facts) == (one,)
    assert noted.read({"load": {"workers": 2}}) == ()
    with pytest.raises(BadFileError, match="the load workers' doubts"):
        noted.read({"load": {"workers": [{"worker": 0, "doubts": [[1, 2]]}]}})
    with pytest.raises(BadFileError, match="OverflowError"):
        noted.read({"load": {"workers": [{"worker": 0, "doubts": [[1, 1e400, 3, 4, 5]]}]}})


def test_at_most_three_seconds_are_told_of():
    late = [
        replace(
            Doubt(worker=0, begin_ns=0, end_ns=SECOND, stalled_ns=9 * MS, blocked=0, cpu_ns=0),
            begin_ns=at * SECOND,
            end_ns=(at + 1) * SECOND,
        )
        for at in range(1, 6)
    ]
    (finding,) = doubts.check(history(operations(), doubts=tuple(late)))
    assert finding.measured == "5 of 10 s in doubt"
    assert "; and 2 more; rows leave out" in finding.sentence


def test_packets_that_the_host_dropped_are_told_of():
    """Its backlog is one for all namespaces: what is missing may be missing by this."""
    seconds = [{**host(1 + at, at, at), "packets_dropped": 5 + 422 * (at > 3)} for at in range(8)]
    sent = [operation(1)]
    (finding,) = doubts.check(history(sent, host=pa.Table.from_pylist(seconds, h.HOST)))
    assert "this host's kernel dropped 422 packets, anybody's" in finding.sentence
    untold = [{**one, "packets_dropped": None} for one in seconds]
    assert doubts.check(history(sent, host=pa.Table.from_pylist(untold, h.HOST))) == []
