"""The generator's connection to a node that does not read its control socket for a while."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import gevent

from harness.load.connections import Connections, Heard
from harness.load.flight import Flight
from harness.operations import Operation, Request

SECOND = 1_000_000_000


@dataclass
class Bytes:
    """A codec whose frames are as long as the socket's buffer is sure to be too short for."""

    length: int

    def encode(self, requests):
        return bytes(self.length) * len(requests)

    def feed(self, _data):
        return []


def flight(number):
    now_ns = time.monotonic_ns()
    id_ = number.to_bytes(16, "little")
    return Flight(id_, Operation.PRIVATE_MESSAGE, 0, 1, 10, now_ns, now_ns + 60 * SECOND)


def test_the_time_that_a_node_does_not_read_is_the_nodes(tmp_path):
    """An operation is sent when its frame is whole in the kernel, as of when it was offered; what
    the node never took is not sent.
    """
    path, dropped = str(tmp_path / "control"), []
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    heard = Heard(
        answered=lambda _: None,
        dropped=lambda flights, _: dropped.extend(flights),
        lost=lambda *_: None,
        failed=dropped.append,
    )
    connections = Connections([path], lambda: Bytes(1 << 20), heard)
    connection = connections.to(0)
    flights = [flight(number) for number in range(3)]
    for one in flights:
        connection.send([Request(one.id, one.operation, None, None, 1000)], [one])
    offered_ns = time.monotonic_ns()
    assert connection.blocked == 3
    assert [one.sent_ns for one in flights] == [0, 0, 0]
    node, _ = server.accept()
    node.setblocking(False)
    gevent.sleep(0.05)
    left = 2 << 20
    while left or not flights[1].sent_ns:
        try:
            left -= len(node.recv(min(left, 1 << 16) or 1))
        except BlockingIOError:
            gevent.sleep(0.001)
        left = max(left, 0)
    assert 0 < flights[0].sent_ns <= flights[1].sent_ns <= offered_ns
    connections.close("enough")
    assert dropped == [flights[2]]
    assert flights[2].sent_ns == 0
    node.close()
    server.close()
