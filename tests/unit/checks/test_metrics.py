"""Metrics that need more than one column: paths against the topology, first forwards, bursts,
files. Each with what it must not hide.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import MS, SECOND, history, operation, record, sample

from harness.checks import overlay
from harness.checks.metrics import METRICS
from harness.history import history as h
from harness.history.events import NodeChanged, NodeEnded
from harness.history.history import PhaseWindow
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.topology import shapes

LINE = frozenset({(0, 1), (1, 2), (2, 3)})


def taken(metric, found, phase="load"):
    return METRICS[metric].take(found, found.phase(phase))


@given(st.integers(2, 30), st.integers(0, 1000))
def test_distances_are_least(count, seed):
    """The oracle is Floyd–Warshall on a random connected graph."""
    names = [f"n{index}" for index in range(count)]
    links = frozenset(
        (names.index(a), names.index(b))
        for a, b in shapes.links("small-world" if count > 4 else "line", names, {}, seed)
    )
    least = np.full((count, count), np.inf)
    np.fill_diagonal(least, 0)
    for a, b in links:
        least[a, b] = least[b, a] = 1
    for middle in range(count):
        least = np.minimum(least, least[:, middle : middle + 1] + least[middle : middle + 1, :])
    for source in range(count):
        found = overlay.distances(links, source)
        assert [found.get(to, np.inf) for to in range(count)] == least[source].tolist()


def test_stretch_is_links_passed_by_the_shortest_way():
    """A message that failed has no stretch."""
    operations = [
        operation(1, source=0, target=3, hops=3),
        operation(2, source=0, target=1, hops=3),
        operation(3, source=3, target=1, hops=2),
        operation(4, source=0, target=3, hops=9, outcome=int(Outcome.FAILED)),
        operation(5, source=0, target=2, hops=-1),
    ]
    found = history(operations, nodes=4, links=LINE)
    assert sorted(taken("private_message.stretch", found).values) == [1, 1, 3]
    assert sorted(taken("private_message.relayed", found).values) == [1, 1, 1]
    direct = history(
        [operation(1, source=0, target=1, hops=1), operation(2, source=0, target=3, hops=3)],
        nodes=4,
        links=LINE,
    )
    assert taken("private_message.relayed", direct).values.mean() == 0.5


def test_fanout_counts_whom_the_source_itself_sent_it_to():
    def heard(number, node, peer, kind=RecordKind.RECEIVED):
        row = list(record(number, kind, node))
        row[6] = int.from_bytes(bytes([peer]) * 8, "little")
        return tuple(row)

    found = history(
        [
            operation(1, Operation.BROADCAST, source=0, target=-1),
            operation(2, Operation.BROADCAST, source=1, target=-1),
        ],
        [
            heard(1, 1, 0),
            heard(1, 2, 1),
            heard(1, 2, 0, RecordKind.DUPLICATE),
            heard(1, 2, 0, RecordKind.DUPLICATE),
            heard(1, 3, 1),
            heard(1, 0, 2, RecordKind.DUPLICATE),
            heard(2, 0, 1),
        ],
        nodes=4,
    )
    # 1 and 2 (a duplicate counts once); then only 0.
    assert taken("broadcast.fanout", found).values.tolist() == [
        2,
        1,
    ]


def bursts(*sizes_each_us):
    """One phase a burst of (messages, µs each), all due at its beginning; the generator begins to
    send them 3 ms later.
    """
    phases, operations, number = [], [], 0
    for at, (size, each_us) in enumerate(sizes_each_us):
        begin = (1 + 20 * at) * SECOND
        phases.append(PhaseWindow(name=f"pair-{size}", begin_ns=begin, end_ns=begin + 20 * SECOND))
        for index in range(size):
            number += 1
            operations.append(
                operation(
                    number,
                    intended_ns=begin,
                    sent_ns=begin + 3 * MS,
                    done_ns=begin + 3 * MS + (index + 1) * each_us * 1000,
                )
            )
    return history(operations, phases=tuple(phases))


def test_a_burst_lasts_from_its_first_send_until_its_last_message():
    found = bursts((10, 200), (100, 200))
    assert taken("private_message.burst", found, "pair-100").values.tolist() == [20 * MS]
    assert taken("private_message.burst_each", found, "pair-100").values.tolist() == [200_000]
    assert taken("private_message.linearity", found, "pair-100").values.tolist() == [0]


def test_a_burst_that_grows_faster_than_its_number_is_not_linear():
    assert taken(
        "private_message.linearity", bursts((10, 200), (100, 260)), "pair-100"
    ).values.tolist() == [pytest.approx(0.3)]
    # One size says nothing.
    assert not len(taken("private_message.linearity", bursts((10, 200)), "pair-10").values)


def test_a_burst_with_a_lost_message_never_ended():
    found = bursts((10, 200))
    rows = found.operations.to_pylist()
    rows[3]["outcome"] = int(Outcome.UNKNOWN)
    lost = replace(found, operations=h.pa.Table.from_pylist(rows, h.OPERATIONS))
    assert taken("private_message.burst", lost, "pair-10").values.tolist() == [np.inf]


def test_goodput_of_a_file_that_failed_is_nothing():
    whole = operation(
        1, Operation.FILE_TRANSFER, payload_bytes=100_000_000, done_ns=SECOND + 1 * MS + SECOND
    )
    torn = operation(
        2, Operation.FILE_TRANSFER, payload_bytes=100_000_000, outcome=int(Outcome.FAILED)
    )
    assert taken("file_transfer.goodput", history([whole, torn])).values.tolist() == [1e8, 0]


def test_the_share_of_iperf3_wants_iperf3():
    samples = [sample(at, node, bytes_in=int(at * 5e7)) for at in range(1, 11) for node in range(3)]
    assert taken("network.of_iperf3", history(samples=samples)).series == {}
    found = history(samples=samples, measurements={"iperf3.goodput": np.array([1e8])})
    assert taken("network.of_iperf3", found).series[0].tolist() == [pytest.approx(0.5)]


def test_deaths_are_seen_by_those_who_live():
    def report(node, subject, at_ns):
        return (
            RecordKind.MEMBER_FAILED,
            0,
            0,
            0,
            np.void(bytes(16)),
            at_ns,
            int.from_bytes(bytes([subject]) * 8, "little"),
            node,
        )

    died = NodeEnded(node="node-2", at_ns=3 * SECOND)
    stopped = NodeChanged(node="node-3", condition="stopped", at_ns=4 * SECOND)
    paused = NodeChanged(node="node-0", condition="paused", at_ns=4 * SECOND)
    journal = [
        report(0, 2, 2 * SECOND),  # before it died: another death, or a mistake
        report(0, 2, 5 * SECOND),
        report(0, 2, 6 * SECOND),
        report(1, 2, 4 * SECOND),
        report(0, 3, 9 * SECOND),
        report(3, 2, 3 * SECOND),
    ]
    run = history(journal=journal, nodes=4, events=(died, stopped, paused))
    found = METRICS["membership.failure_seen"].take(run, run.phases[0])
    # Two survivors; node-1 never heard of node-3.
    assert sorted(found.values / SECOND) == [
        1.0,
        2.0,
        5.0,
        np.inf,
    ]
