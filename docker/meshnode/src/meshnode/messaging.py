"""Private messages: sending, relaying, receiving, receipts. A thin shell around `private.Private`
and `discovery.Discovery`.
"""

import os
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from meshnode.dht import Contact
from meshnode.discovery import Discovery
from meshnode.identity import Identity
from meshnode.instruments import Instruments
from meshnode.journal import Kind
from meshnode.link import Link
from meshnode.links import Links
from meshnode.private import TTL, Private
from meshnode.wire import ID_BYTES, Drop, Dropped, Message, Type, encode, sign, verify

MAX_WAITING = 10_000  # messages for one node without a way
MAX_HELD = 1_000  # messages of others, for one node without a way
RECEIPT = struct.Struct(">16sqH")  # id, delivered (CLOCK_MONOTONIC ns), links passed
MAX_RECEIPTS = 4096  # in one frame


class Outcome(IntEnum):
    """How an operation ended."""

    OK = 0
    FAILED = 1
    UNKNOWN = 2


class Finish(Protocol):
    """Takes the end of an operation."""

    def __call__(
        self, operation_id: bytes, outcome: Outcome, done_ns: int, detail: dict[str, Any]
    ) -> None:
        """`done_ns` is CLOCK_MONOTONIC."""


class _Way(NamedTuple):
    """Whom a message was sent to, and by which link."""

    target: bytes
    link: Link


class Messaging:
    """The private messages of one node. `find(node id, found)` looks an address up and calls back
    with it or None.

    The way to a node without a link is, in this order: a known route, a route asked for, a link
    dialled for it.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        links: Links,
        discovery: Discovery,
        instruments: Instruments,
        find: Callable[[bytes, Callable[[Contact | None], None]], None],
        finish: Finish,
        soon: Callable[[], None],
    ) -> None:
        self._identity = identity
        self._private = Private(identity, time.time_ns())
        self._links = links
        self._discovery = discovery
        self._instruments = instruments
        self._find = find
        self._finish = finish
        self._soon = soon
        self._unacknowledged: dict[bytes, _Way] = {}
        self._waiting: dict[bytes, dict[bytes, bytes]] = {}  # target → id → payload, of our own
        self._held: dict[bytes, list[tuple[Link | None, Message]]] = {}  # target → where from, what
        # (to whom, over which link: None by routes).
        self._receipts: dict[tuple[bytes, Link | None], list[bytes]] = {}

    # Sending

    def send(self, operation_id: bytes, target: bytes, payload: bytes) -> None:
        """Send, by a link or a route looked for if need be. The end comes by `finish`."""
        link = self._discovery.next_link(target)
        if link is not None:
            self._send(link, operation_id, target, payload)
            return
        waiting = self._waiting.setdefault(target, {})
        if len(waiting) >= MAX_WAITING:
            self._fail(
                operation_id,
                f"{MAX_WAITING} messages wait for a way to that node already, which is the limit",
            )
            return
        waiting[operation_id] = payload
        if len(waiting) == 1:
            self._discovery.seek(target)

    def time_out(self, operation_id: bytes, target: bytes) -> bool:
        """Give an operation up. True if it was never sent."""
        waiting = self._waiting.get(target)
        if waiting is not None and waiting.pop(operation_id, None) is not None:
            if not waiting:
                del self._waiting[target]
            return True
        self._unacknowledged.pop(operation_id, None)
        return False

    def link_up(self, link: Link) -> None:
        """Send what waited for this node."""
        assert link.peer_id is not None
        self.route_found(link.peer_id)

    def link_down(self, link: Link) -> None:
        """Nobody can say what became of the messages under way over it."""
        self._receipts = {to: rows for to, rows in self._receipts.items() if to[1] is not link}
        now_ns = time.monotonic_ns()
        for operation_id in [id_ for id_, way in self._unacknowledged.items() if way.link is link]:
            del self._unacknowledged[operation_id]
            self._finish(
                operation_id,
                Outcome.UNKNOWN,
                now_ns,
                {"error": "the link broke before the receipt came"},
            )

    def dial_failed(self, peer_id: bytes, error: str) -> None:
        """No link comes about: what waited for it was certainly not sent."""
        for operation_id in self._waiting.pop(peer_id, {}):
            self._fail(operation_id, error)

    # discovery.Seeker

    def route_found(self, target: bytes) -> None:
        """Send and pass on what waited for a way to this node."""
        if target not in self._waiting and target not in self._held:
            return
        link = self._discovery.next_link(target)
        if link is None:
            return
        for operation_id, payload in self._waiting.pop(target, {}).items():
            self._send(link, operation_id, target, payload)
        for came_by, message in self._held.pop(target, ()):
            self._pass_on(came_by, message)

    def route_failed(self, target: bytes) -> None:
        """No relay knows a way: dial the node itself for our own messages; those of others end
        here.
        """
        for came_by, message in self._held.pop(target, ()):
            self._instruments.dropped(
                Drop.NO_ROUTE, time.monotonic_ns(), size=len(message.payload), message_id=message.id
            )
            if came_by is not None:
                came_by.send(
                    between_ends(Type.ROUTE_ERROR, self._identity.node_id, came_by, target)
                )
        if target not in self._waiting:
            return
        neighbour = self._links.neighbour(target)
        if neighbour is not None:
            self._links.dial(target, neighbour.address, neighbour.port)
        else:
            self._find(target, lambda contact: self._found(target, contact))

    def _found(self, target: bytes, contact: Contact | None) -> None:
        if self._links.get(target) is not None:
            self.route_found(target)
        elif contact is None:
            self.dial_failed(target, "no route leads to it, and the DHT knows no node of this id")
        elif target in self._waiting:
            self._links.dial(target, contact.address, contact.port)

    def _send(self, link: Link, operation_id: bytes, target: bytes, payload: bytes) -> None:
        start_ns = time.perf_counter_ns()
        if not link.has_room:
            self._fail(operation_id, "the link is congested: too much is unsent")
            return
        try:
            message = self._private.seal(operation_id, target, payload, time.time_ns())
        except ValueError as error:
            self._fail(operation_id, str(error))
            return
        link.send(encode(message))
        self._unacknowledged[operation_id] = _Way(target, link)
        instruments = self._instruments
        instruments.histograms.add("create", time.perf_counter_ns() - start_ns)
        instruments.counters["messages_out"] += 1
        instruments.journal.add(
            Kind.PRIVATE_SENT, operation_id, time.monotonic_ns(), peer=target, size=len(payload)
        )

    def _fail(self, operation_id: bytes, error: str) -> None:
        self._finish(operation_id, Outcome.FAILED, time.monotonic_ns(), {"error": error})

    # Relaying

    def _pass_on(self, came_by: Link | None, message: Message) -> None:
        """Send a message of another node towards its target, or hold it while a way is looked
        for.
        """
        link = self._discovery.next_link(message.target, but=came_by)
        if link is None:
            held = self._held.setdefault(message.target, [])
            if len(held) >= MAX_HELD:
                self._instruments.dropped(
                    Drop.NO_ROUTE,
                    time.monotonic_ns(),
                    size=len(message.payload),
                    message_id=message.id,
                )
                return
            held.append((came_by, message))
            self._discovery.seek(message.target)
        elif not link.send(encode(message)):
            self._instruments.dropped(
                Drop.NO_ROUTE, time.monotonic_ns(), size=len(message.payload), message_id=message.id
            )
        elif message.type == Type.PRIVATE and came_by is not None:
            self._instruments.counters["messages_relayed"] += 1
            self._instruments.journal.add(
                Kind.PRIVATE_RELAYED,
                message.id,
                time.monotonic_ns(),
                peer=link.peer_id or b"",
                size=len(message.payload),
                hops=message.hops,
            )

    def _relay(self, link: Link, message: Message) -> None:
        if message.ttl <= 1:
            raise Dropped(Drop.NO_ROUTE, "it has passed too many links")
        self._pass_on(link, message._replace(ttl=message.ttl - 1, hops=message.hops + 1))

    # Receiving

    def arrived(self, link: Link, message: Message) -> None:
        """A private message: relay it, or verify, decrypt, journal and give a receipt at the end of
        the turn. Raises Dropped.
        """
        if message.target != self._identity.node_id:
            self._relay(link, message)
            return
        start_ns = time.perf_counter_ns()
        verify(message)
        payload = self._private.open(message)
        now_ns = time.monotonic_ns()
        instruments = self._instruments
        instruments.histograms.add("verify", time.perf_counter_ns() - start_ns)
        instruments.counters["messages_in"] += 1
        hops = message.hops
        instruments.journal.add(
            Kind.PRIVATE_DELIVERED,
            message.id,
            now_ns,
            peer=message.source,
            size=len(payload),
            hops=hops,
        )
        by = link if message.source == link.peer_id else None
        self._receipts.setdefault((message.source, by), []).append(
            RECEIPT.pack(message.id, now_ns, min(hops, 0xFFFF))
        )
        self._soon()

    def acknowledged(self, link: Link, payload: bytes) -> None:
        """The other end has delivered these. Raises ValueError for a malformed payload."""
        self._receipt(link.peer_id or b"", payload)

    def receipt(self, link: Link, message: Message) -> None:
        """A signed receipt that came by relays: for this node, or to be passed on. Raises
        Dropped.
        """
        if message.target != self._identity.node_id:
            self._relay(link, message)
            return
        verify(message)
        try:
            self._receipt(message.source, message.payload)
        except ValueError as error:
            raise Dropped(Drop.MALFORMED, str(error)) from error

    def _receipt(self, by: bytes, payload: bytes) -> None:
        if not payload or len(payload) % RECEIPT.size:
            raise ValueError(f"receipts take {RECEIPT.size} bytes each")
        for operation_id, delivered_ns, hops in RECEIPT.iter_unpack(payload):
            way = self._unacknowledged.get(operation_id)
            if way is not None and way.target == by:
                del self._unacknowledged[operation_id]
                self._finish(operation_id, Outcome.OK, delivered_ns, {"hops": hops})

    def flush(self) -> None:
        """Queue the receipts of this turn: after the journal is written, an acknowledged message is
        a recorded one.
        """
        if not self._receipts:
            return
        gathered, self._receipts = self._receipts, {}
        own = self._identity.node_id
        for (source, link), rows in gathered.items():
            for at in range(0, len(rows), MAX_RECEIPTS):
                payload = b"".join(rows[at : at + MAX_RECEIPTS])
                if link is not None:
                    link.send(between_ends(Type.ACKNOWLEDGE, own, link, payload))
                else:
                    made = Message(
                        Type.RECEIPT,
                        os.urandom(ID_BYTES),
                        own,
                        source,
                        time.time_ns(),
                        TTL,
                        1,
                        payload,
                    )
                    self._pass_on(None, sign(made, self._identity))


def between_ends(kind: Type, source: bytes, link: Link, payload: bytes) -> bytes:
    """A message that concerns only the two ends of a link, which has authenticated them: not
    signed.
    """
    return encode(Message(kind, os.urandom(ID_BYTES), source, link.peer_id or b"", payload=payload))
