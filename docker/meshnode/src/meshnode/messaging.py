"""Private messages: sending, finding a link for them, receiving, acknowledging. A thin shell around `private.Private`."""

import os
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Protocol

from meshnode.dht import Contact
from meshnode.identity import Identity
from meshnode.instruments import Instruments
from meshnode.journal import Kind
from meshnode.link import Link
from meshnode.links import Links
from meshnode.private import Private
from meshnode.wire import ID_BYTES, Drop, Dropped, Message, Type, encode, verify

MAX_WAITING = 10_000  # messages for one node without a link
ACKNOWLEDGEMENT = struct.Struct(">16sq")
MAX_ACKNOWLEDGEMENTS = 4096  # in one frame


class Outcome(IntEnum):
    """How an operation ended."""

    OK = 0
    FAILED = 1
    UNKNOWN = 2


class Finish(Protocol):
    """Takes the end of an operation."""

    def __call__(self, operation_id: bytes, outcome: Outcome, done_ns: int, detail: dict[str, Any]) -> None:
        """`done_ns` is CLOCK_MONOTONIC."""


class Messaging:
    """The private messages of one node. `find(node id, found)` looks an address up and calls back with it or None."""

    def __init__(
        self,
        *,
        identity: Identity,
        links: Links,
        instruments: Instruments,
        find: Callable[[bytes, Callable[[Contact | None], None]], None],
        finish: Finish,
        soon: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._private = Private(identity, time.time_ns())
        self._links = links
        self._instruments = instruments
        self._find = find
        self._finish = finish
        self._soon = soon
        self._unacknowledged: dict[Link, set[bytes]] = {}
        self._waiting: dict[bytes, dict[bytes, bytes]] = {}
        self._acknowledgements: dict[Link, list[bytes]] = {}

    # Sending

    def send(self, operation_id: bytes, target: bytes, payload: bytes) -> None:
        """Send, over a link made for it if need be. The end comes by `finish`."""
        link = self._links.get(target)
        if link is not None:
            self._send(link, operation_id, payload)
            return
        waiting = self._waiting.setdefault(target, {})
        if len(waiting) >= MAX_WAITING:
            self._fail(
                operation_id, f"{MAX_WAITING} messages wait for a link with that node already, which is the limit"
            )
            return
        waiting[operation_id] = payload
        if len(waiting) == 1:
            self._seek(target)

    def time_out(self, operation_id: bytes, target: bytes) -> bool:
        """Give an operation up. True if it was never sent."""
        waiting = self._waiting.get(target)
        if waiting is not None and waiting.pop(operation_id, None) is not None:
            if not waiting:
                del self._waiting[target]
            return True
        for ids in self._unacknowledged.values():
            ids.discard(operation_id)
        return False

    def link_up(self, link: Link) -> None:
        """Send what waited for this link."""
        assert link.peer_id is not None
        for operation_id, payload in self._waiting.pop(link.peer_id, {}).items():
            self._send(link, operation_id, payload)

    def link_down(self, link: Link) -> None:
        """Nobody can say what became of the messages under way."""
        self._acknowledgements.pop(link, None)
        now_ns = time.monotonic_ns()
        for operation_id in self._unacknowledged.pop(link, ()):
            self._finish(
                operation_id, Outcome.UNKNOWN, now_ns, {"error": "the link broke before the acknowledgement came"}
            )

    def dial_failed(self, peer_id: bytes, error: str) -> None:
        """No link comes about: what waited for it was certainly not sent."""
        for operation_id in self._waiting.pop(peer_id, {}):
            self._fail(operation_id, error)

    def _seek(self, target: bytes) -> None:
        neighbour = self._links.neighbour(target)
        if neighbour is not None:
            self._links.dial(target, neighbour.address, neighbour.port)
        else:
            self._find(target, lambda contact: self._found(target, contact))

    def _found(self, target: bytes, contact: Contact | None) -> None:
        link = self._links.get(target)
        if link is not None:
            self.link_up(link)
        elif contact is None:
            self.dial_failed(target, "the DHT knows no node of this id")
        elif target in self._waiting:
            self._links.dial(target, contact.address, contact.port)

    def _send(self, link: Link, operation_id: bytes, payload: bytes) -> None:
        assert link.peer_id is not None
        start_ns = time.perf_counter_ns()
        if not link.has_room:
            self._fail(operation_id, "the link is congested: too much is unsent")
            return
        message = self._private.seal(operation_id, link.peer_id, payload, time.time_ns())
        link.send(encode(message))
        self._unacknowledged.setdefault(link, set()).add(operation_id)
        instruments = self._instruments
        instruments.histograms.add("create", time.perf_counter_ns() - start_ns)
        instruments.counters["messages_out"] += 1
        instruments.journal.add(
            Kind.PRIVATE_SENT, operation_id, time.monotonic_ns(), peer=link.peer_id, size=len(payload), hops=1
        )

    def _fail(self, operation_id: bytes, error: str) -> None:
        self._finish(operation_id, Outcome.FAILED, time.monotonic_ns(), {"error": error})

    # Receiving

    def arrived(self, link: Link, message: Message) -> None:
        """A private message: verify, decrypt, journal, acknowledge at the end of the turn. Raises Dropped."""
        start_ns = time.perf_counter_ns()
        if message.target != self._identity.node_id:
            raise Dropped(Drop.NOT_FOR_US, "for another node")
        if message.source != link.peer_id:
            raise Dropped(Drop.BAD_SIGNATURE, "not by the node at the other end")
        verify(message)
        payload = self._private.open(message)
        now_ns = time.monotonic_ns()
        instruments = self._instruments
        instruments.histograms.add("verify", time.perf_counter_ns() - start_ns)
        instruments.counters["messages_in"] += 1
        instruments.journal.add(
            Kind.PRIVATE_DELIVERED, message.id, now_ns, peer=message.source, size=len(payload), hops=1
        )
        self._acknowledgements.setdefault(link, []).append(ACKNOWLEDGEMENT.pack(message.id, now_ns))
        self._soon()

    def acknowledged(self, link: Link, payload: bytes) -> None:
        """The other end has delivered these. Raises ValueError for a malformed payload."""
        if not payload or len(payload) % ACKNOWLEDGEMENT.size:
            raise ValueError("acknowledgements take 24 bytes each")
        ids = self._unacknowledged.get(link)
        if ids is None:
            return
        for operation_id, delivered_ns in ACKNOWLEDGEMENT.iter_unpack(payload):
            if operation_id in ids:
                ids.remove(operation_id)
                self._finish(operation_id, Outcome.OK, delivered_ns, {"hops": 1})

    def flush(self) -> None:
        """Queue the acknowledgements of this turn: after the journal is written, an acknowledged message is a recorded one."""
        if not self._acknowledgements:
            return
        gathered, self._acknowledgements = self._acknowledgements, {}
        for link, rows in gathered.items():
            for at in range(0, len(rows), MAX_ACKNOWLEDGEMENTS):
                payload = b"".join(rows[at : at + MAX_ACKNOWLEDGEMENTS])
                link.send(between_ends(Type.ACKNOWLEDGE, self._identity.node_id, link, payload))


def between_ends(kind: Type, source: bytes, link: Link, payload: bytes) -> bytes:
    """A message that concerns only the two ends of a link, which has authenticated them: not signed."""
    return encode(Message(kind, os.urandom(ID_BYTES), source, link.peer_id or b"", payload=payload))
