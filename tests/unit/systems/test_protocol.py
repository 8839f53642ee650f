"""The control socket's frames, from outside."""

from __future__ import annotations

import msgpack

from harness.operations import Operation, Outcome, Request
from harness.systems.protocol import ControlCodec, frame

ID = bytes(range(16))


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
