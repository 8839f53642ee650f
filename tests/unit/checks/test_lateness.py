"""Whose fault: a row is the system's only where generator and harness cannot have decided it, and
the two causes are never mixed.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import MS, SECOND, history, operation, record, sample
from kit.schedules import messages, recorded, run

from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeEnded, NodeStarted, RunEnded
from harness.history.history import PhaseWindow
from harness.operations import Outcome
from harness.scenario.budget import Conditions, Row


def judged(found, **changes):
    plain = {
        "name": "r",
        "metric": "private_message.end_to_end",
        "statistic": "p50",
        "unit": "ms",
        "bound": 10.0,
    }
    wanted = Row(**{**plain, **changes}, conditions=Conditions(phase="load"))
    (finding,) = rows.check(found, [wanted])
    return finding


DELIVERED = {
    "metric": "private_message.delivered",
    "statistic": "mean",
    "unit": "%",
    "comparison": ">=",
    "bound": 99.0,
}


def due(number, lag_ms=0.1, took_ms=2.0, **changes):
    """Due `number` ms into the phase, sent `lag_ms` later, done `took_ms` after that."""
    intended = SECOND + number * MS
    sent = intended + round(lag_ms * MS)
    return operation(number, **{"sent_ns": sent, "done_ns": sent + round(took_ms * MS), **changes})


def unsent(number, **changes):
    return operation(
        number,
        sent_ns=0,
        done_ns=0,
        outcome=int(Outcome.FAILED),
        **{"error": "unsent: the load generator fell behind", **changes},
    )


def lost(number, **changes):
    return operation(number, done_ns=0, outcome=int(Outcome.UNKNOWN), **changes)


@pytest.mark.parametrize(
    ("late", "statistic", "answer"),
    [
        (60, "p50", Answer.UNKNOWN),  # they decide it
        (10, "p50", Answer.PASS),  # however they count, half of all met it
        (10, "p95", Answer.UNKNOWN),
        (4, "p95", Answer.PASS),
    ],
)
def test_lateness_counts_where_it_changes_the_answer(late, statistic, answer):
    operations = [due(n, lag_ms=9 if n < late else 0.1) for n in range(100)]
    finding = judged(history(operations), statistic=statistic)
    assert finding.answer is answer
    if answer is Answer.UNKNOWN:
        assert finding.cause is Cause.GENERATOR_BEHIND
        assert f"sent {late} of 100 operations late (by up to 9 ms)" in finding.sentence


def test_a_system_that_misses_by_itself_is_not_excused_by_a_late_generator():
    operations = [due(n, lag_ms=9 if n < 30 else 0.1, took_ms=50) for n in range(100)]
    finding = judged(history(operations))
    assert finding.answer is Answer.FAIL
    assert finding.measured == "50.1 ms (n=70)"  # of its own operations


@pytest.mark.parametrize(("bound", "late"), [(10, False), (15, False), (40, True), (100, True)])
def test_late_is_above_a_millisecond_and_a_twentieth_of_the_bound(bound, late):
    """All 2 ms late and missed: late for bounds below 40 ms, the system's fault above."""
    operations = [due(n, lag_ms=2, took_ms=bound) for n in range(100)]
    finding = judged(history(operations), bound=float(bound))
    assert finding.answer is (Answer.FAIL if late else Answer.UNKNOWN)


def test_a_kept_promise_under_another_load_is_none():
    """A PASS while half of all operations are sent 0.6 s late."""
    operations = [due(n, lag_ms=600 if n % 2 else 0.1) for n in range(1000)]
    samples = [sample(at, node, rss_bytes=10**7) for at in range(1, 11) for node in range(3)]
    found = history(operations, [record(n) for n in range(1000)], samples)
    memory = {"metric": "rss", "statistic": "max", "unit": "MB", "bound": 50.0}
    rate = {
        "metric": "private_message.received",
        "statistic": "max",
        "unit": "1/s",
        "comparison": ">=",
        "bound": 0.0,
    }
    for row in (memory, rate, {"bound": 15_000.0}):
        finding = judged(found, **row)
        assert finding.cause is Cause.GENERATOR_BEHIND, finding
        assert "late (by up to 600 ms)" in finding.sentence
    # What arrived has arrived, however late it was sent.
    assert judged(found, **DELIVERED).answer is Answer.PASS


def test_what_was_never_sent_is_no_loss():
    """60,000/s asked, the generator fell behind: "delivered 56 %" was FAIL."""
    operations = [due(n) if n < 56 else unsent(n) for n in range(100)]
    finding = judged(history(operations), **DELIVERED)
    assert finding.cause is Cause.GENERATOR_BEHIND
    assert finding.measured == "100 % (n=56)"
    assert "never sent 44 of 100 operations (the load generator fell behind)" in finding.sentence
    slowest = judged(history(operations), statistic="max")
    assert (slowest.cause, slowest.measured) == (Cause.GENERATOR_BEHIND, "2.1 ms (n=56)")


def test_what_was_sent_and_lost_is_lost_whatever_was_not_sent():
    operations = [due(n) if n < 40 else lost(n) if n < 80 else unsent(n) for n in range(100)]
    finding = judged(history(operations), **DELIVERED)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "50 % (n=80)")


def test_a_count_leaves_out_what_was_never_sent():
    operations = [due(n) if n < 56 else unsent(n) for n in range(100)]
    counted = {**DELIVERED, "statistic": "count", "unit": "1"}
    assert judged(history(operations), **{**counted, "bound": 50.0}).answer is Answer.PASS
    assert judged(history(operations), **{**counted, "bound": 60.0}).answer is Answer.UNKNOWN
    assert judged(history(operations), **{**counted, "bound": 101.0}).answer is Answer.FAIL


def test_a_node_that_the_harness_stopped_is_not_the_generators_fault():
    """Killing a node said "the load generator was ∞ ms late"."""
    stop = NodeChanged(at_ns=SECOND + 50 * MS, node="node-1", condition="stopped")
    source = [due(n) if n < 50 else unsent(n) for n in range(100)]
    target = [due(n, source=2) if n < 50 else lost(n, source=2, target=1) for n in range(100)]
    for operations in (source, target):
        found = history(operations, events=(stop, RunEnded()))
        for row in (DELIVERED, {"statistic": "p99"}):
            finding = judged(found, **row)
            assert finding.cause is Cause.NODE_STOPPED
            assert "stopped or paused the source or the target of 5" in finding.sentence
            assert "∞" not in finding.measured + finding.sentence
    # Half of what is left met it, however those would have ended.
    few = [due(n) if n < 90 else unsent(n) for n in range(100)]
    assert judged(history(few, events=(stop, RunEnded()))).answer is Answer.PASS
    # A node that nobody stopped lost them itself.
    assert judged(history(target), **DELIVERED).answer is Answer.FAIL


def test_only_what_was_under_way_while_a_node_was_stopped_is_excused():
    stop = NodeChanged(at_ns=3 * SECOND, node="node-0", condition="stopped")
    again = NodeStarted(at_ns=4 * SECOND, node="node-0")
    events = (stop, again, RunEnded())
    later = [due(n) if n < 5000 else lost(n) for n in range(0, 6000, 10)]
    assert judged(history(later, events=events), **DELIVERED).answer is Answer.FAIL
    meanwhile = [due(n) if not 2500 < n < 2600 else lost(n) for n in range(0, 6000, 10)]
    assert judged(history(meanwhile, events=events), **DELIVERED).cause is Cause.NODE_STOPPED


def test_what_a_paused_node_kept_waiting_is_the_harnesss():
    """A node paused for a second made the p99 of all FAIL."""
    pause = NodeChanged(at_ns=3 * SECOND, node="node-0", condition="paused")
    events = (pause, NodeStarted(at_ns=4 * SECOND, node="node-0"), RunEnded())
    operations = [
        due(n, took_ms=3000 - n if 2000 <= n < 3000 else 2.0, target=0 if n % 50 else 2)
        for n in range(0, 6000, 10)
    ]
    finding = judged(history(operations, events=events), statistic="p90")
    assert finding.cause is Cause.NODE_STOPPED
    assert finding.measured.startswith("2.1 ms")
    slow = [due(n, took_ms=500 if n > 5000 else 2.0) for n in range(0, 6000, 10)]
    assert judged(history(slow, events=events), statistic="p90").answer is Answer.FAIL


@pytest.mark.parametrize(
    "again",
    [
        NodeStarted(at_ns=4 * SECOND, node="node-0"),  # a folder of an earlier version
        NodeChanged(at_ns=4 * SECOND, node="node-0", condition="running", since_ns=4 * SECOND - MS),
    ],
)
def test_what_comes_after_a_pause_is_the_systems(again):
    """Since a pause ends with `running` and not with a start, all that came later was excused."""
    pause = NodeChanged(at_ns=3 * SECOND, node="node-0", condition="paused")
    later = [due(n) if n < 5000 else lost(n) for n in range(0, 6000, 10)]
    finding = judged(history(later, events=(pause, again, RunEnded())), **DELIVERED)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "78.9 % (n=475)")


def test_a_stop_is_one_from_when_it_began():
    """It took 2 s to stop the node: what failed meanwhile was FAIL."""
    stop = NodeChanged(at_ns=5 * SECOND, since_ns=3 * SECOND, node="node-0", condition="stopped")
    meanwhile = [due(n) if not 2000 < n < 2500 else lost(n) for n in range(0, 4000, 10)]
    found = history(
        [{**one, "done_ns": one["done_ns"] or one["sent_ns"] + MS} for one in meanwhile],
        events=(stop, RunEnded()),
    )
    assert judged(found, **DELIVERED).cause is Cause.NODE_STOPPED


def test_a_node_that_ended_by_itself_is_the_systems():
    died = NodeEnded(at_ns=SECOND + 50 * MS, node="node-1")
    operations = [due(n) if n < 50 else unsent(n) for n in range(100)]
    finding = judged(history(operations, events=(died, RunEnded())), **DELIVERED)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "50 % (n=100)")


def test_a_run_that_was_cut_short_blames_nobody_for_what_was_under_way():
    """`harness down` during load was FAIL."""
    operations = [due(n) if n < 90 else lost(n) for n in range(100)]
    down = replace(history(operations), ended=False)
    finding = judged(
        replace(
            down, phases=(PhaseWindow(name="load", begin_ns=SECOND, end_ns=SECOND + 101 * MS),)
        ),
        **DELIVERED,
    )
    assert finding.cause is Cause.NODE_STOPPED
    assert finding.sentence == "the run was cut short while 10 of 100 operations were under way"


def test_above_two_thousand_a_second_the_generators_own_tick_is_said():
    fast, slow = messages(3000, target="node-0"), messages(100, target="node-0")
    said = judged(run(recorded(fast, seconds=1), fast, seconds=1)).sentence
    assert said == "kept; the load generator sends every 0.5 ms: 0.1 ms of the p50 are its own"
    assert judged(run(recorded(slow, seconds=1), slow, seconds=1)).sentence == "kept"


def test_the_nodes_own_numbers_of_a_phase_that_was_begun_late_are_of_two_phases():
    late = PhaseWindow(name="load", begin_ns=SECOND, end_ns=2 * SECOND, late_ns=312 * MS)
    found = history(phases=(late,), histograms={("load", 0, "verify"): {5: 200}})
    row = {"metric": "node.verify", "unit": "ms", "bound": 1.0}
    finding = judged(found, **row)
    assert finding.cause is Cause.HOST_LIMITED
    assert "phase load was begun 312 ms late" in finding.sentence
    assert judged(replace(found, phases=(replace(late, late_ns=MS),)), **row).answer is Answer.PASS
