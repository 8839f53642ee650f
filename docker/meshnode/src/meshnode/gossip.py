"""Broadcast: pushed at once to some links, advertised to the others, pulled by whoever missed it.
Sans-IO.

Every message a node has is advertised (I_HAVE) to every link that is not known to have it, in each
of the next `ROUNDS` repair intervals, and to every link that comes up within `KEPT_NS`. Who lacks
it asks (I_WANT), and asks the next advertiser when nothing came within an interval. So a message
crosses every link of a connected overlay unless both ends have it, however many pushes were lost;
links are reliable streams, so a round is lost only with its link.
"""

import hashlib
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshnode.replay import ReplayCache
from meshnode.wire import Message, Type

REPAIR_NS = 500 * 10**6
ROUNDS = 3
KEPT_NS = 120 * 10**9
# Of a broadcast by its origin's stamp; what was seen is remembered as long.
MAX_AGE_NS = 600 * 10**9
MAX_KEPT_BYTES = 8 << 20
MAX_SEEN = 131_072
MAX_MISSING = 16_384
MAX_ASKED = 10
KEY_BYTES = 16
MAX_KEYS = 1024  # in one I_HAVE or I_WANT

Frames = list[tuple[bytes, Type, bytes]]
"""What to send: (peer, type, payload)."""


def key_of(message: Message) -> bytes:
    """What identifies a broadcast: origin and id, so that nobody can occupy another's id."""
    return hashlib.sha256(message.source + message.id).digest()[:KEY_BYTES]


@dataclass(slots=True)
class _Kept:
    data: bytes
    since_ns: int
    rounds: int = 0
    known_by: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Missing:
    advertisers: deque[bytes]
    next_ns: int
    asked: int = 0


class Gossip:
    """The broadcasts of one node. Peers are node ids with a link that stands; every `now_ns` is
    monotonic.
    """

    def __init__(self, *, fanout: int, rng: random.Random) -> None:
        self._fanout = fanout
        self._rng = rng
        self._peers: dict[bytes, None] = {}
        self._seen = ReplayCache(max_seen=MAX_SEEN, generation_ns=MAX_AGE_NS)
        self._kept: dict[bytes, _Kept] = {}  # oldest first
        self._kept_bytes = 0
        self._advertised: dict[bytes, _Kept] = {}
        self._newcomers: dict[bytes, None] = {}
        self._missing: dict[bytes, _Missing] = {}
        self._next_ns: int | None = None

    def add_peer(self, peer: bytes, now_ns: int) -> None:
        """A link stands: it is told what it may have missed at the next repair."""
        self._peers[peer] = None
        if self._kept:
            self._newcomers[peer] = None
            self._wake(now_ns)

    def remove_peer(self, peer: bytes) -> None:
        """The link is gone."""
        self._peers.pop(peer, None)
        self._newcomers.pop(peer, None)
        for missing in self._missing.values():
            if peer in missing.advertisers:
                missing.advertisers.remove(peer)

    def is_seen(self, key: bytes, sender: bytes) -> bool:
        """Whether the broadcast was accepted before; then `sender` need not be told of it."""
        if key not in self._seen:
            return False
        kept = self._kept.get(key)
        if kept is not None:
            kept.known_by.add(sender)
        return True

    def accept(self, key: bytes, data: bytes, sender: bytes | None, now_ns: int) -> list[bytes]:
        """Take in a verified broadcast that was not seen before; `data` is what to hand on (empty:
        nothing, its ttl is used up).

        Returns the peers to push it to.
        """
        self._seen.add(key, now_ns)
        self._missing.pop(key, None)
        if not data:
            return []
        kept = _Kept(data, now_ns, ROUNDS, {sender} if sender is not None else set())
        self._kept[key] = self._advertised[key] = kept
        self._kept_bytes += len(data)
        self._shed(now_ns)
        self._wake(now_ns)
        candidates = [peer for peer in self._peers if peer != sender]
        return (
            candidates
            if len(candidates) <= self._fanout
            else self._rng.sample(candidates, self._fanout)
        )

    def i_have(self, peer: bytes, payload: bytes, now_ns: int) -> Frames:
        """A peer advertises what it has. Returns the request for what is missing here. Raises
        ValueError for a malformed payload.
        """
        wanted = []
        for key in _keys(payload):
            if self.is_seen(key, peer):
                continue
            missing = self._missing.get(key)
            if missing is not None:
                if peer not in missing.advertisers:
                    missing.advertisers.append(peer)
            elif len(self._missing) < MAX_MISSING:
                self._missing[key] = _Missing(deque([peer]), now_ns + REPAIR_NS, 1)
                wanted.append(key)
        if wanted:
            self._wake(now_ns)
        return [(peer, Type.I_WANT, b"".join(wanted))] if wanted else []

    def i_want(self, payload: bytes) -> list[bytes]:
        """A peer asks. Returns the broadcasts to send it. Raises ValueError for a malformed
        payload.
        """
        return [self._kept[key].data for key in _keys(payload) if key in self._kept]

    def next_ns(self) -> int | None:
        """When `tick` is wanted next: None while there is nothing to repair."""
        return self._next_ns

    def tick(self, now_ns: int) -> Frames:
        """The advertisements and requests that are due."""
        self._next_ns = None
        self._shed(now_ns)
        frames = self._ask_again(now_ns)
        newcomers, self._newcomers = self._newcomers, {}
        for peer in self._peers:
            source = self._kept if peer in newcomers else self._advertised
            frames += _batches(
                peer, (key for key, kept in source.items() if peer not in kept.known_by)
            )
        for key, kept in list(self._advertised.items()):
            kept.rounds -= 1
            if kept.rounds <= 0:
                del self._advertised[key]
        if self._advertised or self._missing:
            self._wake(now_ns)
        return frames

    def _ask_again(self, now_ns: int) -> Frames:
        wanted: dict[bytes, list[bytes]] = {}
        for key, missing in list(self._missing.items()):
            if missing.next_ns > now_ns:
                continue
            if not missing.advertisers or missing.asked >= MAX_ASKED:
                del self._missing[key]
                continue
            missing.advertisers.rotate(-1)
            missing.asked += 1
            missing.next_ns = now_ns + REPAIR_NS
            wanted.setdefault(missing.advertisers[0], []).append(key)
        return [
            (peer, Type.I_WANT, b"".join(keys[at : at + MAX_KEYS]))
            for peer, keys in wanted.items()
            for at in range(0, len(keys), MAX_KEYS)
        ]

    def _wake(self, now_ns: int) -> None:
        if self._next_ns is None:
            self._next_ns = now_ns + REPAIR_NS

    def _shed(self, now_ns: int) -> None:
        """Forget the oldest broadcasts: too old, or too many bytes."""
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.since_ns + KEPT_NS > now_ns and self._kept_bytes <= MAX_KEPT_BYTES:
                return
            del self._kept[key]
            self._advertised.pop(key, None)
            self._kept_bytes -= len(kept.data)


def _keys(payload: bytes) -> Iterator[bytes]:
    if not payload or len(payload) % KEY_BYTES or len(payload) > KEY_BYTES * MAX_KEYS:
        raise ValueError(
            f"expected 1 to {MAX_KEYS} keys of {KEY_BYTES} bytes, found {len(payload)} bytes"
        )
    return (payload[at : at + KEY_BYTES] for at in range(0, len(payload), KEY_BYTES))


def _batches(peer: bytes, keys: Iterator[bytes]) -> Frames:
    joined = b"".join(keys)
    step = KEY_BYTES * MAX_KEYS
    return [(peer, Type.I_HAVE, joined[at : at + step]) for at in range(0, len(joined), step)]
