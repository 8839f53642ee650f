"""Metrics that need more than one column: paths against the topology, first forwards, bursts,
files. Each with what it must not hide.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import MS, SECOND, beginning, history, operation, record, sample

from harness.checks import overlay
from harness.checks.metrics import METRICS
from harness.history import history as h
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
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


def test_a_latency_is_the_receivers_word_and_never_less_than_the_senders():
    """Hole 3: acknowledged after 2 ms, journal says 5 s: p99 2 ms, PASS."""
    late, early = SECOND + 5 * SECOND, SECOND + MS
    ops = [
        operation(n, intended_ns=SECOND, sent_ns=SECOND, done_ns=SECOND + 2 * MS) for n in (1, 2)
    ]
    found = history(ops, [record(1, at_ns=late), record(2, at_ns=early)])
    assert taken("private_message.end_to_end", found).values.tolist() == [5e9, 2e6]
    assert taken("private_message.burst", found).values.tolist() == [5e9]
    # Where no journal has it (which the ledger says), the sender's word is all there is.
    assert taken("private_message.end_to_end", history(ops)).values.tolist() == [2e6, 2e6]
    # Never negative: a receipt of before it was sent counts from its sending.
    odd = [operation(1, intended_ns=SECOND, sent_ns=SECOND + MS, done_ns=0)]
    assert taken("private_message.end_to_end", history(odd)).values.tolist() == [1e6]


def test_each_operation_ends_with_its_own_witness():
    def took(metric, row, entry):
        return taken(metric, history([row], [entry])).values.tolist()

    at_ns = 2 * SECOND
    begun = {"intended_ns": SECOND, "sent_ns": SECOND, "done_ns": SECOND + MS, "target": -1}
    put = operation(1, Operation.DHT_PUT, **begun)
    assert took("dht_put.response", put, record(1, RecordKind.STORED, 2, at_ns)) == [1e9]
    assert took("dht_put.response", put, record(1, RecordKind.STORED, 1, at_ns)) == [1e6]  # its own
    file = operation(1, Operation.FILE_TRANSFER, **{**begun, "target": 0, "payload_bytes": 1000})
    delivered = record(1, RecordKind.FILE_DELIVERED, 0, at_ns)
    assert took("file_transfer.response", file, delivered) == [1e9]
    assert took("file_transfer.goodput", file, delivered) == [1000]


def test_a_broadcasts_times_count_who_was_to_have_it():
    """Hole 24: who is stopped by the harness is not waited for; who never had it is infinite."""
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]
    heard = [record(1, RecordKind.RECEIVED, 1, SECOND + 5 * MS)]
    away = (NodeChanged(node="node-2", condition="stopped", at_ns=MS),)
    assert taken("broadcast.propagation", history(sent, heard, events=away)).values == [4e6]
    assert taken("broadcast.coverage", history(sent, heard, events=away)).values == [1]
    assert taken("broadcast.propagation", history(sent, heard)).values == [np.inf]
    assert taken("broadcast.delivery", history(sent, heard)).values.tolist() == [4e6, np.inf]
    assert taken("broadcast.coverage", history(sent, heard)).values == [0.5]


def test_first_contact_is_the_first_message_of_a_pair():
    """Hole 33: "private message to a new peer" measured every message."""
    ops = [operation(3), operation(1), operation(2, target=2), operation(4, source=2, target=1)]
    ops.append(operation(5, Operation.DHT_LOOKUP, source=2, target=0))
    ops[1]["done_ns"] += 7 * MS
    assert sorted(taken("private_message.first_contact", history(ops)).values) == [2e6, 2e6, 9e6]


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


def test_each_end_of_a_node_is_to_be_seen():
    """node-2 ended twice, and nobody saw the first: it was hidden by the second."""
    ends = (
        NodeChanged(at_ns=2 * SECOND, node="node-2", condition="stopped"),
        NodeStarted(at_ns=4 * SECOND, node="node-2"),
        NodeChanged(at_ns=6 * SECOND, node="node-2", condition="stopped"),
    )
    seen = [
        record(9, RecordKind.MEMBER_FAILED, node, 7 * SECOND, peer=beginning(2)) for node in (0, 1)
    ]
    run = history((), seen, events=ends)
    values = taken("membership.failure_seen", run).values / SECOND
    assert sorted(values) == [1.0, 1.0, np.inf, np.inf]


@pytest.mark.parametrize(
    ("told_s", "seen_s"),
    [
        ((), np.inf),
        (((True, 3),), 0.0),  # paused at 2 s, it was held failed, and was then killed: infinite
        (((True, 3), (False, 11)), 0.0),  # taken back once it was started
        (((True, 3), (False, 4)), np.inf),  # it was held to run as it ended
        (((True, 3), (False, 7)), np.inf),  # taken back, and nobody had started it
        (((True, 3), (False, 7), (True, 8)), 2.0),
        (((True, 3), (True, 7)), 1.0),  # reported anew
        (((True, 6),), 0.0),
    ],
)
def test_who_holds_a_node_failed_as_it_ends_has_seen_it(told_s, seen_s):
    """node-2 was paused at 2 s, killed at 6 s, and started again at 10 s."""
    events = (
        NodeChanged(at_ns=2 * SECOND, node="node-2", condition="paused"),
        NodeChanged(at_ns=6 * SECOND, node="node-2", condition="killed"),
        NodeStarted(at_ns=12 * SECOND, since_ns=10 * SECOND, node="node-2"),
    )
    kinds = {True: RecordKind.MEMBER_FAILED, False: RecordKind.MEMBER_JOINED}
    told = [
        record(9, kinds[failed], 0, at_s * SECOND, peer=beginning(2)) for failed, at_s in told_s
    ]
    run = history((), told, events=events, nodes=3)
    of_node_0, of_node_1 = taken("membership.failure_seen", run).values / SECOND
    assert (of_node_0, of_node_1) == (seen_s, np.inf)


def test_a_node_that_runs_is_not_to_be_held_failed_for_long():
    """node-1 holds node-2 failed from 3 s on, node-0 from 4 s to 6 s; it ran from 5 s to 11 s."""
    ends = (
        NodeChanged(at_ns=2 * SECOND, node="node-2", condition="stopped"),
        NodeStarted(at_ns=5 * SECOND, node="node-2"),
    )
    told = [
        record(9, kind, node, at_s * SECOND, peer=beginning(2))
        for kind, node, at_s in (
            (RecordKind.MEMBER_JOINED, 0, 6),
            (RecordKind.MEMBER_FAILED, 0, 4),
            (RecordKind.MEMBER_FAILED, 1, 3),
        )
    ]
    values = taken("membership.suspected", history((), told, events=ends)).values / SECOND
    # Of node-0 and node-1 nobody said so; node-2 was away, and tells of none.
    assert sorted(values) == [0.0, 0.0, 1.0, 6.0]


def test_a_node_that_is_paused_is_rightly_held_failed():
    """From 3 s to 8 s; node-0 holds it failed from 4 s to 9 s: for one second of those it ran."""
    paused = [
        NodeChanged(at_ns=at_s * SECOND, node="node-2", condition=condition)
        for at_s, condition in ((3, "paused"), (8, "running"))
    ]
    told = [
        record(9, kind, 0, at_s * SECOND, peer=beginning(2))
        for kind, at_s in ((RecordKind.MEMBER_FAILED, 4), (RecordKind.MEMBER_JOINED, 9))
    ]
    values = taken("membership.suspected", history((), told, events=paused)).values / SECOND
    assert values.max() == 1.0
    # It ended while it was paused, and was never started again.
    events = (*paused[:1], NodeEnded(at_ns=5 * SECOND, node="node-2"))
    values = taken("membership.suspected", history((), told[:1], events=events)).values
    assert values.max() == 0


def test_an_end_is_seen_while_it_is_brought_about():
    """It took 2 s to stop node-2, and the others saw it after one: "never reported"."""
    stop = NodeChanged(at_ns=4 * SECOND, since_ns=2 * SECOND, node="node-2", condition="stopped")
    seen = [
        record(9, RecordKind.MEMBER_FAILED, node, 3 * SECOND, peer=beginning(2)) for node in (0, 1)
    ]
    run = history((), seen, events=(stop,))
    assert (taken("membership.failure_seen", run).values / SECOND).tolist() == [1.0, 1.0]
