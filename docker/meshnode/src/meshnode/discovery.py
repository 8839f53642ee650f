"""Finding routes on demand, as AODV does (RFC 3561): a signed request goes over all links once, the
destination's signed reply comes back, and whoever either passes learns the way to its origin. A
thin shell around `routing.Routes`.

`hops` is not signed: a node of this cluster can lie about distance, never about identity.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

from meshnode.identity import Identity
from meshnode.instruments import Instruments
from meshnode.link import Link
from meshnode.links import Links
from meshnode.pulse import Pulse
from meshnode.replay import ReplayCache
from meshnode.routing import Routes
from meshnode.wire import ID_BYTES, WINDOW_NS, Drop, Dropped, Message, Type, encode, sign, verify

TTL = 32
ATTEMPT_NS = (400_000_000, 800_000_000)  # how long each request waits for its reply
# Nobody waits for the reply to an older request: what links kept back during a cut would flood all
# nodes once it heals. A node whose clock is wrong by more is found by the DHT instead.
LATE_NS = 2_000_000_000


class Seeker(Protocol):
    """Who waits for routes."""

    def route_found(self, target: bytes) -> None:
        """There is a way now."""

    def route_failed(self, target: bytes) -> None:
        """Nobody answered."""


class Discovery:
    """The routes of one node and the requests under way."""

    def __init__(
        self, *, identity: Identity, links: Links, instruments: Instruments, pulse: Pulse
    ) -> None:
        self.routes = Routes()
        self.seeker: Seeker | None = None  # set once, right after building: the two need each other
        self._identity = identity
        self._links = links
        self._instruments = instruments
        self._pulse = pulse
        self._seen = ReplayCache()
        self._seeking: dict[bytes, int] = {}  # target → attempt

    def next_link(self, target: bytes, *, but: Link | None = None) -> Link | None:
        """The link that leads to `target`: its own, else that of the best candidate which is up;
        never `but`.
        """
        start_ns = time.perf_counter_ns()
        get: Callable[[bytes], Link | None] = self._links.get
        link = get(target)
        if link is None:
            hop = self.routes.find(
                target,
                get if but is None else lambda peer: None if peer == but.peer_id else get(peer),
            )
            link = None if hop is None else get(hop)
        self._instruments.histograms.add("route", time.perf_counter_ns() - start_ns)
        return link

    def seek(self, target: bytes) -> None:
        """Look for a way; `seeker` hears of the end. Nothing happens if that is under way."""
        if target not in self._seeking:
            self._ask(target, 0)

    def requested(self, link: Link, message: Message) -> None:
        """A ROUTE_REQUEST: learn the way back; answer, or pass it on. Raises Dropped."""
        assert link.peer_id is not None
        self._instruments.counters["route_requests_in"] += 1
        now_ns = time.time_ns()
        if message.source == self._identity.node_id:
            return
        if message.id in self._seen:  # another way of a request that was genuine
            self.routes.learn(message.source, link.peer_id, message.hops, message.timestamp_ns)
            return
        if now_ns - message.timestamp_ns > LATE_NS:
            self._instruments.counters["route_requests_late"] += 1
            return
        self._check(message, now_ns)
        self._seen.add(message.id, now_ns)
        self._learned(message, link)
        if message.target == self._identity.node_id:
            link.send(encode(self._signed(Type.ROUTE_REPLY, message.source)))
        elif message.ttl > 1:
            data = encode(message._replace(ttl=message.ttl - 1, hops=message.hops + 1))
            direct = self._links.get(message.target)
            for other in [direct] if direct is not None else self._links.up():
                if other is not link:
                    other.send(data)

    def replied(self, link: Link, message: Message) -> None:
        """A ROUTE_REPLY: learn the way to its origin, pass it on to who asked. Raises Dropped."""
        self._check(message, time.time_ns())
        self._learned(message, link)
        if message.target != self._identity.node_id and message.ttl > 1:
            onward = self.next_link(message.target, but=link)
            if onward is not None:
                onward.send(encode(message._replace(ttl=message.ttl - 1, hops=message.hops + 1)))

    def broken(self, link: Link, payload: bytes) -> None:
        """A ROUTE_ERROR: this peer is no way to that destination. Raises ValueError for a malformed
        payload.
        """
        if len(payload) != 32:
            raise ValueError("a ROUTE_ERROR names one node id")
        self.routes.forget(payload, link.peer_id or b"")

    def _ask(self, target: bytes, attempt: int) -> None:
        self._seeking[target] = attempt
        self._instruments.counters["route_requests_out"] += 1
        message = self._signed(Type.ROUTE_REQUEST, target)
        self._seen.add(message.id, message.timestamp_ns)
        data = encode(message)
        for link in self._links.up():
            link.send(data)
        self._pulse.at(
            time.monotonic_ns() + ATTEMPT_NS[attempt], lambda: self._silent(target, attempt)
        )

    def _silent(self, target: bytes, attempt: int) -> None:
        if self._seeking.get(target) != attempt:
            return
        if attempt + 1 < len(ATTEMPT_NS):
            self._ask(target, attempt + 1)
            return
        del self._seeking[target]
        assert self.seeker is not None
        self.seeker.route_failed(target)

    def _signed(self, kind: Type, target: bytes) -> Message:
        message = Message(
            kind,
            os.urandom(ID_BYTES),
            self._identity.node_id,
            target,
            time.time_ns(),
            ttl=TTL,
            hops=1,
        )
        return sign(message, self._identity)

    def _check(self, message: Message, now_ns: int) -> None:
        if not 1 <= message.hops <= TTL or message.ttl > TTL:
            raise Dropped(Drop.MALFORMED, f"{message.hops} hops, ttl {message.ttl}")
        if abs(now_ns - message.timestamp_ns) > WINDOW_NS:
            raise Dropped(
                Drop.REPLAYED, f"stamped {(now_ns - message.timestamp_ns) / 1e9:.1f} s ago"
            )
        verify(message)

    def _learned(self, message: Message, link: Link) -> None:
        assert link.peer_id is not None
        self.routes.learn(message.source, link.peer_id, message.hops, message.timestamp_ns)
        self._seeking.pop(message.source, None)
        assert self.seeker is not None
        self.seeker.route_found(message.source)
