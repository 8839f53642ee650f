"""The budget checker on literal histories: what is kept, what is missed, and every way of not
knowing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.budget_rows import judged, row
from kit.histories import MS, SECOND, history, host, operation, record, sample
from kit.schedules import facts, messages

from harness import checks
from harness.checks import rows
from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import history as h
from harness.history import plan
from harness.history.gaps import EVERYTHING, Gap, Part
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


@pytest.mark.parametrize(
    ("busy", "share", "answer"),
    [(1.98, 0.4, Answer.UNKNOWN), (1.98, 0.97, Answer.FAIL), (1.0, 0.4, Answer.FAIL)],
)
def test_a_missed_rate_on_a_full_host_is_unknown(busy, share, answer):
    """Where the node itself was at its end, it is a FAIL."""
    hosts = [host(at, at * busy, at * busy) for at in range(1, 11)]
    samples = [sample(at, 0, cpu_ns=int(at * share * SECOND)) for at in range(1, 11)]
    found = history(
        [operation(n) for n in range(100)],
        samples=samples,
        host=pa.Table.from_pylist(hosts, h.HOST),
        cores=2,
        journal=[],
    )
    finding = judged(
        found,
        metric="private_message.received",
        statistic="mean",
        comparison=">=",
        unit="1/s",
        bound=1e6,
        node="node-0",
    )
    assert finding.answer is answer
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)


@pytest.mark.parametrize(("own_share", "answer"), [(0.9, Answer.FAIL), (0.1, Answer.UNKNOWN)])
def test_a_missed_time_on_a_host_that_other_processes_took_is_unknown(own_share, answer):
    """Two cores, 95 % busy: by the run itself it is a FAIL, by others it says nothing of the
    system.
    """
    rows = [host(at, at * 1.9, at * 1.9 * own_share) for at in range(1, 11)]
    found = history(
        [operation(n) for n in range(100)], host=pa.Table.from_pylist(rows, h.HOST), cores=2
    )
    finding = judged(found, bound=1.0)
    assert finding.answer is answer
    assert ("none of this run's" in finding.sentence) == (answer is Answer.UNKNOWN)
    assert judged(found, bound=10.0).answer is Answer.PASS


@pytest.mark.parametrize(
    ("busy", "own", "waited", "answer"),
    [
        (1.3, 0.2, 0.10, Answer.UNKNOWN),  # seen: 65 % busy, and 100 ms late five times
        (1.3, 0.2, 0.01, Answer.FAIL),  # it did not wait
        (1.3, 0.8, 0.10, Answer.FAIL),  # it waited for the run itself
        (0.3, 0.0, 0.10, Answer.FAIL),  # others had next to nothing
    ],
)
def test_a_node_that_waited_for_a_core_that_others_had_is_not_late(busy, own, waited, answer):
    """A core more was free, and the node did not get it: FAIL."""
    rows = [host(at, at * busy, at * own) for at in range(1, 11)]
    samples = [
        sample(at, node, run_delay_ns=int(at * (waited if node == 1 else 0.001) * SECOND))
        for at in range(1, 11)
        for node in range(3)
    ]
    made = {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2}
    found = history([operation(n) for n in range(100)], samples=samples, **made)
    finding = judged(found, bound=1.0)
    assert finding.answer is answer
    assert ("a node waited for a core" in finding.sentence) == (answer is Answer.UNKNOWN)
    assert judged(found, bound=10.0).answer is Answer.PASS
    gap = Gap(what=frozenset({Part.SAMPLES}), of=("node-1",), why="torn")
    lacking = judged(replace(found, samples=found.samples.slice(0, 0), gaps=(gap,)), bound=1.0)
    is_shared = busy > 1 and own < 0.5
    assert (lacking.cause is Cause.GAP) == is_shared, "what would have shown the wait is gone"


TOO_FAST = {"metric": "private_message.end_to_end", "comparison": ">=", "bound": 50.0}
FILES = {"metric": "file_transfer.goodput", "unit": "MB/s", "statistic": "mean"}


@pytest.mark.parametrize(
    ("row_of", "answer"),
    [
        ({**FILES, "comparison": ">=", "bound": 8.0}, Answer.UNKNOWN),
        ({**FILES, "comparison": "<", "bound": 2.0}, Answer.FAIL),  # faster than the path
        (TOO_FAST, Answer.FAIL),  # faster than the delay of the path
    ],
)
def test_a_full_host_makes_slow_and_nothing_fast(row_of, answer):
    """A goodput beside others that took the host was FAIL, and a time below the path's own delay
    was excused by them.
    """
    sent = [operation(n) for n in range(100)]
    sent += [
        operation(200 + n, Operation.FILE_TRANSFER, payload_bytes=5_000_000, done_ns=2 * SECOND)
        for n in range(2)
    ]
    journal = [record(n, at_ns=SECOND + (n + 2) * MS) for n in range(100)]
    journal += [record(200 + n, RecordKind.FILE_DELIVERED, at_ns=2 * SECOND) for n in range(2)]
    rows = [host(at, at * 1.9, at * 0.1) for at in range(1, 11)]
    made = {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2}
    finding = judged(history(sent, journal, **made), **row_of)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)


def test_what_never_arrived_is_infinite_and_not_left_out():
    lost = [
        operation(n, outcome=int(Outcome.UNKNOWN if n < 30 else Outcome.OK)) for n in range(100)
    ]
    assert judged(history(lost), statistic="p50").answer is Answer.PASS
    finding = judged(history(lost), statistic="p95")
    assert finding.answer is Answer.FAIL
    assert "never arrived" in finding.sentence
    assert finding.measured.startswith("∞")


LINEAR = {
    "metric": "private_message.linearity",
    "statistic": "max",
    "bound": 20,
    "unit": "%",
    "phase": "pair-10",
}


def bursts(late_ms=0, hosts=()):
    """Two bursts, at 1 and at 21 s, of which the greater one is dearer a message; its generator was
    so late.
    """
    phases, operations = [], []
    for size, begin in ((10, SECOND), (100, 21 * SECOND)):
        window = {"begin_ns": begin, "end_ns": begin + 20 * SECOND}
        phases.append(h.PhaseWindow(name=f"pair-{size}", **window))
        sent_ns = begin + (late_ms * MS if size == 100 else 0)
        for index in range(size):
            times = {"sent_ns": sent_ns, "done_ns": sent_ns + (index + 1) * size * 1000}
            number = len(operations)
            operations.append(operation(number, intended_ns=begin, **times))
    return history(
        operations, phases=tuple(phases), cores=2, host=pa.Table.from_pylist(list(hosts), h.HOST)
    )


def test_linearity_says_nothing_where_any_of_the_bursts_was_sent_late():
    """The row names the first burst; the other is the one that the generator fell behind in."""
    assert judged(bursts(), **LINEAR).answer is Answer.FAIL
    assert judged(replace(bursts(), sealed=False), **LINEAR).cause is Cause.GAP
    late = judged(bursts(late_ms=300), **LINEAR)
    assert (late.answer, late.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)


@pytest.mark.parametrize(
    ("busy_s", "steal_s", "from_s", "answer"),
    [
        (1.9, 0.0, 20, Answer.UNKNOWN),  # others had it during the other burst
        (0.1, 0.4, 20, Answer.UNKNOWN),  # the hypervisor
        (1.9, 0.0, 30, Answer.FAIL),  # when neither burst was under way
        (0.1, 0.1, 20, Answer.FAIL),
    ],
)
def test_linearity_says_nothing_where_any_of_the_bursts_had_another_s_host(
    busy_s, steal_s, from_s, answer
):
    """A ratio of times is one of times: that the host was slow in one of them made it FAIL."""
    taken = [min(max(at - from_s, 0), 3) for at in range(1, 42)]
    hosts = [
        {
            **host(at + 0.5, 0.1 * at + busy_s * one),
            "cpu_steal_ns": int(steal_s * one * SECOND),
        }
        for at, one in enumerate(taken, 1)
    ]
    finding = judged(bursts(hosts=hosts), **LINEAR)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    # What was lost is lost on any host.
    lost = bursts(hosts=hosts)
    outcome = np.full(110, int(Outcome.OK), np.uint8)
    outcome[50] = Outcome.UNKNOWN
    column = h.OPERATIONS.get_field_index("outcome")
    lost_one = lost.operations.set_column(column, "outcome", pa.array(outcome))
    assert judged(replace(lost, operations=lost_one), **LINEAR).answer is Answer.FAIL
    # That nobody looked at the host then leaves it open, too.
    unseen = replace(bursts(), gaps=(gap(Part.HOST, from_ns=21 * SECOND),))
    assert judged(unseen, **LINEAR).cause is Cause.GAP


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


def test_what_compares_whole_phases_cannot_be_under_a_fault():
    """Only one of them was looked at for the fault, and their seconds without it counted too."""
    with pytest.raises(BadFileError, match="compares whole phases"):
        rows.validate([row(**LINEAR, under="slow")])


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
    assert broke == {"r", "scope", "delivery", "load", "doubts", "non-vacuity"}


def test_every_metric_names_what_it_needs():
    """One that names nothing needs everything, and any gap would make its rows UNKNOWN."""
    assert [name for name, metric in METRICS.items() if metric.needs == EVERYTHING] == []


def gap(what: Part, **changes) -> Gap:
    return Gap(what=frozenset({what}), why="nobody saw it", **changes)


def test_a_gap_makes_unknown_where_a_row_rests_on_it():
    found = history([operation(number) for number in range(100)])
    inside = {"from_ns": 2 * SECOND, "to_ns": 3 * SECOND}
    lacking = replace(found, gaps=(gap(Part.OPERATIONS, **inside),))
    for bound in (10.0, 1.0):
        finding = judged(lacking, bound=bound)
        assert (finding.cause, finding.sentence) == (Cause.GAP, "nobody saw it")
    later = {"from_ns": 11 * SECOND, "to_ns": 12 * SECOND}
    for other in (gap(Part.SAMPLES), gap(Part.OPERATIONS, **later)):
        assert judged(replace(found, gaps=(other,))).answer is Answer.PASS


def test_a_gap_of_one_node_is_none_of_another():
    samples = [sample(at, node, rss_bytes=10**6) for at in range(1, 11) for node in range(3)]
    found = history(samples=samples, gaps=(gap(Part.SAMPLES, of=("node-1",)),))
    memory = {"metric": "rss", "statistic": "max", "unit": "MB"}
    assert judged(found, node="node-2", **memory).answer is Answer.PASS
    assert judged(found, node="node-1", **memory).cause is Cause.GAP
    assert judged(found, **memory).cause is Cause.GAP


def test_what_would_have_excused_a_miss_is_missed():
    """A host that nobody looked at may have been busy: late is not FAIL, lost is."""
    found = history([operation(number) for number in range(100)], gaps=(gap(Part.HOST),))
    assert judged(found, bound=10.0).answer is Answer.PASS
    assert judged(found, bound=1.0).cause is Cause.GAP
    lost = history([operation(1, outcome=int(Outcome.FAILED))], gaps=(gap(Part.HOST),))
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    assert judged(lost, **share, bound=99.0, comparison=">").answer is Answer.FAIL


def test_findings_of_checks_rest_on_the_record_too():
    found = history([operation(1)], planned_per_s={("load", 1): 0.1})
    name = "private messages: acknowledged and delivered"
    whole = {one.name: one.answer for one in checks.judge(found, []).findings}
    assert whole[name] is Answer.FAIL
    holed = checks.judge(replace(found, gaps=(gap(Part.JOURNAL, of=("node-0",)),)), [])
    answers = {one.name: one.answer for one in holed.findings}
    assert (answers[name], answers["load: private_message"]) == (Answer.UNKNOWN, Answer.PASS)
    unsealed = checks.judge(replace(found, sealed=False), [])
    assert unsealed.answer is Answer.UNKNOWN
    budget = checks.judge(replace(found, gaps=(gap(Part.BUDGET),)), [])
    assert "record: whole" in {one.name for one in budget.findings}


@pytest.mark.parametrize(
    ("slow_at_s", "lost", "answer"),
    [(3, False, Answer.UNKNOWN), (15, False, Answer.FAIL), (3, True, Answer.FAIL)],
)
def test_a_time_missed_while_others_had_the_host_is_unknown(slow_at_s, lost, answer):
    """They had it for three of thirty seconds: on the whole it had a free core. What was slow at
    another time, or lost, is the system's.
    """
    busy_s = [0.2 * at + (1.7 * min(max(at - 3, 0), 4)) for at in range(32)]
    late = range(slow_at_s * 10, slow_at_s * 10 + 10)
    slow = [SECOND + n * 100 * MS for n in range(300)]
    operations = [
        operation(
            n,
            intended_ns=due_ns,
            sent_ns=due_ns,
            done_ns=due_ns + (500 if n in late else 2) * MS,
            outcome=int(Outcome.UNKNOWN if lost and n in late else Outcome.OK),
        )
        for n, due_ns in enumerate(slow)
    ]
    arrived = [
        record(n, at_ns=one["done_ns"])
        for n, one in enumerate(operations)
        if one["outcome"] == Outcome.OK
    ]
    found = history(
        operations,
        seconds=30,
        journal=arrived,
        host=pa.Table.from_pylist([host(at, busy_s[at]) for at in range(1, 32)], h.HOST),
        cores=2,
    )
    finding = judged(found, statistic="p99")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    if answer is Answer.UNKNOWN:
        assert "of the host in 4 of 30 seconds" in finding.sentence


@pytest.mark.parametrize(("others", "answer"), [(1.2, Answer.UNKNOWN), (0.6, Answer.FAIL)])
def test_others_that_had_the_host_for_a_second_now_and_then_made_late_what_was_under_way(
    others, answer
):
    """A second of each four: never long enough to show in three seconds. Nodes use 0.6 cores."""
    of_others = [others * (at // 4) + others * (at % 4 == 3) for at in range(1, 32)]
    operations = [
        operation(
            n,
            intended_ns=due_ns,
            sent_ns=due_ns,
            done_ns=due_ns + (500 if due_ns // SECOND % 4 == 2 and due_ns % SECOND else 2) * MS,
        )
        for n, due_ns in enumerate(SECOND + n * 250 * MS for n in range(120))
    ]
    found = history(
        operations,
        seconds=30,
        journal=[record(n, at_ns=one["done_ns"]) for n, one in enumerate(operations)],
        samples=[
            sample(at + 0.01 * node, node, cpu_ns=int(0.2 * at * SECOND))
            for at in range(1, 32)
            for node in range(3)
        ],
        host=pa.Table.from_pylist(
            [host(at, 0.6 * at + of_others[at - 1]) for at in range(1, 32)], h.HOST
        ),
        cores=2,
    )
    finding = judged(found, statistic="p99")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)


@pytest.mark.parametrize(
    ("at_s", "outcome", "busy", "came", "answer"),
    [
        (3, Outcome.UNKNOWN, 1.7, True, Answer.UNKNOWN),
        (3, Outcome.UNKNOWN, 1.7, False, Answer.FAIL),  # it is lost
        (3, Outcome.FAILED, 1.7, True, Answer.FAIL),  # it was answered, not with what was asked
        (15, Outcome.UNKNOWN, 1.7, True, Answer.FAIL),  # the host was free by then
        (3, Outcome.UNKNOWN, 0.7, True, Answer.FAIL),
    ],
)
def test_what_came_after_its_time_while_others_had_the_host_lowers_no_share(
    at_s, outcome, busy, came, answer
):
    """Nobody answered in time, and the target's journal has it: it was late, and not lost."""
    busy_s = [0.2 * at + (busy * min(max(at - 3, 0), 4)) for at in range(32)]
    late = range(at_s * 10, at_s * 10 + 10)
    operations = [
        operation(
            n,
            intended_ns=SECOND + n * 100 * MS,
            sent_ns=SECOND + n * 100 * MS,
            done_ns=0 if n in late else SECOND + n * 100 * MS + 2 * MS,
            outcome=int(outcome if n in late else Outcome.OK),
        )
        for n in range(300)
    ]
    arrived = [
        record(n, at_ns=one["intended_ns"] + (3000 if n in late else 2) * MS)
        for n, one in enumerate(operations)
        if came or n not in late
    ]
    found = history(
        operations,
        seconds=30,
        journal=arrived,
        host=pa.Table.from_pylist([host(at, busy_s[at]) for at in range(1, 32)], h.HOST),
        cores=2,
        plan=plan.read(facts(messages(10, timeout_ms=2000), seconds=30), {}),
    )
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    finding = judged(found, **share, bound=99.0, comparison=">")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    if answer is Answer.UNKNOWN:
        assert "without what was under way then the promise holds" in finding.sentence


@pytest.mark.parametrize(
    ("kind", "busy", "answer"),
    [
        (Operation.DHT_LOOKUP, 1.7, Answer.UNKNOWN),
        (Operation.DHT_LOOKUP, 0.7, Answer.FAIL),
        (Operation.DHT_PUT, 1.7, Answer.FAIL),  # who was to keep it may still have got it
        (Operation.PRIVATE_MESSAGE, 1.7, Answer.FAIL),  # it may still come, and did not
    ],
)
def test_what_its_sender_gave_up_while_others_had_the_host_lowers_no_share(kind, busy, answer):
    """A file of 100 MB that was under way for its 60 s beside others was "0 % arrived": FAIL."""
    operations = [
        operation(
            n,
            kind,
            intended_ns=SECOND + n * 100 * MS,
            sent_ns=SECOND + n * 100 * MS,
            done_ns=0 if 30 <= n < 40 else SECOND + n * 100 * MS + 2 * MS,
            outcome=int(Outcome.UNKNOWN if 30 <= n < 40 else Outcome.OK),
        )
        for n in range(300)
    ]
    busy_s = [0.2 * at + (busy * min(max(at - 3, 0), 4)) for at in range(32)]
    found = history(
        operations,
        seconds=30,
        host=pa.Table.from_pylist([host(at, busy_s[at]) for at in range(1, 32)], h.HOST),
        cores=2,
    )
    suffix = {Operation.DHT_LOOKUP: "completed", Operation.DHT_PUT: "stored"}.get(kind, "delivered")
    share = {"metric": f"{kind.spec.word}.{suffix}", "statistic": "mean", "unit": "%"}
    finding = judged(found, **share, bound=99.0, comparison=">")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
