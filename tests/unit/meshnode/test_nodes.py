"""Real nodes on loopback addresses, each its own process, driven over their control sockets."""

import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from meshnode.identity import Authority, Identity
from meshnode.private import Private
from meshnode.tls import Channel, Contexts
from meshnode.wire import Dropped, Message, Type, encode, frame, sign, verify
from unit.meshnode.kit import (
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
    Control,
    Node,
    make_nodes,
    read_journal,
    running,
    wait_until,
)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Four nodes in a line 0 – 1 – 2 – 3; tests of this module share them and must leave them running."""
    nodes = make_nodes(tmp_path_factory.mktemp("line"), 4, [(0, 1), (1, 2), (2, 3)])
    with running(nodes):
        yield nodes


def test_a_private_message_is_stamped_by_its_receiver_and_journalled_on_both_sides(line: list[Node]) -> None:
    journals = [node.begin() for node in line[:2]]
    before_ns = time.monotonic_ns()
    outcome, done_ns, detail = line[0].control.do(PRIVATE, line[1].id, b"hello")
    assert (outcome, detail) == (OK, {"hops": 1})
    assert before_ns < done_ns < time.monotonic_ns()
    sent, delivered = ([record for record in read_journal(path) if record.kind < 3][-1] for path in journals)
    assert (sent.kind, sent.peer, sent.size) == (1, line[1].id[:8], 5)
    assert (delivered.kind, delivered.peer, delivered.size, delivered.at_ns) == (2, line[0].id[:8], 5, done_ns)
    assert line[1].health()["counters"]["messages_in"] == 1
    assert line[1].control.call("histograms")["verify"]["count"] == 1


def test_a_message_is_relayed_along_the_line_and_its_receipt_comes_back(line: list[Node]) -> None:
    journals = [node.begin() for node in line]
    begun_ns = time.monotonic_ns()
    outcome, done_ns, detail = line[0].control.do(PRIVATE, line[3].id, b"far")
    assert (outcome, detail) == (OK, {"hops": 3})
    kinds = [[record.kind for record in read_journal(path) if record.kind in {1, 2, 10} and record.at_ns > begun_ns] for path in journals]
    assert kinds == [[1], [10], [10], [2]]
    delivered = [record for record in read_journal(journals[3]) if record.kind == 2][-1]
    assert (delivered.peer, delivered.size, delivered.hops, delivered.at_ns) == (line[0].id[:8], 3, 3, done_ns)
    assert line[0].health()["links"] == 1                      # nobody dialled
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
    for changed in (message._replace(payload=message.payload[:-1] + b"x"), message._replace(target=relay.node_id), message._replace(source=relay.node_id)):
        with pytest.raises(Dropped):
            verify(changed)
    verify(message._replace(hops=7, ttl=3))                    # what relays count is not signed


def test_without_a_relay_both_ends_dial_at_once_and_one_link_is_left(tmp_path: Path) -> None:
    """0 – 1 – 2, and 1 is killed: nobody knows a route, the DHT still knows the addresses."""
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    with running(nodes):
        a, relay, b = nodes
        assert a.control.do(PRIVATE, b.id, b"relayed")[2] == {"hops": 2}
        relay.kill()
        wait_until(lambda: a.health()["links"] == b.health()["links"] == 0, "the relay's links gone")
        started = [(one.control, one.control.start(PRIVATE, other.id, b"x")) for one, other in ((a, b), (b, a)) for _ in range(5)]
        assert [control.outcome(identifier)[::2] for control, identifier in started] == [(OK, {"hops": 1})] * 10
        for one, other in ((a, b), (b, a)):
            assert [peer["id"] for peer in one.control.call("peers")].count(other.id) == 1


def test_a_file_arrives_whole_and_nothing_of_it_stays(line: list[Node]) -> None:
    journal = line[2].begin()
    size = 5_000_001
    outcome, done_ns, detail = line[1].control.do(FILE, line[2].id, size.to_bytes(8, "little"), 60_000)
    assert (outcome, detail) == (OK, {"hops": 1, "size": size})
    record = next(record for record in read_journal(journal) if record.kind == 11)
    assert (record.size, record.peer, record.at_ns) == (size, line[1].id[:8], done_ns)
    assert list((line[2].directory / "files").iterdir()) == []
    assert line[1].control.do(FILE, line[2].id, bytes(8))[0] == FAILED


def test_a_file_goes_on_where_a_killed_receiver_had_it(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        sender, receiver = nodes
        identifier = sender.control.start(FILE, receiver.id, (400_000_000).to_bytes(8, "little"), 120_000)
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
    outcome, _, detail = line[0].control.do(CONNECT, line[3].id)      # its address is the DHT's
    assert (outcome, detail) == (OK, {"hops": 1})
    for node in (line[0], line[3]):
        wait_until(lambda node=node: node.control.call("histograms")["handshake"]["count"] == 1, "the handshake in both histograms")
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
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False) if shutil.which("promtool") else None
    assert checked is None or (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    values = dict(row.rsplit(" ", 1) for row in body.decode().splitlines() if not row.startswith("#"))
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
    identifiers = [line[1].control.start(BROADCAST, None, b"news %d" % number) for number in range(20)]
    assert all(line[1].control.outcome(identifier)[0] == OK for identifier in identifiers)

    def reached() -> bool:
        return all(
            sum(record.kind == 4 for record in read_journal(path)) >= 20 for path in (journals[0], *journals[2:])
        )

    wait_until(reached, "20 broadcasts in each journal", 5)
    for index, path in enumerate(journals):
        ids = [record.id for record in read_journal(path) if record.kind == (3 if index == 1 else 4)]
        assert sorted(ids) == sorted(identifiers)


def test_values_are_put_got_and_looked_up(line: list[Node]) -> None:
    keys = [os.urandom(32) for _ in range(20)]
    for number, key in enumerate(keys):
        outcome, _, detail = line[number % 4].control.do(PUT, key, b"value %d" % number)
        assert outcome == OK
        assert detail["stored"] == 3
    for number, key in enumerate(keys):
        outcome, _, detail = line[(number + 1) % 4].control.do(GET, key, "value")
        assert (outcome, detail["value"], detail["size"]) == (OK, b"value %d" % number, len(b"value %d" % number))
        assert detail["from"] != line[(number + 1) % 4].id
        assert "value" not in line[(number + 1) % 4].control.do(GET, key)[2]
    assert line[0].control.do(GET, os.urandom(32))[0] == FAILED
    outcome, _, detail = line[0].control.do(LOOKUP, line[3].id)
    assert (outcome, detail["found"], detail["closest"][0]) == (OK, 3, line[3].id)


def test_many_private_messages_a_second(line: list[Node]) -> None:
    control, count = line[0].control, 6000
    identifiers = [os.urandom(16) for _ in range(count)]
    started = time.monotonic()
    for at in range(0, count, 100):
        control.send(
            [
                "op",
                [[identifier, PRIVATE, line[1].id, bytes(1024), 20_000] for identifier in identifiers[at : at + 100]],
            ]
        )
    assert {control.outcome(identifier)[0] for identifier in identifiers} == {OK}
    assert count / (time.monotonic() - started) > 3000


def test_a_paused_receiver_leaves_the_outcome_unknown(line: list[Node]) -> None:
    assert line[1].process is not None
    line[1].process.send_signal(signal.SIGSTOP)
    try:
        outcome, _, detail = line[0].control.do(PRIVATE, line[1].id, b"x", 300)
    finally:
        line[1].process.send_signal(signal.SIGCONT)
    assert (outcome, detail["error"]) == (UNKNOWN, "no answer in time")
    assert line[0].control.do(PRIVATE, line[1].id, b"x")[0] == OK


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 1 << 30),
        struct.pack("<I", 3) + b"\xc1\xc1\xc1",
        struct.pack("<I", 1) + b"\x01",
        *(
            struct.pack("<I", len(packed)) + packed
            for packed in map(
                msgpack.packb,
                (
                    ["op", [[b"short", 1, bytes(32), b"", 1]]],
                    ["op", [7]],
                    ["op", [[bytes(16), 9, None, b"", 1]]],
                    ["op", [[bytes(16), 1, b"x", b"", 1]]],
                    ["op", [[bytes(16), 2, None, None, 1]]],
                    ["op", [[bytes(16), 2, None, b"", 0]]],
                    {"a": 1},
                ),
            )
        ),
    ],
)
def test_a_bad_control_frame_is_answered_and_ends_that_client_only(line: list[Node], data: bytes) -> None:
    client = Control(line[2].directory / "control.sock")
    client.socket.sendall(data)
    answer = client.receive()
    assert answer is not None
    assert answer[0] == "reply"
    assert isinstance(answer[2], str)
    assert client.receive() is None
    client.close()
    assert line[2].control.call("health")["counters"]["callback_errors"] == 0


def test_unknown_methods_and_missing_descriptors_are_explained(line: list[Node]) -> None:
    for method, params, words in (
        ("nope", {}, "possible are health"),
        ("begin", {}, "file descriptor"),
        ("end", {"x": 1}, "takes no parameters"),
    ):
        with pytest.raises(AssertionError, match=words):
            line[0].control.call(method, **params)


def test_control_descriptors_do_not_leak(line: list[Node]) -> None:
    def count() -> int:
        assert line[0].process is not None
        return len(os.listdir(f"/proc/{line[0].process.pid}/fd"))

    line[0].begin()
    before = count()
    for _ in range(5):
        line[0].begin()
    assert count() == before
    line[0].control.call("end")
    assert count() == before - 1


def test_garbage_datagrams_are_counted_and_change_nothing(line: list[Node]) -> None:
    line[0].begin()
    chance = random.Random(5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(50):
            sender.sendto(chance.randbytes(chance.randrange(1, 300)), (line[0].address, line[0].port))
        sender.sendto(bytes(2000), (line[0].address, line[0].port))

    def counted() -> bool:
        counters = line[0].health()["counters"]
        return (
            sum(counters[f"dropped_{reason}"] for reason in ("malformed", "unknown_version")) == 50
            and counters["dropped_oversized"] == 1
        )

    wait_until(counted, "51 drops counted", 5)
    assert line[0].control.call("health")["counters"]["callback_errors"] == 0


class Stranger:
    """A hand-made peer: speaks TLS with any identity directory (None: without a certificate)."""

    def __init__(self, node: Node, directory: Path | None) -> None:
        if directory is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        else:
            context = Contexts(directory).client
            context.verify_mode = ssl.CERT_NONE
        self.channel = Channel(context, server_side=False)
        self.socket = socket.create_connection((node.address, node.port), 5)
        self.plain = self.channel.feed(b"")
        while self.channel.peer_id is None:
            self.pump()

    def close(self) -> None:
        self.socket.close()

    def pump(self) -> bool:
        """Exchange once; False when the node has closed the connection."""
        self.socket.sendall(self.channel.pull())
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.plain += self.channel.feed(data) if data else b""
        return bool(data)

    def say(self, data: bytes) -> None:
        self.channel.write(data)
        self.socket.sendall(self.channel.pull())


@pytest.mark.parametrize("kind", ["no certificate", "another authority"])
def test_a_peer_without_the_clusters_certificate_is_refused(line: list[Node], tmp_path: Path, kind: str) -> None:
    line[0].begin()
    Authority.load_or_create(tmp_path / "ca").issue(tmp_path / "eve", "eve")
    links = line[0].health()["links"]
    stranger = Stranger(line[0], tmp_path / "eve" if kind == "another authority" else None)
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate|unknown ca"):
        while stranger.pump():
            pass
    stranger.close()
    wait_until(lambda: line[0].health()["counters"]["links_refused"] == 1, "the refusal counted", 5)
    assert line[0].health()["links"] == links
    assert stranger.plain == b""


def test_bad_frames_of_an_authenticated_peer_are_counted_by_reason(line: list[Node], tmp_path: Path) -> None:
    node, path = line[0], tmp_path / "eve"
    node.begin()
    Authority.load_or_create(node.directory.parent / "ca").issue(path, "eve")
    eve, mallory = Identity.load(path), Identity.from_seed(bytes(32))
    stranger = Stranger(node, path)
    hello = Message(Type.HELLO, bytes(16), eve.node_id, node.id, payload=b"\x00\x50\x7f\x00\x00\x09eve")
    private = Message(Type.PRIVATE, bytes(16), eve.node_id, node.id, time.time_ns(), payload=bytes(40))
    broadcast = Message(Type.BROADCAST, bytes(16), mallory.node_id, b"", 1, payload=b"old")
    frames = [
        encode(private),  # before HELLO: malformed
        encode(hello._replace(source=mallory.node_id)),  # bad signature: not the peer
        encode(hello._replace(payload=b"")),  # malformed
        encode(hello),
        b"\xff\xff",  # malformed
        encode(private),  # bad signature: none
        encode(sign(private._replace(target=mallory.node_id), eve)),  # no route: it may pass no further link
        encode(Message(Type.I_HAVE, bytes(16), eve.node_id, mallory.node_id)),  # not for us
        encode(sign(private, eve)),  # bad signature: cannot be decrypted
        encode(sign(broadcast, mallory)),  # replayed: too old
        encode(sign(broadcast, eve)),  # bad signature … but too old first: replayed
        encode(Message(Type.I_HAVE, bytes(16), eve.node_id, node.id, payload=b"odd")),  # malformed
        encode(Message(99, bytes(16), eve.node_id, node.id)),  # malformed
    ]
    stranger.say(b"".join(map(frame, frames)) + b"\xff\xff\xff\xff")  # and an oversized one ends it
    expected = {"malformed": 5, "bad_signature": 3, "not_for_us": 1, "no_route": 1, "replayed": 2, "oversized": 1}

    def counted() -> bool:
        counters = node.health()["counters"]
        return {reason: counters[f"dropped_{reason}"] for reason in expected} == expected

    try:
        wait_until(counted, f"drops counted as {expected}", 3)
    finally:
        print(node.health()["counters"])
    while stranger.pump():
        pass
    stranger.close()
    assert node.control.call("health")["counters"]["callback_errors"] == 0


def test_identity_values_and_contacts_survive_restarts(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    with running(nodes):
        keys = [os.urandom(32) for _ in range(5)]
        for key in keys:
            assert nodes[0].control.do(PUT, key, b"kept")[0] == OK
        before = nodes[2].health()
        assert before["dht_values"] == 5
        assert nodes[2].terminate() == 0
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready after SIGTERM")
        after = nodes[2].health()
        assert (after["id"], after["dht_values"], after["restarts"]) == (before["id"], 5, before["restarts"] + 1)
        nodes[2].kill()
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready after SIGKILL")
        again = nodes[2].health()
        assert (again["id"], again["dht_values"], again["restarts"]) == (before["id"], 5, before["restarts"] + 2)
        assert nodes[0].control.do(PRIVATE, nodes[2].id, b"back")[0] == OK
        nodes[2].kill()
        (nodes[2].directory / "state" / "state.bin").write_bytes(b"torn")
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready with a torn state")
        assert nodes[2].health()["dht_values"] == 0
        assert "kept as state.bin.torn" in (nodes[2].directory / "log").read_text()


def test_an_acknowledged_message_is_in_the_journal_of_a_killed_receiver(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        path = nodes[1].begin()
        control = nodes[0].control
        started = [control.start(PRIVATE, nodes[1].id, b"x", 2000) for _ in range(2000)]
        control.outcome(started[200])
        nodes[1].kill()
        outcomes = {identifier: control.outcome(identifier)[0] for identifier in started}
        recorded = {record.id for record in read_journal_prefix(path)}
        acknowledged = {identifier for identifier, outcome in outcomes.items() if outcome == OK}
        assert acknowledged
        assert acknowledged <= recorded
        assert not {identifier for identifier, outcome in outcomes.items() if outcome == FAILED} & recorded


def read_journal_prefix(path: Path) -> list[object]:
    """Whole records only: the last turn of a killed node may be torn."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - (len(data) - 64) % 40])
    return read_journal(path)


def test_progress_is_notified_and_signals_end_it(tmp_path: Path) -> None:
    (node,) = make_nodes(tmp_path, 1, [])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        lines: list[str] = []
        while "READY=1" not in lines:
            first, *rest = receiver.recv(1000).decode().splitlines()
            assert first == "NODE=n0"
            lines += rest
    assert lines == ["STATUS=listening", "STATUS=linked", "STATUS=joined", "READY=1"]
    assert node.terminate() == 0
    assert not (node.directory / "control.sock").exists()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [("config", "unknown key"), ("key", "key.pem: No such file"), ("address", "Cannot assign requested address")],
)
def test_a_fatal_start_is_one_sentence(tmp_path: Path, break_it: str, words: str) -> None:
    (node,) = make_nodes(tmp_path, 1, [])
    path = node.write_config()
    if break_it == "config":
        path.write_text(path.read_text().replace('"port"', '"prot"').replace('{"version"', '{"port": 1, "version"'))
    elif break_it == "key":
        (node.directory / "key.pem").unlink()
    else:
        path.write_text(path.read_text().replace("127.0.0.1", "203.0.113.1"))
    done = subprocess.run(
        [sys.executable, "-m", "meshnode.cli", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_node_never_imports_cryptography() -> None:
    code = "import sys, meshnode.cli; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
