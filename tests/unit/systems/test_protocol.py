"""The control socket of a node, from outside."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import msgpack
import pytest

from harness.errors import UnavailableError
from harness.operations import Operation, Outcome, Request
from harness.systems.adapter import Endpoint
from harness.systems.protocol import ControlCodec, NodeSocket, frame, frames

ID = bytes(range(16))

HEALTH = {"links": 2, "counters": {"messages_in": 7}}
ROUTE = {"unit": "ns", "count": 1, "sum": 5, "max": 5, "buckets": {5: 1}}


@pytest.fixture
def node(tmp_path):
    """A node that takes one connection, and answers it by a function of the calls that came."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control.sock"))
    listener.listen()
    threads = []

    def serve(calls, answer):
        def run():
            connection, _ = listener.accept()
            with connection:
                buffer, heard = bytearray(), []
                while len(heard) < calls:
                    buffer += connection.recv(1 << 16)
                    heard += frames(buffer)
                with suppress(OSError):  # who has what it asked for hangs up
                    for reply in answer(heard):
                        connection.sendall(frame(reply))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return NodeSocket(
            Endpoint(
                node="node-0",
                address="198.18.0.1",
                control=str(tmp_path / "control.sock"),
                wire_id=bytes(32),
            )
        )

    yield serve
    for thread in threads:
        thread.join()
    listener.close()


def test_histograms_and_health_are_asked_for_at_once_and_told_apart_by_their_numbers(node):
    """A node that is woken twice between two phases is kept from its load for twice as long."""

    def answer(calls):
        values = {"histograms": {"route": ROUTE}, "health": HEALTH}
        return [["reply", call[1], None, values[call[2]]] for call in reversed(calls)]

    assert node(2, answer).counted() == ({"route": {5: 1}}, HEALTH)


def test_a_call_that_is_refused_is_named(node):
    asked = node(2, lambda calls: [["reply", calls[1][1], "not now", None]])
    with pytest.raises(UnavailableError, match="node-0 refused health: not now"):
        asked.counted()


@pytest.mark.parametrize("number", [None, 5, "x"])
def test_an_answer_without_a_number_of_ours_is_of_the_next_call(node, number):
    asked = node(2, lambda _: [["reply", number, "a frame of 9 bytes", None]])
    with pytest.raises(UnavailableError, match="node-0 refused histograms: a frame of 9 bytes"):
        asked.counted()


def test_a_node_that_answers_more_than_was_asked_by_numbers_that_are_none_breaks_nothing(node):
    replies = [["reply", 0.0, None, {}], ["reply", 1.0, None, HEALTH], ["reply", None, None, {}]]
    assert node(2, lambda _: replies).counted() == ({}, HEALTH)


def test_a_node_that_hangs_up_is_told_with_what_it_left_unanswered(node):
    asked = node(2, lambda calls: [["reply", calls[0][1], None, {}]])
    with pytest.raises(UnavailableError, match=r"instead of answering health"):
        asked.counted()


def test_a_get_asks_for_the_value_and_tells_it():
    codec = ControlCodec()
    get = Request(ID, Operation.DHT_GET, b"k" * 32, None, 1000)
    put = Request(ID, Operation.DHT_PUT, b"k" * 32, b"", 1000)
    _, rows = msgpack.unpackb(codec.encode([get, put])[4:])
    assert [row[3] for row in rows] == ["value", b""]
    detail = {"hops": 1, "from": b"n" * 32, "size": 2, "value": b"ab"}
    [answer] = codec.feed(frame(["done", [[ID, 0, 5, detail]]]))
    assert (answer.outcome, answer.value, answer.hops) == (Outcome.OK, b"ab", 1)
    [answer] = codec.feed(frame(["done", [[ID, 1, 5, {"error": "no"}]]]))
    assert (answer.outcome, answer.value) == (Outcome.FAILED, None)
