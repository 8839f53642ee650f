"""Rows of a budget on literal histories: what is kept, what is missed, and what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kit.budget_rows import judged, row
from kit.histories import MS, SECOND, fault, history, operation, record, sample

from harness import checks
from harness.checks import rows
from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history.events import NodeChanged, RunEnded
from harness.history.plan import ChangePlan, Plan
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind


def test_a_kept_and_a_missed_promise():
    found = history([operation(number) for number in range(100)])
    assert judged(found).answer is Answer.PASS
    missed = judged(found, bound=1.0)
    assert (missed.answer, missed.value) == (Answer.FAIL, 2.0)
    assert "2 is not < 1 ms" in missed.sentence


def test_bounds_are_strict():
    due = [operation(number) for number in range(100)]
    found = history([{**one, "sent_ns": one["intended_ns"]} for one in due])
    assert judged(found, bound=2.0).answer is Answer.FAIL
    assert judged(found, bound=2.0, comparison="<=").answer is Answer.PASS


def test_latency_counts_from_the_intended_time():
    late = history(
        [
            operation(n, sent_ns=SECOND + n * MS + 9 * MS, done_ns=SECOND + n * MS + 12 * MS)
            for n in range(100)
        ]
    )
    finding = judged(late, bound=11.0)
    assert finding.answer is Answer.UNKNOWN
    assert finding.cause is Cause.GENERATOR_BEHIND
    assert "sent 100 of 100 operations late" in finding.sentence


def test_what_never_arrived_is_infinite_and_not_left_out():
    lost = [
        operation(n, outcome=int(Outcome.UNKNOWN if n < 30 else Outcome.OK)) for n in range(100)
    ]
    assert judged(history(lost), statistic="p50").answer is Answer.PASS
    finding = judged(history(lost), statistic="p95")
    assert finding.answer is Answer.FAIL
    assert "never arrived" in finding.sentence
    assert finding.measured.startswith("∞")


def test_nothing_measured_is_unknown():
    assert judged(history()).cause is Cause.NOT_MEASURED
    assert judged(history([operation(1)]), phase="peak").cause is Cause.NOT_MEASURED
    assert judged(history(), metric="rss", statistic="max", unit="MB").cause is Cause.NOT_MEASURED
    assert judged(history(), metric="broadcast.propagation").cause is Cause.NOT_MEASURED


@pytest.mark.parametrize(
    ("metric", "unit", "cause"),
    [("micro.x25519", "us", Cause.UNSTABLE), ("micro.variance", "%", None)],
)
def test_values_of_one_micro_benchmark_must_agree(metric, unit, cause):
    """How much each differs is a value of each benchmark: these need not agree."""
    found = history(measurements={metric: np.array([0.01, 0.02, 0.04])})
    assert judged(found, metric=metric, statistic="p50", unit=unit, bound=5.0).cause is cause


@pytest.mark.parametrize(
    ("statistic", "least"), [("p50", 2), ("p95", 20), ("p99", 100), ("p99.9", 1000)]
)
def test_a_percentile_wants_enough_samples(statistic, least):
    few = judged(history([operation(n) for n in range(least - 1)]), statistic=statistic)
    assert few.cause is Cause.TOO_FEW
    assert (
        judged(history([operation(n) for n in range(least)]), statistic=statistic).answer
        is Answer.PASS
    )


def test_a_missed_row_says_which_faults_were_set_by_hand():
    """A delay of somebody's, left over from yesterday, was the system's, without a word."""
    due = [operation(number) for number in range(100)]
    stood = fault("set", 0.5, "slow", does="delay 40 ms", words="all delay 40ms")
    plan = Plan(t0_ns=SECOND, seed=1, phases=())
    found = history(due, events=(stood, RunEnded()), plan=plan)
    missed = judged(found, bound=1.0)
    assert missed.answer is Answer.FAIL
    assert "2 is not < 1 ms" in missed.sentence
    assert missed.sentence.endswith("that somebody set by hand stood: all delay 40ms")
    planned = replace(plan, changes=(ChangePlan(at_ns=1, verb="set", fault="slow"),))
    for other in (
        history(due, events=(stood, RunEnded()), plan=planned),
        history(due, events=(stood, fault("clear", 0.9, "slow"), RunEnded()), plan=plan),
    ):
        assert "by hand" not in judged(other, bound=1.0).sentence


def test_nodes_that_somebody_had_stopped_are_no_nodes_of_a_row():
    """A promise about three nodes was kept by two, the third stopped by hand before the run."""
    due = [operation(number, source=0, target=1) for number in range(100)]
    stopped = NodeChanged(at_ns=1, node="node-2", condition="stopped")
    found = history(due, events=(stopped, RunEnded()))
    assert judged(found).answer is Answer.PASS
    assert judged(found, nodes=3).cause is Cause.CONDITIONS
    assert "of which node-2 did not run" in judged(found, nodes=3).sentence
    later = history(due, events=(replace(stopped, at_ns=2 * SECOND), RunEnded()))
    assert judged(later, nodes=3).answer is Answer.PASS
    planned = Plan(
        t0_ns=SECOND, seed=1, phases=(), changes=(ChangePlan(at_ns=1, verb="set", fault="cut"),)
    )
    by_plan = fault("set", 0.5, does="stopped", nodes=("node-2",))
    found = history(due, events=(by_plan, stopped, RunEnded()), plan=planned)
    assert judged(found, nodes=3).cause is not Cause.CONDITIONS


def test_conditions_that_were_not_met_are_unknown():
    found = history([operation(number) for number in range(100)])
    assert judged(found, nodes=10).cause is Cause.CONDITIONS
    assert judged(found, nodes=3).answer is Answer.PASS
    assert judged(found, node="zoe").cause is Cause.CONDITIONS


def test_the_rate_received_is_counted_from_the_receivers_journal():
    operations = [operation(n) for n in range(1000)]
    rss = {
        "metric": "rss",
        "statistic": "max",
        "unit": "MB",
        "bound": 200.0,
        "node": "node-0",
        "received_per_s": 100.0,
    }
    samples = [sample(at, 0, rss_bytes=10**8) for at in range(1, 11)]
    assert (
        judged(history(operations, [record(n) for n in range(1000)], samples), **rss).answer
        is Answer.PASS
    )
    fell_short = judged(history(operations, [record(n) for n in range(900)], samples), **rss)
    assert fell_short.cause is Cause.LOAD_NOT_DELIVERED
    assert "received 90 messages a second" in fell_short.sentence
    elsewhere = judged(
        history(operations, [record(n, node=1) for n in range(1000)], samples), **rss
    )
    assert elsewhere.cause is Cause.LOAD_NOT_DELIVERED


def test_the_worst_node_is_judged_and_named():
    samples = [
        sample(at, node, fds=10 + 100 * (node == 2)) for at in range(1, 11) for node in range(3)
    ]
    finding = judged(history(samples=samples), metric="fds", statistic="max", unit="1", bound=100.0)
    assert finding.answer is Answer.FAIL
    assert finding.measured == "110 at node-2"


def test_a_node_that_was_not_sampled_is_not_passed_over():
    samples = [sample(at, node, fds=10) for at in range(1, 11) for node in range(2)]
    finding = judged(history(samples=samples), metric="fds", statistic="max", unit="1", bound=100.0)
    assert finding.cause is Cause.NOT_MEASURED
    assert "node-2" in finding.sentence


def test_cpu_is_last_minus_first():
    samples = [
        sample(at, node, cpu_ns=5 * SECOND + at * SECOND // 4)
        for at in range(1, 11)
        for node in range(3)
    ]
    assert judged(
        history(samples=samples), metric="cpu", statistic="mean", unit="%", bound=30.0
    ).value == pytest.approx(25)


def test_a_rate_wants_samples_over_half_the_phase():
    samples = [sample(at, node, bytes_in=at) for at in (1, 2) for node in range(3)]
    assert (
        judged(history(samples=samples), metric="network", statistic="mean", unit="KB/s").cause
        is Cause.NOT_MEASURED
    )


def test_propagation_is_until_the_last_node_has_it():
    sent = [operation(n, Operation.BROADCAST, source=0, target=-1) for n in range(4)]
    heard = [
        record(n, RecordKind.RECEIVED, node, SECOND + n * MS + node * 10 * MS)
        for n in range(4)
        for node in (1, 2)
    ]
    found = history(sent, heard)
    assert judged(found, metric="broadcast.propagation", bound=50.0).value == 20.0
    one_short = history(sent, heard[:-1])
    assert (
        judged(one_short, metric="broadcast.propagation", statistic="max", bound=50.0).answer
        is Answer.FAIL
    )
    assert (
        judged(
            one_short,
            metric="broadcast.coverage",
            statistic="min",
            unit="%",
            bound=100.0,
            comparison=">=",
        ).value
        == 50.0
    )


def test_the_origin_and_second_copies_do_not_count_as_coverage():
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]
    heard = [record(1, RecordKind.RECEIVED, node) for node in (0, 1, 1)]
    finding = judged(
        history(sent, heard),
        metric="broadcast.coverage",
        statistic="min",
        unit="%",
        bound=100.0,
        comparison=">=",
    )
    assert (finding.answer, finding.value) == (Answer.FAIL, 50.0)


def test_a_row_without_a_bound_is_never_pass():
    finding = judged(history([operation(n) for n in range(10)]), bound=None)
    assert finding.answer is Answer.MEASURED
    verdict = checks.judge(history(), [row(metric="rss", unit="MB", bound=None)])
    assert verdict.answer is Answer.UNKNOWN


@pytest.mark.parametrize("changes", [{"metric": "speed"}, {"statistic": "p12"}, {"unit": "MB"}])
def test_a_row_that_cannot_be_measured_is_refused(changes):
    """It is refused before anything runs."""
    with pytest.raises(BadFileError, match="row r"):
        rows.validate([row(**changes)])


def test_no_metric_breaks_on_an_empty_run_and_none_is_pass():
    for name, metric in METRICS.items():
        unit = {
            "time": "ms",
            "share": "%",
            "rate": "1/s",
            "number": "1",
            "size": "MB",
            "byte rate": "MB/s",
        }[metric.kind]
        finding = judged(history(), metric=name, statistic="max", unit=unit, bound=1e9)
        # Nothing received is a true zero.
        expected = Answer.PASS if name == "private_message.received" else Answer.UNKNOWN
        assert finding.answer is expected, name


def test_a_checker_that_crashes_is_unknown():
    broken = replace(history([operation(1)]), operations=None, planned_per_s={("load", 1): 1.0})
    verdict = checks.judge(broken, [row()])
    assert verdict.answer is Answer.UNKNOWN
    broke = {one.name for one in verdict.findings if one.cause is Cause.CHECKER_BROKE}
    assert broke == {
        "r",
        "scope",
        "delivery",
        "values",
        "denials",
        "load",
        "doubts",
        "non-vacuity",
    }


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_a_count_is_of_what_came_true(outcome):
    """300 messages failed: "count >= 200" PASS, 300."""
    failed = {"outcome": int(outcome), "done_ns": 0}
    operations = [operation(n, **(failed if n >= 30 else {})) for n in range(100)]
    for metric in ("private_message.delivered", "private_message.end_to_end"):
        counted = {"metric": metric, "statistic": "count", "unit": "1", "comparison": ">="}
        seen = [record(n) for n in range(30)]
        for bound, answer in ((30.0, Answer.PASS), (31.0, Answer.FAIL)):
            finding = judged(history(operations, seen), **counted, bound=bound)
            assert (finding.answer, finding.measured) == (answer, "30 (n=100)")


@pytest.mark.parametrize(("lost", "answer"), [(100, Answer.UNKNOWN), (99, Answer.FAIL)])
def test_what_never_arrived_keeps_no_row_that_wants_more_time(lost, answer):
    """ "mean >= 5 ms", all lost: PASS, infinity."""
    gone = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    found = history([operation(n, **(gone if n < lost else {})) for n in range(100)])
    wanted = {"statistic": "mean", "comparison": ">=", "bound": 5.0}
    assert judged(found, **wanted).answer is answer
    came_true = [one for one in checks.judge(found, [row(**wanted)]).findings if "true" in one.name]
    assert [one.answer for one in came_true] == [Answer.UNKNOWN]  # such a row is about no loss
