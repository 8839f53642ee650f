"""Rows that were missed, or kept, while other processes had the host's disks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.budget_rows import judged
from kit.histories import MS, SECOND, history, host, operation, record, sample

from harness.checks import taken
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.gaps import Gap, Part
from harness.operations import Outcome

MB = 1_000_000


def run(
    operations=(),
    journal=(),
    *,
    waited=0.8,
    others=200,
    own=0,
    nodes_use=1,
    flushed_late=False,
    **changes,
):
    """From the fourth second to the seventh tasks waited for a disk for this share of the time, and
    others moved so many MB a second. `flushed_late`: what nodes wrote long before reaches it then.
    """
    seconds = range(1, 13)
    held = [min(max(at - 3, 0), 4) for at in seconds]
    rows = [
        {
            **host(at, at * 0.3, at * 0.1),
            "psi_io_some_us": int(of * waited * 1e6),
            "disk_io_bytes": (of * (others + own)) * MB,
            "disks_busy_ms": [("vda", of * 900)],
            "load_io_bytes": 0,
        }
        for at, of in zip(seconds, held, strict=True)
    ]
    samples = [
        sample(
            at,
            node,
            io_bytes=(4 * own * MB if flushed_late and at > 1 else of * own * MB)
            + of * nodes_use * (node == 1),
        )
        for at, of in zip(seconds, held, strict=True)
        for node in range(3 if own == 0 else 2)
        if own == 0 or node == 1
    ]
    made = {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2, **changes}
    return history(list(operations), list(journal), samples, **made)


def slow(at_s, took_ms=500, outcome=Outcome.OK):
    """Messages of which those of one second took long."""
    return [
        operation(
            n * 100,
            done_ns=SECOND + n * 100 * MS + (took_ms if n // 10 == at_s - 1 else 2) * MS,
            outcome=int(outcome if n // 10 == at_s - 1 else Outcome.OK),
        )
        for n in range(100)
    ]


def arrived(operations):
    return [
        record(n * 100, at_ns=one["done_ns"])
        for n, one in enumerate(operations)
        if one["outcome"] == Outcome.OK
    ]


@pytest.mark.parametrize(
    ("how", "at_s", "answer"),
    [
        ({}, 5, Answer.UNKNOWN),
        ({}, 9, Answer.FAIL),  # nobody had the disks then
        ({"waited": 0.1}, 5, Answer.FAIL),  # hardly anybody waited for one
        ({"others": 20, "own": 200}, 5, Answer.FAIL),  # it was the run that had them
        (
            {"others": 0, "own": 200, "flushed_late": True},
            5,
            Answer.FAIL,
        ),  # of what it wrote before
        ({"nodes_use": 0}, 5, Answer.FAIL),  # no node used one
    ],
)
def test_a_time_that_was_missed_while_others_had_the_disks_is_unknown(how, at_s, answer):
    """Beside a `dd` to the disk that nodes write to, it was FAIL."""
    sent = slow(at_s)
    finding = judged(run(sent, arrived(sent), **how), statistic="p99")
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    if answer is Answer.UNKNOWN:
        assert (
            "had the host's disks, and tasks waited for one up to 80% of a second"
            in finding.sentence
        )


def untold(table, name):
    """The table without the values of a column."""
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    return table.set_column(at, field, pa.nulls(len(table), field.type))


def test_an_older_folder_has_no_such_columns():
    sent = slow(5)
    found = run(sent, arrived(sent))
    older = found.host
    for name in ("psi_io_some_us", "disk_io_bytes", "disks_busy_ms", "load_io_bytes"):
        older = untold(older, name)
    samples = untold(found.samples, "io_bytes")
    folder = replace(found, host=older, samples=samples)
    assert taken.disks(folder) == []
    assert judged(folder, statistic="p99").answer is Answer.FAIL
    # Where nodes do not tell, others may have had them.
    assert judged(replace(found, samples=samples), statistic="p99").answer is Answer.UNKNOWN


def test_what_is_lost_is_lost_whoever_had_the_disks():
    sent = slow(5, outcome=Outcome.UNKNOWN)
    for one in sent:
        one["done_ns"] = one["done_ns"] if one["outcome"] == Outcome.OK else 0
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    finding = judged(run(sent, arrived(sent)), **share, comparison=">", bound=99.0)
    assert finding.answer is Answer.FAIL


@pytest.mark.parametrize(("seconds", "answer"), [(6, Answer.UNKNOWN), (11, Answer.FAIL)])
def test_a_rate_is_excused_where_others_had_the_disks_for_most_of_its_phase(seconds, answer):
    """For four seconds of six, and of eleven."""
    row = {
        "metric": "private_message.received",
        "statistic": "mean",
        "unit": "1/s",
        "node": "node-0",
    }
    found = run([operation(n) for n in range(100)], seconds=seconds)
    finding = judged(found, **row, comparison=">=", bound=1e6)
    assert finding.answer is answer, finding
    sent_little = judged(found, metric="network", statistic="max", unit="KB/s", bound=1.0)
    assert sent_little.answer is (Answer.UNKNOWN if answer is Answer.UNKNOWN else Answer.PASS)


IPERF3 = {"metric": "network.of_iperf3", "statistic": "mean", "unit": "%"}


@pytest.mark.parametrize(
    ("comparison", "bound", "own", "waited", "answer"),
    [
        ("<", 50.0, 0.2, 0.8, Answer.UNKNOWN),  # kept, by a node that hardly got a core
        ("<", 50.0, 0.2, 0.01, Answer.PASS),
        ("<", 50.0, 1.9, 0.8, Answer.PASS),  # it waited for the run itself
        ("<", 5.0, 0.2, 0.8, Answer.UNKNOWN),  # missed: iperf3 carried little
        ("<", 5.0, 1.9, 0.8, Answer.FAIL),
        (">=", 5.0, 0.2, 0.8, Answer.UNKNOWN),  # kept, for iperf3 carried little
        (">=", 5.0, 1.9, 0.8, Answer.PASS),
        (">=", 50.0, 0.2, 0.8, Answer.UNKNOWN),  # missed, by a node that hardly got a core
        (">=", 50.0, 1.9, 0.01, Answer.FAIL),
    ],
)
def test_a_share_of_iperf3_on_a_starved_host_says_nothing(comparison, bound, own, waited, answer):
    """It is a share, and rows of rates alone were hidden or excused: PASS, and FAIL."""
    busy = 1.95 if own < 1 or waited > 0.5 else 1.0
    rows = [host(at, at * busy * (waited > 0.5 or 0.3), at * busy * own / 2) for at in range(1, 11)]
    samples = [
        sample(at, node, bytes_in=at * 1000, run_delay_ns=int(at * waited * SECOND))
        for at in range(1, 11)
        for node in range(3)
    ]
    found = history(
        [],
        samples=samples,
        host=pa.Table.from_pylist(rows, h.HOST),
        cores=2,
        measurements={"iperf3.goodput": np.array([10_000.0])},
    )
    finding = judged(found, **IPERF3, comparison=comparison, bound=bound)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    gap = Gap(what=frozenset({Part.HOST}), why="torn")
    lacking = replace(found, host=found.host.slice(0, 0), gaps=(gap,))
    if comparison == ">=" and bound < 10:
        assert judged(lacking, **IPERF3, comparison=comparison, bound=bound).cause is Cause.GAP


@pytest.mark.parametrize(
    ("slow_share", "bound", "answer"),
    [(0.9, 50.0, Answer.UNKNOWN), (0.0, 50.0, Answer.PASS), (0.9, 1.0, Answer.UNKNOWN)],
)
def test_a_time_that_is_to_be_long_was_not_shown_by_a_slow_host(slow_share, bound, answer):
    """A path of 60 ms, or a host that others have: both make times of 60 ms."""
    rows = [host(at, at * (1.9 if slow_share else 0.3), at * 0.1) for at in range(1, 11)]
    sent = [operation(n, done_ns=SECOND + (n + 60) * MS) for n in range(100)]
    found = history(
        sent,
        [record(n, at_ns=SECOND + (n + 60) * MS) for n in range(100)],
        host=pa.Table.from_pylist(rows, h.HOST),
        cores=2,
    )
    finding = judged(found, comparison=">=", bound=bound)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    gap = Gap(what=frozenset({Part.HOST}), why="torn")
    lacking = replace(found, host=found.host.slice(0, 0), gaps=(gap,))
    assert judged(lacking, comparison=">=", bound=bound).cause is Cause.GAP


def test_a_time_that_is_long_by_itself_holds_beside_a_slow_second():
    """Others had the host for two of ten seconds: the p50 is of the others."""
    busy = [0.3 * at + 1.6 * min(max(at - 3, 0), 2) for at in range(1, 12)]
    rows = [host(at, of, 0.1 * at) for at, of in zip(range(1, 12), busy, strict=True)]
    sent = [operation(n * 100, done_ns=SECOND + (n * 100 + 60) * MS) for n in range(100)]
    found = history(
        sent,
        [record(n * 100, at_ns=one["done_ns"]) for n, one in enumerate(sent)],
        host=pa.Table.from_pylist(rows, h.HOST),
        cores=2,
    )
    assert judged(found, comparison=">=", bound=50.0).answer is Answer.PASS
    assert judged(found, comparison=">=", bound=50.0, statistic="min").answer is Answer.UNKNOWN
