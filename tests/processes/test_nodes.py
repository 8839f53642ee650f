"""Real nodes on loopback addresses, each its own process, driven over their control sockets:
messages, files, values.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from kit.nodes import (
    BROADCAST,
    CONNECT,
    FAILED,
    FILE,
    GET,
    LOOKUP,
    OK,
    PRIVATE,
    PUT,
    UNKNOWN,
    Node,
    make_nodes,
    read_journal,
    running,
    wait_until,
)
from meshnode.identity import Identity
from meshnode.private import Private
from meshnode.wire import Dropped, encode, verify


def test_both_ends_journal_a_private_message(
    line: list[Node],
) -> None:
    """Its receiver stamps it, and that stamp is the time of delivery."""
    journals = [node.begin() for node in line[:2]]
    before_ns = time.monotonic_ns()
    outcome, done_ns, detail = line[0].control.do(PRIVATE, line[1].id, b"hello")
    assert (outcome, detail) == (OK, {"hops": 1})
    assert before_ns < done_ns < time.monotonic_ns()
    sent, delivered = (
        [record for record in read_journal(path) if record.kind < 3][-1] for path in journals
    )
    assert (sent.kind, sent.peer, sent.size) == (1, line[1].id[:8], 5)
    assert (delivered.kind, delivered.peer, delivered.size, delivered.at_ns) == (
        2,
        line[0].id[:8],
        5,
        done_ns,
    )
    assert line[1].health()["counters"]["messages_in"] == 1
    assert line[1].control.call("histograms")["verify"]["count"] == 1


def test_a_message_is_relayed_along_the_line(line: list[Node]) -> None:
    """Its receipt comes back the same way, and nobody dials."""
    journals = [node.begin() for node in line]
    begun_ns = time.monotonic_ns()
    outcome, done_ns, detail = line[0].control.do(PRIVATE, line[3].id, b"far")
    assert (outcome, detail) == (OK, {"hops": 3})
    kinds = [
        [
            record.kind
            for record in read_journal(path)
            if record.kind in {1, 2, 10} and record.at_ns > begun_ns
        ]
        for path in journals
    ]
    assert kinds == [[1], [10], [10], [2]]
    delivered = [record for record in read_journal(journals[3]) if record.kind == 2][-1]
    assert (delivered.peer, delivered.size, delivered.hops, delivered.at_ns) == (
        line[0].id[:8],
        3,
        3,
        done_ns,
    )
    assert line[0].health()["links"] == 1  # nobody dialled
    assert [node.health()["counters"]["messages_relayed"] for node in line] == [0, 1, 1, 0]
    assert line[0].control.call("histograms")["route"]["count"] >= 1
    assert line[0].control.do(PRIVATE, line[3].id, b"again")[2] == {"hops": 3}


def test_a_relay_cannot_read_or_change_a_message(line: list[Node]) -> None:
    """What a relay sees is sealed for the receiver; one changed byte and nobody takes it."""
    sender, receiver, relay = (Identity.load(line[index].directory) for index in (0, 3, 1))
    message = Private(sender, 0).seal(bytes(16), receiver.node_id, b"secret", time.time_ns())
    assert b"secret" not in encode(message)
    with pytest.raises(Dropped):
        Private(relay, 0).open(message)
    for changed in (
        message._replace(payload=message.payload[:-1] + b"x"),
        message._replace(target=relay.node_id),
        message._replace(source=relay.node_id),
    ):
        with pytest.raises(Dropped):
            verify(changed)
    verify(message._replace(hops=7, ttl=3))  # what relays count is not signed


def test_without_a_relay_both_ends_dial_and_keep_one_link(tmp_path: Path) -> None:
    """0 – 1 – 2, and 1 is killed: nobody knows a route, the DHT still knows the addresses."""
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    with running(nodes):
        a, relay, b = nodes
        assert a.control.do(PRIVATE, b.id, b"relayed")[2] == {"hops": 2}
        relay.kill()
        wait_until(
            lambda: a.health()["links"] == b.health()["links"] == 0, "the relay's links gone"
        )
        started = [
            (one.control, one.control.start(PRIVATE, other.id, b"x"))
            for one, other in ((a, b), (b, a))
            for _ in range(5)
        ]
        assert [control.outcome(identifier)[::2] for control, identifier in started] == [
            (OK, {"hops": 1})
        ] * 10
        for one, other in ((a, b), (b, a)):
            assert [peer["id"] for peer in one.control.call("peers")].count(other.id) == 1


def test_a_file_arrives_whole_and_nothing_of_it_stays(line: list[Node]) -> None:
    journal = line[2].begin()
    size = 5_000_001
    outcome, done_ns, detail = line[1].control.do(
        FILE, line[2].id, size.to_bytes(8, "little"), 60_000
    )
    assert (outcome, detail) == (OK, {"hops": 1, "size": size})
    record = next(record for record in read_journal(journal) if record.kind == 11)
    assert (record.size, record.peer, record.at_ns) == (size, line[1].id[:8], done_ns)
    assert list((line[2].directory / "files").iterdir()) == []
    assert line[1].control.do(FILE, line[2].id, bytes(8))[0] == FAILED


def test_a_file_goes_on_where_a_killed_receiver_had_it(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        sender, receiver = nodes
        identifier = sender.control.start(
            FILE, receiver.id, (400_000_000).to_bytes(8, "little"), 120_000
        )
        folder = receiver.directory / "files"
        listed = wait_until(lambda: next(folder.glob("*.have"), None), "the list of chunks")
        wait_until(lambda: listed.stat().st_size > 100 * 36, "a hundred chunks")
        receiver.kill()
        had, all_chunks = listed.stat().st_size // 36, -(-400_000_000 // (256 * 1024))
        assert 100 < had < all_chunks
        receiver.disconnect()
        receiver.start()
        assert sender.control.outcome(identifier)[0] == OK
        assert receiver.health()["counters"]["file_chunks_in"] == all_chunks - had
        assert list(folder.iterdir()) == []


def test_a_fresh_connection_is_authenticated_and_leaves_no_link(line: list[Node]) -> None:
    line[0].begin()
    line[3].begin()
    links = [node.health()["links"] for node in line]
    outcome, _, detail = line[0].control.do(CONNECT, line[3].id)  # its address is the DHT's
    assert (outcome, detail) == (OK, {"hops": 1})
    for node in (line[0], line[3]):
        wait_until(
            lambda node=node: node.control.call("histograms")["handshake"]["count"] == 1,
            "the handshake in both histograms",
        )
    assert [node.health()["links"] for node in line] == links
    assert line[0].control.do(CONNECT, Identity.from_seed(os.urandom(32)).node_id)[0] == FAILED


def test_metrics_are_prometheus_text_and_agree_with_health(line: list[Node]) -> None:
    line[0].begin()
    assert line[0].control.do(PRIVATE, line[1].id, b"x")[0] == OK
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(line[0].directory / "control.sock"))
        stream.sendall(b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n")
        answer = b"".join(iter(lambda: stream.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    checked = (
        subprocess.run(
            ["promtool", "check", "metrics"], input=body, capture_output=True, check=False
        )
        if shutil.which("promtool")
        else None
    )
    assert checked is None or (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    values = dict(
        row.rsplit(" ", 1) for row in body.decode().splitlines() if not row.startswith("#")
    )
    health = line[0].health()
    assert float(values["meshnode_links"]) == health["links"]
    assert int(values["meshnode_messages_out_total"]) == health["counters"]["messages_out"] == 1
    assert int(values['meshnode_operation_seconds_count{operation="create"}']) == 1
    assert int(values['meshnode_operation_seconds_bucket{operation="create",le="1"}']) == 1


def test_a_peer_that_sends_more_than_its_share_is_not_heard(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 2, [(0, 1)], rate_per_peer=50)
    with running(nodes):
        sender, receiver = nodes
        started = [sender.control.start(PRIVATE, receiver.id, b"x", 2_000) for _ in range(500)]
        outcomes = [sender.control.outcome(identifier)[0] for identifier in started]
        assert set(outcomes) == {OK, UNKNOWN}
        assert receiver.health()["counters"]["dropped_rate"] >= 300


def test_messages_that_cannot_be_sent_have_certainly_failed(line: list[Node]) -> None:
    nobody = Identity.from_seed(os.urandom(32)).node_id
    for target, payload, words in (
        (nobody, b"x", "knows no node"),
        (line[0].id, b"x", "to itself"),
        (line[1].id, bytes((1 << 20) + 1), "at most 1048576 bytes"),
        (bytes(32), b"x", "knows no node"),
    ):
        outcome, _, detail = line[0].control.do(PRIVATE, target, payload)
        assert outcome == FAILED
        assert words in detail["error"]
    assert line[0].control.do(PRIVATE, line[1].id, bytes(1 << 20))[0] == OK


def test_a_broadcast_reaches_every_node_once(line: list[Node]) -> None:
    journals = [node.begin() for node in line]
    identifiers = [
        line[1].control.start(BROADCAST, None, b"news %d" % number) for number in range(20)
    ]
    assert all(line[1].control.outcome(identifier)[0] == OK for identifier in identifiers)

    def reached() -> bool:
        return all(
            sum(record.kind == 4 for record in read_journal(path)) >= 20
            for path in (journals[0], *journals[2:])
        )

    wait_until(reached, "20 broadcasts in each journal", 5)
    for index, path in enumerate(journals):
        ids = [
            record.id for record in read_journal(path) if record.kind == (3 if index == 1 else 4)
        ]
        assert sorted(ids) == sorted(identifiers)


def test_values_are_put_got_and_looked_up(line: list[Node]) -> None:
    keys = [os.urandom(32) for _ in range(20)]
    for number, key in enumerate(keys):
        outcome, _, detail = line[number % 4].control.do(PUT, key, b"value %d" % number)
        assert outcome == OK
        assert detail["stored"] == 3
    for number, key in enumerate(keys):
        outcome, _, detail = line[(number + 1) % 4].control.do(GET, key, "value")
        assert (outcome, detail["value"], detail["size"]) == (
            OK,
            b"value %d" % number,
            len(b"value %d" % number),
        )
        assert detail["from"] != line[(number + 1) % 4].id
        assert "value" not in line[(number + 1) % 4].control.do(GET, key)[2]
    assert line[0].control.do(GET, os.urandom(32))[0] == FAILED
    outcome, _, detail = line[0].control.do(LOOKUP, line[3].id)
    assert (outcome, detail["found"], detail["closest"][0]) == (OK, 3, line[3].id)


def test_thousands_of_private_messages_at_once(line: list[Node]) -> None:
    control, count = line[0].control, 6000
    identifiers = [os.urandom(16) for _ in range(count)]
    for at in range(0, count, 100):
        control.send(
            [
                "op",
                [
                    [identifier, PRIVATE, line[1].id, bytes(1024), 20_000]
                    for identifier in identifiers[at : at + 100]
                ],
            ]
        )
    assert {control.outcome(identifier)[0] for identifier in identifiers} == {OK}


def test_a_paused_receiver_leaves_the_outcome_unknown(line: list[Node]) -> None:
    assert line[1].process is not None
    line[1].process.send_signal(signal.SIGSTOP)
    try:
        outcome, _, detail = line[0].control.do(PRIVATE, line[1].id, b"x", 300)
    finally:
        line[1].process.send_signal(signal.SIGCONT)
    assert (outcome, detail["error"]) == (UNKNOWN, "no answer in time")
    assert line[0].control.do(PRIVATE, line[1].id, b"x")[0] == OK
