"""Whose fault: a row is the system's only where generator and harness cannot have decided it, and
the two causes are never mixed.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.budget_rows import judged
from kit.histories import MS, SECOND, history, operation, record, sample
from kit.schedules import messages, recorded, run

from harness.checks.verdict import Answer, Cause
from harness.history.events import (
    GatewayStalled,
    NodeChanged,
    NodeEnded,
    NodeStarted,
    RunEnded,
)
from harness.history.history import PhaseWindow
from harness.operations import Operation, Outcome
from harness.operations.operation import NO_KEY

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


@pytest.mark.parametrize("comparison", [">", ">="])
def test_a_file_that_was_sent_late_could_have_met_a_strict_bound(comparison):
    """One of two files was sent 2 ms late: `>=` was UNKNOWN and `>` FAIL."""
    file = {"kind": Operation.FILE_TRANSFER, "payload_bytes": 1_000_000}
    operations = [due(0, lag_ms=2, took_ms=1200, **file), due(5, took_ms=900, **file)]
    goodput = {"metric": "file_transfer.goodput", "unit": "MB/s", "bound": 1.0}
    only = history(operations[:1])
    for found, statistic in ((only, "min"), (only, "max"), (history(operations), "min")):
        finding = judged(found, **goodput, statistic=statistic, comparison=comparison)
        assert finding.cause is Cause.GENERATOR_BEHIND, finding


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


def stalled(from_ms, to_ms):
    """The gateway stood still, between these times of the phase."""
    return GatewayStalled(since_ns=SECOND + from_ms * MS, until_ns=SECOND + to_ms * MS)


@pytest.mark.parametrize(
    ("events", "statistic", "answer"),
    [
        ([], "p95", Answer.FAIL),
        ([stalled(10, 60)], "p95", Answer.UNKNOWN),  # all that missed were held up
        ([stalled(10, 31), stalled(31, 60)], "p95", Answer.UNKNOWN),
        ([stalled(10, 60)], "p50", Answer.PASS),  # however they count
        ([stalled(200, 260)], "p95", Answer.FAIL),  # nothing was under way then
        ([stalled(58, 59)], "p95", Answer.FAIL),  # a millisecond of what took 50 decides nothing
    ],
)
def test_what_the_gateway_held_up_is_none_of_the_system_s(events, statistic, answer):
    """A gateway that stood still for 50 ms made a p95 of 50 ms, and the system's FAIL."""
    operations = [due(n, took_ms=60 - n if 10 <= n < 60 and n % 5 == 0 else 2) for n in range(100)]
    finding = judged(history(operations, events=(*events, RunEnded())), statistic=statistic)
    assert finding.answer is answer, finding
    if answer is Answer.UNKNOWN:
        assert finding.cause is Cause.GATEWAY_STALLED
        assert "stood still while 50 of 100 operations were under way" in finding.sentence


def test_a_system_that_is_slow_by_itself_is_not_excused_by_a_gateway():
    operations = [due(n, took_ms=50) for n in range(100)]
    found = history(operations, events=(stalled(10, 12), stalled(40, 42), RunEnded()))
    assert judged(found).answer is Answer.FAIL


@pytest.mark.parametrize(("until_ms", "answer"), [(400, Answer.FAIL), (900, Answer.UNKNOWN)])
def test_what_had_less_time_than_it_was_given_is_not_lost(until_ms, answer):
    """The gateway gave up what it did not look at: after ten seconds, and a twentieth counts."""
    operations = [due(n) if n < 90 else lost(n) for n in range(100)]
    found = history(operations, events=(stalled(100, until_ms), RunEnded()))
    finding = judged(found, **DELIVERED)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.GATEWAY_STALLED) == (answer is Answer.UNKNOWN)


def test_what_came_to_a_known_bad_end_is_no_gateway_s_fault():
    failed = {"outcome": int(Outcome.FAILED), "error": "refused"}
    operations = [due(n) if n < 90 else due(n, **failed) for n in range(100)]
    found = history(operations, events=(stalled(100, 900), RunEnded()))
    assert judged(found, **DELIVERED).answer is Answer.FAIL


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


def test_a_rate_that_the_harness_lowered_by_a_stop_is_none_of_the_systems():
    """A node was stopped for a second, and 100/s were not received: FAIL."""
    stop = NodeChanged(at_ns=3 * SECOND, node="node-0", condition="stopped")
    events = (stop, NodeStarted(at_ns=4 * SECOND, node="node-0"), RunEnded())
    meanwhile = range(1995, 3000)
    operations = [lost(n) if n in meanwhile else due(n) for n in range(0, 10_000, 10)]
    journal = [record(n) for n in range(0, 10_000, 10) if n not in meanwhile]
    samples = [
        sample(at, node, bytes_in=at * 1000, bytes_out=0) for at in range(1, 11) for node in (0, 1)
    ]
    more = {"statistic": "mean", "comparison": ">=", "node": "node-0"}
    received = {**more, "metric": "private_message.received", "unit": "1/s", "bound": 95.0}
    carried = {**more, "metric": "network.in", "unit": "B/s", "bound": 1001.0}
    for row in (received, carried):
        finding = judged(history(operations, journal, samples, events=events), **row)
        assert finding.cause is Cause.NODE_STOPPED, finding
        assert "source or the target of 125 of 1,000 operations" in finding.sentence
        assert judged(history(operations, journal, samples), **row).answer is Answer.FAIL
        less = {**row, "bound": 50.0}
        assert (
            judged(history(operations, journal, samples, events=events), **less).answer
            is Answer.PASS
        )


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
    assert said == (
        "kept; the load generator sends together what is due within 0.6 ms: 0.1 ms of the p50 are "
        "its own"
    )
    assert judged(run(recorded(slow, seconds=1), slow, seconds=1)).sentence == "kept"


@pytest.mark.parametrize(
    ("took_ms", "bound", "answer"),
    [(0.3, 0.5, Answer.UNKNOWN), (0.6, 0.5, Answer.FAIL), (0.3, 1.0, Answer.PASS)],
)
def test_a_time_that_only_the_generators_wait_misses_is_unknown(took_ms, bound, answer):
    """Each is sent 0.4 ms after it was due, which makes none of them late."""
    found = history([due(number, lag_ms=0.4, took_ms=took_ms) for number in range(100)])
    finding = judged(found, bound=bound)
    assert finding.answer is answer
    assert (finding.cause is Cause.GENERATOR_BEHIND) == (answer is Answer.UNKNOWN)


def test_the_nodes_own_numbers_of_a_phase_that_was_begun_late_are_of_two_phases():
    late = PhaseWindow(name="load", begin_ns=SECOND, end_ns=2 * SECOND, late_ns=312 * MS)
    found = history(phases=(late,), histograms={("load", 0, "verify"): {5: 200}})
    row = {"metric": "node.verify", "unit": "ms", "bound": 1.0}
    finding = judged(found, **row)
    assert finding.cause is Cause.HOST_LIMITED
    assert "phase load was begun 312 ms late" in finding.sentence
    assert judged(replace(found, phases=(replace(late, late_ns=MS),)), **row).answer is Answer.PASS


FOUND = {**DELIVERED, "metric": "dht_get.found", "bound": 100.0}


def get(number, **changes):
    return due(number, kind=Operation.DHT_GET, target=-1, **changes)


def keyless(number, **changes):
    """A get that was due when no put had been acknowledged."""
    return unsent(number, kind=Operation.DHT_GET, target=-1, error=NO_KEY, **changes)


def test_a_get_that_found_no_key_to_read_is_nobodys_and_has_a_cause_of_its_own():
    operations = [keyless(n) if n < 5 else get(n) for n in range(100)]
    for row in (FOUND, {**FOUND, "statistic": "min"}, {**FOUND, "bound": 96.0}):
        finding = judged(history(operations), **row)
        assert (finding.cause, finding.measured) == (Cause.NOTHING_TO_READ, "100 % (n=95)")
        assert finding.sentence == (
            "the load generator could not send 5 of 100 operations: no acknowledged key of another "
            "node to read yet"
        )
    # However they would have ended.
    assert judged(history(operations), **{**FOUND, "bound": 95.0}).answer is Answer.PASS
    response = {"metric": "dht_get.response", "statistic": "p50", "bound": 10.0}
    slowest = judged(history(operations), **{**response, "statistic": "max"})
    assert (slowest.cause, slowest.measured) == (Cause.NOTHING_TO_READ, "2.1 ms (n=95)")
    more = history([*operations, *(due(n) for n in range(100, 1000))])
    assert judged(more, **response).answer is Answer.PASS
    # Those that were sent and failed are the system's.
    failed = [*operations[:90], *(get(n, outcome=int(Outcome.FAILED)) for n in range(90, 100))]
    assert judged(history(failed), **FOUND).answer is Answer.FAIL


def test_a_get_that_found_no_key_is_not_its_dead_sources():
    died = NodeEnded(at_ns=SECOND + 1 * MS, node="node-1")
    operations = [keyless(n) if n < 5 else get(n, source=2) for n in range(100)]
    found = history(operations, events=(died, RunEnded()))
    assert judged(found, **FOUND).cause is Cause.NOTHING_TO_READ
    stopped = NodeChanged(at_ns=SECOND + 1 * MS, node="node-1", condition="stopped")
    found = history(operations, events=(stopped, RunEnded()))
    assert judged(found, **FOUND).cause is Cause.NOTHING_TO_READ


@pytest.mark.parametrize(
    "row",
    [
        FOUND,
        {**FOUND, "bound": 0.0},
        {**FOUND, "comparison": "<=", "bound": 5.0},  # of gets that a cut should make fail
        {**FOUND, "statistic": "count", "unit": "1", "bound": 0.0},
        {"metric": "dht_get.response", "statistic": "p50", "bound": 10.0},
        {"metric": "dht_get.hops", "statistic": "max", "unit": "1", "bound": 10.0},
    ],
)
def test_where_no_put_is_ever_acknowledged_nothing_is_known_of_gets(row):
    finding = judged(history([keyless(n) for n in range(200)]), **row)
    assert finding.answer is Answer.UNKNOWN


def test_a_promise_of_failures_is_not_kept_by_what_was_never_sent():
    few = {**FOUND, "comparison": "<=", "bound": 5.0}
    failed = [get(n, outcome=int(Outcome.FAILED)) for n in range(50)]
    assert judged(history(failed), **few).answer is Answer.PASS
    operations = failed + [keyless(n) for n in range(50, 100)]
    assert judged(history(operations), **few).cause is Cause.NOTHING_TO_READ


def test_gets_without_a_key_are_another_load_where_they_are_many():
    """A resource under a load of which a tenth was never sent is not known."""
    samples = [sample(at, node, rss_bytes=10**7) for at in range(1, 11) for node in range(3)]
    memory = {"metric": "rss", "statistic": "max", "unit": "MB", "bound": 50.0}
    for count, answer in ((100, Answer.UNKNOWN), (5, Answer.PASS)):
        operations = [keyless(n) if n < count else get(n) for n in range(1000)]
        finding = judged(history(operations, [], samples), **memory)
        assert finding.answer is answer
        assert finding.cause is (Cause.NOTHING_TO_READ if count == 100 else None)


CONTACT = {"metric": "private_message.first_contact", "statistic": "max", "bound": 20.0}
SLOW = {"took_ms": 50}  # what finds its way first


def test_a_pair_whose_first_message_was_late_was_met_by_it():
    """The second one, to a peer that was known by then, counted as the first."""
    late = [due(0, lag_ms=9), due(20), due(40), due(60)]
    finding = judged(history([*late, due(30, target=2, **SLOW)]), **CONTACT)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "50.1 ms (n=1)")
    finding = judged(history([*late, due(30, target=2)]), **CONTACT)
    assert (finding.answer, finding.measured) == (
        Answer.PASS,
        "11 ms (n=2)",
    )  # it met it all the same


def test_a_pair_whose_first_message_was_never_sent_is_met_by_the_next():
    operations = [unsent(0), due(20, **SLOW), due(40)]
    finding = judged(history(operations), **CONTACT)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "50.1 ms (n=1)")
    operations[1] = due(20)
    assert judged(history(operations), **{**CONTACT, "statistic": "count", "unit": "1"}).value == 1


def test_the_first_message_of_a_pair_is_the_one_that_was_sent_first():
    """Due first and sent last: the other one found the way."""
    operations = [due(0, lag_ms=30), due(10, took_ms=2000)]
    finding = judged(history(operations), **{**CONTACT, "bound": 1000.0})
    assert (finding.answer, finding.measured) == (Answer.FAIL, "2,000 ms (n=1)")


def test_a_pair_that_was_never_met_leaves_the_answer_open():
    operations = [unsent(0), unsent(1), *(due(n, target=2) for n in range(2, 100))]
    finding = judged(history(operations), **CONTACT)
    assert (finding.cause, finding.measured) == (Cause.GENERATOR_BEHIND, "2.1 ms (n=1)")
    died = (NodeEnded(at_ns=SECOND, node="node-1"), RunEnded())
    assert judged(history(operations[:2], events=died), **CONTACT).answer is Answer.FAIL


def test_a_pair_whose_first_message_was_lost_to_a_stop_is_not_met_anew():
    stop = NodeChanged(at_ns=SECOND + 5 * MS, node="node-0", condition="stopped")
    again = NodeStarted(at_ns=2 * SECOND, node="node-0")
    operations = [lost(0), *(due(n) for n in range(3000, 3100))]
    found = history(operations, events=(stop, again, RunEnded()))
    assert judged(found, **CONTACT).cause is Cause.NODE_STOPPED


def test_a_rows_cause_is_that_of_its_own_operations():
    """As many messages were late as gets found no key."""
    operations = [keyless(0), *(get(n) for n in range(1, 1000))]
    operations += [due(n, lag_ms=9) for n in range(1000, 1009)]
    slowest = judged(history(operations), metric="dht_get.response", statistic="max")
    assert slowest.cause is Cause.NOTHING_TO_READ
