"""Broadcast without sockets: coverage of connected overlays although pushes are lost, and bounded
memory.
"""

import random
from collections import Counter, defaultdict

import pytest
from meshnode.gossip import KEPT_NS, MAX_KEPT_BYTES, REPAIR_NS, Gossip
from meshnode.wire import Type


class Overlay:
    """Gossip cores joined by queues; `push_loss` of the pushes vanish, and nothing of what
    repairs.
    """

    def __init__(
        self, edges: set[tuple[int, int]], *, fanout: int, push_loss: float, seed: int
    ) -> None:
        self.rng = random.Random(seed)
        self.push_loss = push_loss
        self.edges: set[tuple[int, int]] = set()
        self.nodes: dict[int, Gossip] = {}
        self.delivered: dict[bytes, Counter[int]] = defaultdict(Counter)
        self.now_ns = 0
        for number in sorted({node for edge in edges for node in edge}):
            self.nodes[number] = Gossip(fanout=fanout, rng=random.Random(seed * 1000 + number))
        for a, b in sorted(edges):
            self.connect(a, b)

    def connect(self, a: int, b: int) -> None:
        self.edges |= {(a, b), (b, a)}
        self.nodes[a].add_peer(name(b), self.now_ns)
        self.nodes[b].add_peer(name(a), self.now_ns)

    def disconnect(self, a: int, b: int) -> None:
        self.edges -= {(a, b), (b, a)}
        self.nodes[a].remove_peer(name(b))
        self.nodes[b].remove_peer(name(a))

    def start(self, origin: int, key: bytes) -> None:
        self.delivered[key][origin] += 1
        self._spread(origin, key, self.nodes[origin].accept(key, key, None, self.now_ns))

    def _spread(self, source: int, key: bytes, peers: list[bytes]) -> None:
        queue = [
            (source, number(peer), key) for peer in peers if self.rng.random() >= self.push_loss
        ]
        for a, b, sent in queue:
            self._deliver(a, b, sent)

    def _deliver(self, a: int, b: int, key: bytes) -> None:
        assert (a, b) in self.edges
        if not self.nodes[b].is_seen(key, name(a)):
            self.delivered[key][b] += 1
            self._spread(b, key, self.nodes[b].accept(key, key, name(a), self.now_ns))

    def tick(self) -> int:
        """One repair interval; returns how many advertisements and requests were made."""
        self.now_ns += REPAIR_NS
        frames = [
            (node, *frame)
            for node, core in self.nodes.items()
            if core.next_ns() is not None
            for frame in core.tick(self.now_ns)
        ]
        for source, peer, kind, payload in frames:
            self._frame(source, number(peer), kind, payload)
        return len(frames)

    def _frame(self, a: int, b: int, kind: Type, payload: bytes) -> None:
        if kind is Type.I_HAVE:
            for peer, answer, wanted in self.nodes[b].i_have(name(a), payload, self.now_ns):
                self._frame(b, number(peer), answer, wanted)
        else:
            for key in self.nodes[b].i_want(payload):
                self._deliver(b, a, key)


def name(node: int) -> bytes:
    return node.to_bytes(32, "big")


def number(peer: bytes) -> int:
    return int.from_bytes(peer, "big")


def key_of(text: str) -> bytes:
    return text.encode().ljust(16, b".")


def ring(count: int) -> set[tuple[int, int]]:
    return {(node, (node + 1) % count) for node in range(count)}


def random_graph(count: int, seed: int) -> set[tuple[int, int]]:
    rng = random.Random(seed)
    return {(node, rng.randrange(node)) for node in range(1, count)} | {
        tuple(rng.sample(range(count), 2)) for _ in range(count)
    }  # type: ignore[misc]


@pytest.mark.parametrize("push_loss", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("fanout", [1, 3, 10])
def test_every_node_of_a_connected_overlay_gets_it_once(push_loss: float, fanout: int) -> None:
    overlay = Overlay(random_graph(60, fanout), fanout=fanout, push_loss=push_loss, seed=7)
    overlay.start(0, key_of("a"))
    overlay.start(30, key_of("b"))
    for _ in range(70):
        overlay.tick()
    for deliveries in overlay.delivered.values():
        assert deliveries == Counter(dict.fromkeys(range(60), 1))


def test_without_loss_the_push_alone_reaches_all() -> None:
    """The fanout is large enough for it."""
    overlay = Overlay(ring(50), fanout=2, push_loss=0.0, seed=1)
    overlay.start(0, key_of("a"))
    assert len(overlay.delivered[key_of("a")]) == 50


def test_a_lost_push_is_delivered_by_the_repair() -> None:
    """Nobody has it before the repair."""
    overlay = Overlay(ring(5), fanout=2, push_loss=1.0, seed=1)
    overlay.start(0, key_of("a"))
    assert set(overlay.delivered[key_of("a")]) == {0}
    overlay.tick()
    assert set(overlay.delivered[key_of("a")]) >= {0, 1, 4}


def test_it_becomes_quiet() -> None:
    overlay = Overlay(ring(10), fanout=2, push_loss=0.2, seed=3)
    overlay.start(0, key_of("a"))
    for _ in range(20):
        overlay.tick()
    assert all(core.next_ns() is None for core in overlay.nodes.values())


def test_a_healed_partition_hears_what_it_missed() -> None:
    overlay = Overlay({(0, 1), (1, 2)}, fanout=5, push_loss=0.0, seed=1)
    overlay.disconnect(1, 2)
    overlay.start(0, key_of("a"))
    for _ in range(30):
        overlay.tick()
    assert set(overlay.delivered[key_of("a")]) == {0, 1}
    overlay.connect(1, 2)
    overlay.tick()
    assert set(overlay.delivered[key_of("a")]) == {0, 1, 2}


def test_whoever_promised_and_fell_silent_is_replaced_by_another() -> None:
    core = Gossip(fanout=1, rng=random.Random(0))
    for peer in (1, 2):
        core.add_peer(name(peer), 0)
    assert core.i_have(name(1), key_of("a"), 0) == [(name(1), Type.I_WANT, key_of("a"))]
    assert core.i_have(name(2), key_of("a"), 0) == []
    assert core.tick(REPAIR_NS) == [(name(2), Type.I_WANT, key_of("a"))]
    core.remove_peer(name(2))
    assert core.tick(2 * REPAIR_NS) == [(name(1), Type.I_WANT, key_of("a"))]


def test_memory_is_bounded() -> None:
    core = Gossip(fanout=1, rng=random.Random(0))
    big = bytes(1 << 20)
    for number_ in range(20):
        core.accept(key_of(str(number_)), big, None, 0)
    kept = [number_ for number_ in range(20) if core.i_want(key_of(str(number_)))]
    assert kept == list(range(20 - MAX_KEPT_BYTES // len(big), 20))
    assert core.is_seen(key_of("0"), name(1))
    core.tick(KEPT_NS)
    assert not core.i_want(key_of("19"))
