"""Route requests as one node treats them."""

import random
import time
from typing import Any, cast

import pytest
from meshnode.discovery import LATE_NS, TTL, Discovery
from meshnode.identity import Identity
from meshnode.instruments import Instruments
from meshnode.links import Links
from meshnode.wire import Dropped, Message, Type, decode, sign

ASKER, RELAY, FAR = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2, 3))


class Wire:
    """A link that keeps what is sent over it."""

    def __init__(self, peer_id: bytes) -> None:
        self.peer_id = peer_id
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return True


class Neighbours:
    """The links of the relay: to the asker, and to two others."""

    def __init__(self) -> None:
        self.wires = {peer: Wire(peer) for peer in (ASKER.node_id, b"a" * 32, b"b" * 32)}

    def get(self, peer_id: bytes) -> Wire | None:
        return self.wires.get(peer_id)

    def up(self) -> list[Wire]:
        return list(self.wires.values())


class Nobody:
    def route_found(self, target: bytes) -> None:
        """Nobody waits."""

    def route_failed(self, target: bytes) -> None:
        """Nobody waits."""


def relay() -> tuple[Discovery, Neighbours]:
    links, instruments = Neighbours(), Instruments(RELAY.node_id)
    made = Discovery(
        identity=RELAY,
        links=cast("Links", links),
        instruments=instruments,
        pulse=cast("Any", None),
    )
    made.seeker = Nobody()
    return made, links


def asked(age_ns: int, identity: Identity = ASKER) -> Message:
    """A request for the way to `FAR`, made so long ago by `ASKER`."""
    made = Message(
        Type.ROUTE_REQUEST,
        random.randbytes(16),
        ASKER.node_id,
        FAR.node_id,
        time.time_ns() - age_ns,
        ttl=TTL,
        hops=1,
    )
    return sign(made, identity)


def take(discovery: Discovery, links: Neighbours, message: Message) -> None:
    discovery.requested(cast("Any", links.get(ASKER.node_id)), message)


def test_a_request_is_passed_on_once_by_all_other_links() -> None:
    discovery, links = relay()
    message = asked(0)
    for _ in range(2):
        take(discovery, links, message)
    came, *others = links.wires.values()
    assert [len(wire.sent) for wire in (came, *others)] == [0, 1, 1]
    assert decode(others[0].sent[0]).hops == 2
    assert ASKER.node_id in discovery.routes.entries


def test_a_request_that_nobody_waits_for_is_not_passed_on() -> None:
    """Links that were cut deliver what they kept back, all at once."""
    discovery, links = relay()
    for _ in range(5):
        take(discovery, links, asked(LATE_NS + 10**9))
    assert [wire.sent for wire in links.up()] == [[], [], []]
    assert discovery._instruments.counters["route_requests_late"] == 5
    take(discovery, links, asked(LATE_NS // 4))
    assert [len(wire.sent) for wire in links.up()] == [0, 1, 1]


def test_a_forged_request_is_not_passed_on() -> None:
    discovery, links = relay()
    with pytest.raises(Dropped):
        take(discovery, links, asked(0, identity=FAR))
    assert [wire.sent for wire in links.up()] == [[], [], []]
