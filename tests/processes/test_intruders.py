"""What clients and peers send that no sound one would: it is answered or counted, and harms nobody
else.
"""

import os
import random
import socket
import ssl
import struct
import time
from pathlib import Path

import msgpack
import pytest
from kit.nodes import (
    Control,
    Node,
    wait_until,
)
from meshnode.identity import Authority, Identity
from meshnode.tls import Channel, Contexts
from meshnode.wire import Message, Type, encode, frame, sign


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
def test_a_bad_control_frame_ends_its_client_only(line: list[Node], data: bytes) -> None:
    """The client is answered first."""
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
            sender.sendto(
                chance.randbytes(chance.randrange(1, 300)), (line[0].address, line[0].port)
            )
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
def test_a_peer_without_the_clusters_certificate_is_refused(
    line: list[Node], tmp_path: Path, kind: str
) -> None:
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


def test_bad_frames_of_a_peer_are_counted_by_reason(line: list[Node], tmp_path: Path) -> None:
    """The peer is authenticated."""
    node, path = line[0], tmp_path / "eve"
    node.begin()
    Authority.load_or_create(node.directory.parent / "ca").issue(path, "eve")
    eve, mallory = Identity.load(path), Identity.from_seed(bytes(32))
    stranger = Stranger(node, path)
    hello = Message(
        Type.HELLO, bytes(16), eve.node_id, node.id, payload=b"\x00\x50\x7f\x00\x00\x09eve"
    )
    private = Message(
        Type.PRIVATE, bytes(16), eve.node_id, node.id, time.time_ns(), payload=bytes(40)
    )
    broadcast = Message(Type.BROADCAST, bytes(16), mallory.node_id, b"", 1, payload=b"old")
    frames = [
        encode(private),  # before HELLO: malformed
        encode(hello._replace(source=mallory.node_id)),  # bad signature: not the peer
        encode(hello._replace(payload=b"")),  # malformed
        encode(hello),
        b"\xff\xff",  # malformed
        encode(private),  # bad signature: none
        encode(
            sign(private._replace(target=mallory.node_id), eve)
        ),  # no route: it may pass no further link
        encode(Message(Type.I_HAVE, bytes(16), eve.node_id, mallory.node_id)),  # not for us
        encode(sign(private, eve)),  # bad signature: cannot be decrypted
        encode(sign(broadcast, mallory)),  # replayed: too old
        encode(sign(broadcast, eve)),  # bad signature … but too old first: replayed
        encode(Message(Type.I_HAVE, bytes(16), eve.node_id, node.id, payload=b"odd")),  # malformed
        encode(Message(99, bytes(16), eve.node_id, node.id)),  # malformed
    ]
    stranger.say(b"".join(map(frame, frames)) + b"\xff\xff\xff\xff")  # and an oversized one ends it
    expected = {
        "malformed": 5,
        "bad_signature": 3,
        "not_for_us": 1,
        "no_route": 1,
        "replayed": 2,
        "oversized": 1,
    }

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
