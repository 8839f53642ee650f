"""Broadcasts on real links: a thin shell around `gossip.Gossip`."""

import random
import time

from meshnode.gossip import MAX_AGE_NS, Frames, Gossip, key_of
from meshnode.identity import Identity
from meshnode.instruments import Instruments
from meshnode.journal import Kind
from meshnode.link import Link
from meshnode.links import Links
from meshnode.messaging import between_ends
from meshnode.pulse import Pulse
from meshnode.wire import MAX_TTL, Drop, Dropped, Message, Type, encode, sign, verify


class Broadcasting:
    """The broadcasts of one node."""

    def __init__(
        self,
        *,
        identity: Identity,
        fanout: int,
        links: Links,
        instruments: Instruments,
        pulse: Pulse,
        rng: random.Random,
    ) -> None:
        self._identity = identity
        self._gossip = Gossip(fanout=fanout, rng=rng)
        self._links = links
        self._instruments = instruments
        self._pulse = pulse
        self._armed_ns: int | None = None

    def link_up(self, link: Link) -> None:
        """Another peer to tell."""
        assert link.peer_id is not None
        self._gossip.add_peer(link.peer_id, time.monotonic_ns())
        self._arm()

    def link_down(self, link: Link) -> None:
        """One peer less."""
        assert link.peer_id is not None
        self._gossip.remove_peer(link.peer_id)

    def start(self, message_id: bytes, payload: bytes) -> int | None:
        """Broadcast `payload`. Returns to how many links it was sent: 0 where all are congested,
        and it is only advertised; None where no link stands, and nothing was done.
        """
        if not self._links.up():
            return None
        message = sign(
            Message(
                Type.BROADCAST,
                message_id,
                self._identity.node_id,
                b"",
                time.time_ns(),
                MAX_TTL,
                hops=1,
                payload=payload,
            ),
            self._identity,
        )
        now_ns = time.monotonic_ns()
        data = encode(message)
        peers = self._gossip.accept(key_of(message), data, None, now_ns)
        self._instruments.journal.add(Kind.BROADCAST_STARTED, message_id, now_ns, size=len(payload))
        self._arm()
        return self._push(peers, data, message, now_ns)

    def arrived(self, link: Link, message: Message) -> None:
        """A broadcast from a peer. Raises Dropped."""
        start_ns = time.perf_counter_ns()
        assert link.peer_id is not None
        instruments, now_ns, size = self._instruments, time.monotonic_ns(), len(message.payload)
        key = key_of(message)
        if self._gossip.is_seen(key, link.peer_id) or message.source == self._identity.node_id:
            instruments.counters["broadcasts_duplicate"] += 1
            instruments.journal.add(
                Kind.BROADCAST_DUPLICATE,
                message.id,
                now_ns,
                peer=link.peer_id,
                size=size,
                hops=message.hops,
            )
            return
        if message.target:
            raise Dropped(Drop.MALFORMED, "a broadcast has no target")
        if abs(time.time_ns() - message.timestamp_ns) > MAX_AGE_NS:
            raise Dropped(Drop.REPLAYED, "stamped too long ago")
        verify(message)
        now_ns = time.monotonic_ns()
        data = b""
        if message.ttl > 0:
            data = encode(
                message._replace(ttl=message.ttl - 1, hops=min(message.hops + 1, MAX_TTL))
            )
        peers = self._gossip.accept(key, data, link.peer_id, now_ns)
        instruments.counters["broadcasts_in"] += 1
        instruments.journal.add(
            Kind.BROADCAST_DELIVERED,
            message.id,
            now_ns,
            peer=link.peer_id,
            size=size,
            hops=message.hops,
        )
        self._push(peers, data, message, now_ns)
        instruments.histograms.add("broadcast_forward", time.perf_counter_ns() - start_ns)
        self._arm()

    def i_have(self, link: Link, payload: bytes) -> None:
        """A peer advertises. Raises ValueError for a malformed payload."""
        assert link.peer_id is not None
        self._send(self._gossip.i_have(link.peer_id, payload, time.monotonic_ns()))
        self._arm()

    def i_want(self, link: Link, payload: bytes) -> None:
        """A peer asks. Raises ValueError for a malformed payload."""
        for data in self._gossip.i_want(payload):
            self._instruments.counters["broadcasts_forwarded"] += link.send(data)

    def _push(self, peers: list[bytes], data: bytes, message: Message, now_ns: int) -> int:
        """Send to `peers`; a congested one is skipped, the repair reaches it. Returns to how many
        it went.
        """
        sent = 0
        for peer in peers:
            link = self._links.get(peer)
            if link is None or not link.send(data):
                continue
            if sent == 0:
                self._instruments.journal.add(
                    Kind.BROADCAST_FORWARDED,
                    message.id,
                    now_ns,
                    peer=peer,
                    size=len(message.payload),
                    hops=message.hops,
                )
            sent += 1
        self._instruments.counters["broadcasts_forwarded"] += sent
        return sent

    def _send(self, frames: Frames) -> None:
        for peer, kind, payload in frames:
            link = self._links.get(peer)
            if link is not None:
                link.send(between_ends(kind, self._identity.node_id, link, payload))

    def _arm(self) -> None:
        next_ns = self._gossip.next_ns()
        if next_ns is not None and next_ns != self._armed_ns:
            self._armed_ns = next_ns
            self._pulse.at(next_ns, self._tick)

    def _tick(self) -> None:
        self._armed_ns = None
        self._send(self._gossip.tick(time.monotonic_ns()))
        self._arm()
