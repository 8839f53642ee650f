"""Rows on literal histories that had a false answer: each way to a PASS that nobody earned, or to a
FAIL that was not the system's.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import judged, row
from kit.histories import MS, SECOND, history, host, operation, record

from harness.checks import rows
from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import history as h
from harness.history.events import FaultChanged, NodeChanged, RunEnded
from harness.history.gaps import Gap, Part
from harness.history.history import PhaseWindow
from harness.history.proof import Proof, ProofAnswer
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind


def test_equal_is_said_of_every_node():
    """100 of 100 members promised at all nodes; one knew 50, and the largest was taken: PASS."""
    row_ = {
        "metric": "node.members",
        "statistic": "min",
        "unit": "1",
        "comparison": "==",
        "bound": 100.0,
    }
    for odd in (50.0, 150.0):
        gauges = {("load", node, "members"): 100.0 for node in range(3)}
        finding = judged(history(gauges=gauges | {("load", 1, "members"): odd}), **row_)
        assert finding.answer is Answer.FAIL
        assert finding.measured == f"{odd:g} at node-1, at the phase's end"
        assert judged(history(gauges=gauges), **row_).answer is Answer.PASS


@pytest.mark.parametrize("metric", ["node.links", "node.routes", "node.good", "node.members"])
def test_one_value_of_a_phase_says_when_it_was_so(metric):
    """A phase in which a node was killed twice had "min >= 3, 3 at node-0": that was its end."""
    gauges = {("load", node, metric.partition(".")[2]): 3.0 for node in range(3)}
    row_ = {"metric": metric, "unit": "1", "comparison": ">=", "bound": 3.0}
    for statistic in ("min", "mean", "max"):
        finding = judged(history(gauges=gauges), statistic=statistic, **row_)
        said = (finding.answer, finding.measured)
        assert said == (Answer.PASS, "3 at node-0, at the phase's end")
    finding = judged(history(gauges=gauges), statistic="min", node="node-2", **row_)
    assert finding.measured == "3 at node-2, at the phase's end"


def test_what_no_operation_sent_is_not_received():
    """A node that journals a thousand messages which nobody sent met "received_per_s"."""
    sent = [operation(n) for n in range(100)]
    invented = [record(n) for n in range(100, 5000)]
    twice = [record(n) for n in range(100)]
    at_another = [record(n, node=2) for n in range(100)]
    found = history(sent, [*twice, *twice, *invented, *at_another])
    per_s = METRICS["private_message.received"].take(found, found.phase("load")).series
    assert [float(per_s[node][0]) for node in range(3)] == [10.0, 0.0, 0.0]
    finding = judged(found, node="node-0", received_per_s=400.0, statistic="p90")
    assert finding.cause is Cause.LOAD_NOT_DELIVERED


def test_a_time_is_never_negative():
    """Sent 2 s before it was due, done at once: p50 of -1,998 ms, PASS."""
    early = [
        operation(n, sent_ns=SECOND + n * MS - 2 * SECOND, done_ns=SECOND + n * MS - SECOND)
        for n in range(5000, 5100)
    ]
    finding = judged(history(early), statistic="p50")
    assert (finding.answer, finding.value) == (Answer.FAIL, 1000.0)
    journal = [
        record(n, RecordKind.RECEIVED, node, SECOND + n * MS - SECOND)
        for n in range(5000, 5100)
        for node in (0, 2)
    ]
    spread = [{**one, "operation": int(Operation.BROADCAST), "target": -1} for one in early]
    finding = judged(history(spread, journal), metric="broadcast.propagation")
    assert (finding.answer, finding.value) == (Answer.FAIL, 1000.0)


def test_a_row_that_names_a_node_is_not_answered_with_all():
    """The time of a message is of no single node: that of all was said to be node-2's."""
    found = history([operation(n) for n in range(100)])
    finding = judged(found, node="node-2")
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.CONDITIONS)
    assert "private_message.end_to_end is not measured by node" in finding.sentence


def test_a_row_that_crashes_leaves_the_others_their_answers(monkeypatch):
    def breaks(*_):
        raise ZeroDivisionError("of a row")

    monkeypatch.setitem(METRICS, "rss", replace(METRICS["rss"], take=breaks))
    found = history([operation(n) for n in range(100)])
    kept, broken = rows.check(
        found, [row(), row(name="memory", metric="rss", statistic="max", unit="MB")]
    )
    assert (kept.answer, broken.cause) == (Answer.PASS, Cause.CHECKER_BROKE)
    assert "ZeroDivisionError" in broken.sentence


def test_a_host_that_was_sampled_twice_at_once_says_nothing():
    slow = [operation(n, done_ns=SECOND + n * MS + SECOND) for n in range(100)]
    at_once = pa.Table.from_pylist([host(2, 1.0), host(2, 2.0)], h.HOST)
    assert judged(history(slow, host=at_once)).answer is Answer.FAIL


@pytest.mark.parametrize(("lost", "bound"), [(1, 99.9), (710, 29.0), (430, 57.0)])
def test_a_share_at_its_bound_keeps_it(lost, bound):
    """999 of 1,000 arrived and 99.9 % were promised: "99.89999999999999", FAIL."""
    operations = [
        operation(n, outcome=int(Outcome.UNKNOWN if n < lost else Outcome.OK)) for n in range(1000)
    ]
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    found = history(operations)
    assert judged(found, **share, bound=bound, comparison=">=").answer is Answer.PASS
    assert judged(found, **share, bound=bound, comparison=">").answer is Answer.FAIL
    assert judged(found, **share, bound=bound, comparison="==").answer is Answer.PASS


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), float("-inf")])
def test_a_bound_is_a_number(bound):
    """TOML has `nan` and `inf`: nothing keeps the one, anything the other."""
    with pytest.raises(BadFileError, match="row r: bound: expected a finite number"):
        row(bound=bound)
    with pytest.raises(BadFileError, match="row r: stretch: expected a finite number"):
        row(stretch=bound)


@pytest.mark.parametrize(("busy_s", "answer"), [(1.0, Answer.UNKNOWN), (0.1, Answer.FAIL)])
def test_a_short_phase_is_excused_by_the_host_around_it(busy_s, answer):
    """A phase of a second has one sample of the host; who had it then was not asked: FAIL."""
    slow = [operation(n, done_ns=SECOND + n * MS + SECOND) for n in range(100)]
    others = pa.Table.from_pylist([host(at + 0.5, at * busy_s) for at in range(4)], h.HOST)
    finding = judged(history(slow, host=others, seconds=1))
    assert finding.answer is answer
    assert finding.cause is (Cause.HOST_LIMITED if answer is Answer.UNKNOWN else None)


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("membership.failure_seen", RecordKind.MEMBER_FAILED),
        ("private_message.received", RecordKind.DELIVERED),
        ("broadcast.coverage", RecordKind.RECEIVED),
        ("broadcast.fanout", RecordKind.DUPLICATE),
    ],
)
def test_records_that_journals_cannot_have_are_not_missed(metric, kind):
    """A node of meshnode ended, whose journals tell of no failures: "never reported", FAIL."""
    found = history(
        [operation(1, Operation.BROADCAST, target=-1)],
        events=(NodeChanged(at_ns=2 * SECOND, node="node-2", condition="stopped"), RunEnded()),
    )
    kind_of = {"time": ("s", "<"), "rate": ("1/s", ">"), "share": ("%", ">"), "number": ("1", ">")}
    unit, comparison = kind_of[METRICS[metric].kind]
    row_ = {"metric": metric, "statistic": "max", "unit": unit, "comparison": comparison}
    assert judged(found, **row_, bound=1.0).answer is Answer.FAIL
    lacking = judged(replace(found, kept=found.kept - {kind}), **row_, bound=1.0)
    assert (lacking.answer, lacking.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert f"no records of the kind {kind.name.lower()}" in lacking.sentence
    # An older folder does not say that it keeps them, and has one.
    told = history(
        [operation(1, Operation.BROADCAST, target=-1)],
        [record(7, kind, node=1)],
        events=found.events,
        kept=found.kept - {kind},
    )
    assert judged(told, **row_, bound=1.0).answer is Answer.FAIL


def test_a_fault_is_shown_by_what_it_does_in_the_rows_own_phase():
    """Phase "b" has another fault of the same name; its loss was missed in "a": UNKNOWN."""
    phases = tuple(
        PhaseWindow(name=name, begin_ns=at * SECOND, end_ns=(at + 5) * SECOND)
        for name, at in (("a", 1), ("b", 6))
    )
    events = [
        FaultChanged(verb=verb, fault="wan", does=does, paths=1, set_ns=at * SECOND)
        for verb, does, at in (
            ("set", "delay", 2),
            ("clear", "", 5),
            ("set", "loss", 7),
            ("clear", "", 10),
        )
    ]
    proofs = tuple(
        Proof(at_ns=at * SECOND, fault="wan", what=what, backend="hub", answer=ProofAnswer.IN_FORCE)
        for what, at in (("read back", 3), ("delay", 3), ("read back", 8))
    )
    found = history(
        [operation(n) for n in range(1000, 1100)], phases=phases, events=events, proofs=proofs
    )
    under = {"under": "wan", "phase": "a"}
    assert judged(found, **under).answer is Answer.PASS
    lacking = judged(found, **{**under, "phase": "b"})
    assert (lacking.cause, lacking.sentence) == (
        Cause.FAULT_NOT_PROVEN,
        "wan: in force, amount not shown: loss",
    )


@pytest.mark.parametrize(
    ("part", "busy_s", "came", "answer"),
    [
        (None, 1.0, True, Answer.UNKNOWN),  # others had the host, and it came late
        (None, 0.1, True, Answer.FAIL),
        (None, 1.0, False, Answer.FAIL),  # what never came is lost on any host
        (Part.HOST, 0.1, True, Answer.UNKNOWN),
        (Part.HOST, 0.1, False, Answer.FAIL),
        (Part.JOURNAL, 1.0, False, Answer.UNKNOWN),
        (Part.JOURNAL, 0.1, False, Answer.FAIL),
        (Part.SAMPLES, 0.1, True, Answer.FAIL),
    ],
)
def test_what_could_excuse_a_share_is_asked_for(part, busy_s, came, answer):
    """A tenth had no answer. That the host was not sampled, or the receivers' journals are gone,
    made a FAIL of what nobody can know.
    """
    lost = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    sent = [operation(n, **(lost if n % 10 == 0 else {})) for n in range(1000)]
    journal = [record(n) for n in range(1000) if came or n % 10]
    others = pa.Table.from_pylist([host(at + 0.5, at * busy_s) for at in range(12)], h.HOST)
    gaps = () if part is None else (Gap(what=frozenset({part}), why="it is torn"),)
    finding = judged(
        history(sent, journal, host=others, gaps=gaps),
        metric="private_message.delivered",
        statistic="mean",
        unit="%",
        comparison=">=",
        bound=100.0,
    )
    assert finding.answer is answer
    assert (finding.cause is Cause.GAP) == (part is not None and answer is Answer.UNKNOWN)


def test_a_journal_that_may_have_been_cut_may_have_told_of_what_came():
    """The folder has no manifest."""
    lost = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    others = pa.Table.from_pylist([host(at + 0.5, at) for at in range(12)], h.HOST)
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    found = history([operation(n, **lost) for n in range(1000)], host=others)
    assert judged(found, **share, comparison=">=", bound=100.0).answer is Answer.FAIL
    unsealed = judged(replace(found, sealed=False), **share, comparison=">=", bound=100.0)
    assert (unsealed.answer, unsealed.cause) == (Answer.UNKNOWN, Cause.GAP)
