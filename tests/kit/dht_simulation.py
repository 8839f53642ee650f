"""A network of `Dht` nodes in memory with virtual time: seeded latencies, loss, dead nodes. No
clock, no socket.
"""

import functools
import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator

from meshnode.dht import Contact, Dht, Event, Finished
from meshnode.dht.contact import position_of

MS = 10**6
S = 10**9
Address = tuple[str, int]
Edge = tuple[int, int]
TENFOLD = math.log2(10)


def seal_as(node_id: bytes) -> Callable[[int, bytes, bytes, int], bytes]:
    """An envelope without a signature: who, what, for whom, and the body."""
    return lambda kind, target_id, body, _now_ns: bytes([kind]) + node_id + target_id + body


def opened(datagram: bytes) -> tuple[int, bytes, bytes, bytes]:
    """(kind, source, target, body) of a datagram of `seal_as`."""
    return datagram[0], datagram[1:33], datagram[33:65], datagram[65:]


@functools.cache
def node_id(index: int) -> bytes:
    return random.Random(f"node {index}").randbytes(32)


@functools.cache
def address_of(index: int) -> Address:
    return (f"198.18.{index >> 8}.{index & 255}", 7000)


@functools.cache
def contact_of(index: int) -> Contact:
    return Contact(node_id(index), *address_of(index))


def make_dht(index: int, *, k: int = 20, alpha: int = 3, max_values: int = 100_000) -> Dht:
    own = node_id(index)
    rng = random.Random(f"chance of {index}")
    return Dht(
        node_id=own,
        address=address_of(index),
        k=k,
        alpha=alpha,
        seal=seal_as(own),
        rng=rng,
        max_values=max_values,
    )


def ring(count: int) -> list[Edge]:
    return [(index, (index + 1) % count) for index in range(count)]


def mesh(count: int) -> list[Edge]:
    return list(itertools.combinations(range(count), 2))


def random_regular(count: int, degree: int) -> list[Edge]:
    """The union of degree/2 random rings: connected, every degree `degree` but for rare double
    edges.
    """
    rng = random.Random(f"overlay of {count}")
    edges: list[Edge] = []
    for _ in range(degree // 2):
        order = rng.sample(range(count), count)
        edges += zip(order, [*order[1:], order[0]], strict=True)
    return edges


class Network:
    """Nodes, the datagrams under way between them, and the virtual time `now_ns`."""

    def __init__(
        self, count: int, *, k: int = 20, alpha: int = 3, loss: float = 0.0, seed: int = 1
    ) -> None:
        self.rng = random.Random(seed)
        self.loss = loss
        self.now_ns = 5 * S
        self.nodes: list[Dht] = []
        self.dead: set[int] = set()
        self.datagrams = 0
        self.largest_body = 0
        self.finished: dict[tuple[int, int], Finished] = {}
        self.events: list[tuple[int, Event]] = []
        self._make = functools.partial(make_dht, k=k, alpha=alpha)
        self._index: dict[Address, int] = {}
        self._queue: list[tuple[int, int, int, bytes, Address]] = []
        self._timers: list[tuple[int, int]] = []
        self._armed: dict[int, int] = {}
        self._order = itertools.count()
        for _ in range(count):
            self.grow()

    def grow(self) -> int:
        """One more node, which knows nobody; its index."""
        index = len(self.nodes)
        self.nodes.append(self._make(index))
        self._index[address_of(index)] = index
        return index

    def link(self, edges: Iterable[Edge]) -> None:
        """Each end of an edge knows the other."""
        for one, other in edges:
            self.nodes[one].add_contact(contact_of(other), self.now_ns)
            self.nodes[other].add_contact(contact_of(one), self.now_ns)
            self.flush(one)
            self.flush(other)

    def join_all(self, *, members: Iterable[int] | None = None) -> None:
        """All nodes (or `members`) join at once, again a second after that ended."""
        members = list(range(len(self.nodes)) if members is None else members)
        for _ in range(2):
            self.run_all([(index, self.nodes[index].join(self.now_ns)) for index in members])
            self.run_for(1 * S)

    def run_all(self, operations: Iterable[tuple[int, int]]) -> list[Finished]:
        """Run until all these (node, operation number) have finished."""
        operations = list(operations)
        for index in {index for index, _ in operations}:
            self.flush(index)
        while not all(operation in self.finished for operation in operations):
            assert self._step(), "the network fell silent before all operations had finished"
        return [self.finished.pop(operation) for operation in operations]

    def put(self, index: int, key: bytes, value: bytes) -> Finished:
        return self.run_all([(index, self.nodes[index].put(key, value, self.now_ns))])[0]

    def get(self, index: int, key: bytes) -> Finished:
        return self.run_all([(index, self.nodes[index].get(key, self.now_ns))])[0]

    def lookup(self, index: int, target: bytes) -> Finished:
        return self.run_all([(index, self.nodes[index].lookup(target, self.now_ns))])[0]

    def run_for(self, duration_ns: int) -> None:
        """Let time pass."""
        until_ns = self.now_ns + duration_ns
        while (
            min((queue[0][0] for queue in (self._queue, self._timers) if queue), default=until_ns)
            < until_ns
        ):
            self._step()
        self.now_ns = until_ns

    def truly_closest(
        self, target: bytes, count: int, *, besides: int | None = None
    ) -> list[bytes]:
        """By looking at all nodes: ids of the `count` closest living nodes."""
        living = (
            index for index in range(len(self.nodes)) if index not in self.dead and index != besides
        )
        position = position_of(target)
        return heapq.nsmallest(
            count, map(node_id, living), key=lambda name: position_of(name) ^ position
        )

    def flush(self, index: int) -> None:
        """Send what a node has to send, note what it says, and set its timer."""
        node = self.nodes[index]
        self.finished.update(((index, result.operation), result) for result in node.finished())
        self.events += ((index, event) for event in node.events())
        for datagram, address in node.outgoing():
            self.datagrams += 1
            self.largest_body = max(self.largest_body, len(datagram) - 65)
            if self.loss and self.rng.random() < self.loss:
                continue
            at_ns = self.now_ns + self.rng.randrange(1 * MS, 20 * MS)
            heapq.heappush(
                self._queue,
                (
                    at_ns,
                    next(self._order),
                    self._index.get(address, -1),
                    datagram,
                    address_of(index),
                ),
            )
        timeout_ns = node.next_timeout_ns()
        if timeout_ns is not None and timeout_ns < self._armed.get(index, timeout_ns + 1):
            self._armed[index] = timeout_ns
            heapq.heappush(self._timers, (timeout_ns, index))

    def _step(self) -> bool:
        """The next datagram or timer. False where there is none."""
        if self._queue and not (self._timers and self._timers[0][0] <= self._queue[0][0]):
            self.now_ns, _, index, datagram, sender = heapq.heappop(self._queue)
            kind, source, target, body = opened(datagram)
            if index >= 0 and index not in self.dead:
                assert target == node_id(index)
                self.nodes[index].receive(source, kind, body, sender, self.now_ns)
                self.flush(index)
            return True
        if not self._timers:
            return False
        at_ns, index = heapq.heappop(self._timers)
        if self._armed.get(index) == at_ns:
            del self._armed[index]
            self.now_ns = at_ns
            if index not in self.dead:
                due_ns = self.nodes[index].next_timeout_ns()
                if due_ns is not None and due_ns <= at_ns:
                    self.nodes[index].tick(at_ns)
                self.flush(index)
        return True


def keys(count: int, label: str) -> Iterator[bytes]:
    rng = random.Random(label)
    return (rng.randbytes(32) for _ in range(count))


def found(network: Network, count: int, *, label: str) -> int:
    """Put `count` values at random nodes, get each from another one: how many gets returned what
    was put.
    """
    rng = random.Random(label)
    living = [index for index in range(len(network.nodes)) if index not in network.dead]
    hits = 0
    for key in keys(count, label):
        putter, getter = rng.sample(living, 2)
        put = network.put(putter, key, b"value of " + key)
        assert not put.ok or put.stored >= 1
        got = network.get(getter, key)
        assert got.value_from != node_id(getter)
        hits += put.ok and got.ok and got.value == b"value of " + key
    return hits


def mean_hops(network: Network, count: int = 100) -> float:
    rng = random.Random("hops")
    results = [
        network.lookup(rng.randrange(len(network.nodes)), key) for key in keys(count, "hops")
    ]
    return sum(result.hops for result in results) / count


def hops_grow_logarithmically(hops: list[float]) -> bool:
    """Whether each tenfold of nodes adds at most log2(10) hops."""
    return all(more - fewer <= TENFOLD for fewer, more in itertools.pairwise(hops))
