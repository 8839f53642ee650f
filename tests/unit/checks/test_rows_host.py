"""Rows that were missed while others had the host: what that excuses, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import judged
from kit.histories import MS, SECOND, history, host, operation, record, sample
from kit.schedules import facts, messages

from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history import plan
from harness.history.gaps import Gap, Part
from harness.operations import Operation, Outcome
from harness.operations.operation import shared_key
from harness.operations.records import RecordKind


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
    ("kind", "busy", "keys", "answer"),
    [
        (Operation.DHT_LOOKUP, 1.7, 0, Answer.UNKNOWN),
        (Operation.DHT_LOOKUP, 0.7, 0, Answer.FAIL),
        (Operation.DHT_PUT, 1.7, 0, Answer.FAIL),  # who was to keep it may still have got it
        (Operation.DHT_PUT, 1.7, 2, Answer.UNKNOWN),  # and did, or another put of its key
        (Operation.DHT_PUT, 0.7, 2, Answer.FAIL),
        (Operation.PRIVATE_MESSAGE, 1.7, 0, Answer.FAIL),  # it may still come, and did not
    ],
)
def test_what_its_sender_gave_up_while_others_had_the_host_lowers_no_share(
    kind, busy, keys, answer
):
    """A file of 100 MB that was under way for its 60 s beside others was "0 % arrived": FAIL. So
    were puts of a soak, whose keys are few.
    """
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
    told = [
        {"id": one["id"], "key": shared_key(b"", n % keys)[:16]}
        for n, one in enumerate(operations if keys else [])
    ]
    found = history(
        operations,
        seconds=30,
        values=pa.Table.from_pylist(told, h.VALUES),
        host=pa.Table.from_pylist([host(at, busy_s[at]) for at in range(1, 32)], h.HOST),
        cores=2,
    )
    suffix = {Operation.DHT_LOOKUP: "completed", Operation.DHT_PUT: "stored"}.get(kind, "delivered")
    share = {"metric": f"{kind.spec.word}.{suffix}", "statistic": "mean", "unit": "%"}
    finding = judged(found, **share, bound=99.0, comparison=">")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)


@pytest.mark.parametrize(
    ("own", "waited", "bound", "answer"),
    [
        (0.2, 0.8, 70.0, Answer.UNKNOWN),  # seen: a node that spins, 20 % of a core: PASS
        (0.2, 0.1, 70.0, Answer.PASS),  # with all that it waited for too
        (1.9, 0.8, 70.0, Answer.PASS),  # it waited for the run itself
        (0.2, 0.8, 10.0, Answer.FAIL),  # it used more than that of what it got
    ],
)
def test_a_node_that_others_kept_from_a_core_did_not_use_little(own, waited, bound, answer):
    rows = [host(at, at * 1.95, at * own) for at in range(1, 11)]
    samples = [
        sample(at, node, cpu_ns=at * SECOND // 5, run_delay_ns=int(at * waited * SECOND))
        for at in range(1, 11)
        for node in range(3)
    ]
    found = history([], samples=samples, host=pa.Table.from_pylist(rows, h.HOST), cores=2)
    finding = judged(found, metric="cpu", statistic="max", unit="%", bound=bound)
    assert finding.answer is answer
    if answer is Answer.UNKNOWN:
        assert "it might have used 100% of one core" in finding.sentence
    gap = Gap(what=frozenset({Part.HOST}), why="torn")
    lacking = replace(found, host=found.host.slice(0, 0), gaps=(gap,))
    finding = judged(lacking, metric="cpu", statistic="max", unit="%", bound=70.0)
    assert finding.cause is (Cause.GAP if waited > 0.5 else None), "nobody knows whose it was"


@pytest.mark.parametrize(("waited", "answer"), [(0.8, Answer.UNKNOWN), (0.2, Answer.PASS)])
def test_a_starved_node_did_not_send_little(waited, answer):
    rows = [host(at, at * 1.95, at * 0.2) for at in range(1, 11)]
    samples = [
        sample(at, node, bytes_in=at * 1000, run_delay_ns=int(at * waited * SECOND))
        for at in range(1, 11)
        for node in range(3)
    ]
    found = history([], samples=samples, host=pa.Table.from_pylist(rows, h.HOST), cores=2)
    finding = judged(found, metric="network", statistic="max", unit="KB/s", bound=10.0)
    assert finding.answer is answer


@pytest.mark.parametrize(
    ("others", "answer"), [(0.1, Answer.FAIL), (0.5, Answer.UNKNOWN), (None, Answer.UNKNOWN)]
)
def test_a_start_that_others_slowed_is_not_too_slow(others, answer):
    """The host was idle in the phase that the row names, and had been at a load of 100: FAIL."""
    rows = [host(at, at * 0.2) for at in range(1, 11)]
    told = {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2}
    found = history([operation(1)], ready_s=9.0, ready_others=others, **told)
    finding = judged(found, metric="cluster.ready", statistic="max", unit="s", bound=5.0)
    assert finding.answer is answer
    kept = judged(found, metric="cluster.ready", statistic="max", unit="s", bound=10.0)
    assert kept.answer is Answer.PASS
