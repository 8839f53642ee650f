"""The DHT on a real UDP socket: a thin shell around `dht.Dht`, with what the node asks of it."""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from typing import Any, cast

from meshnode.config import Config
from meshnode.dht import Contact, Dht, Finished, MalformedBody
from meshnode.dht.messages import ANSWERS_TO
from meshnode.identity import Identity
from meshnode.instruments import Instruments, log
from meshnode.journal import Kind
from meshnode.pulse import Pulse
from meshnode.wire import Datagrams, Drop, Dropped

RECEIVE_BUFFER_BYTES = 1 << 20
MAX_TIMED = 10_000
KNOCK = (
    100  # beside the DHT's kinds: "I am listening now", to a neighbour that is to dial this node
)
_REQUESTS_OF = {
    int(kind): tuple(request for request, answers in ANSWERS_TO.items() if kind in answers)
    for kind in {kind for answers in ANSWERS_TO.values() for kind in answers}
}


class Overlay(asyncio.DatagramProtocol):
    """One node's part in the DHT."""

    def __init__(
        self,
        *,
        config: Config,
        identity: Identity,
        instruments: Instruments,
        pulse: Pulse,
        rng: random.Random,
        knocked: Callable[[bytes], None],
    ) -> None:
        self._knocked = knocked
        self._config = config
        self._identity = identity
        self._instruments = instruments
        self._pulse = pulse
        self._datagrams = Datagrams(identity)
        self._transport: asyncio.DatagramTransport | None = None
        self._armed_ns: int | None = None
        self._asked_ns: dict[tuple[bytes, int], int] = {}
        self._awaited: dict[int, Callable[[Finished], None]] = {}
        self._requests_at_begin = (0, 0)
        self.dht = Dht(
            node_id=identity.node_id,
            address=(config.address, config.port),
            k=config.options.k,
            alpha=config.options.alpha,
            seal=self._seal,
            rng=rng,
        )

    async def listen(self) -> None:
        """Bind the UDP port. Raises OSError."""
        endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
        try:
            endpoint.setblocking(False)
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            endpoint.bind((self._config.address, self._config.port))
        except OSError:
            endpoint.close()
            raise
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=endpoint)

    def close(self) -> None:
        """Leave the port."""
        if self._transport is not None:
            self._transport.close()

    def begin(self) -> None:
        """Count requests from zero."""
        self._requests_at_begin = (self.dht.requests_in, self.dht.requests_out)

    @property
    def requests_in(self) -> int:
        """Requests of other nodes served since `begin`."""
        return self.dht.requests_in - self._requests_at_begin[0]

    @property
    def requests_out(self) -> int:
        """Requests sent since `begin`, repetitions included."""
        return self.dht.requests_out - self._requests_at_begin[1]

    # What the node asks

    def add_contact(self, node_id: bytes, address: str, port: int) -> None:
        """A node known by a link or the configuration."""
        try:
            contact = Contact(node_id, address, port)
        except ValueError as error:
            log.warning("no DHT contact: %s", error)
            return
        self.dht.add_contact(contact, time.monotonic_ns())
        self._changed()

    def knock(self, node_id: bytes, address: str, port: int) -> None:
        """Tell a neighbour that this node listens now; unanswered, and lost where the other is not
        up.
        """
        if self._transport is not None:
            self._transport.sendto(
                self._datagrams.seal(KNOCK, node_id, b"", time.time_ns()), (address, port)
            )

    def join(self, finished: Callable[[Finished], None]) -> None:
        """Join, then call back."""
        self._await(self.dht.join(time.monotonic_ns()), finished)

    def put(self, key: bytes, value: bytes, finished: Callable[[Finished], None]) -> int:
        """Store a value."""
        return self._await(self.dht.put(key, value, time.monotonic_ns()), finished)

    def get(self, key: bytes, finished: Callable[[Finished], None]) -> int:
        """Fetch a value from other nodes."""
        return self._await(self.dht.get(key, time.monotonic_ns()), finished)

    def lookup(self, target: bytes, finished: Callable[[Finished], None]) -> int:
        """Find the nodes closest to a node id or key."""
        start_ns = time.perf_counter_ns()

        def timed(result: Finished) -> None:
            self._instruments.histograms.add("dht_lookup", time.perf_counter_ns() - start_ns)
            finished(result)

        return self._await(self.dht.lookup(target, time.monotonic_ns()), timed)

    def find(self, node_id: bytes, found: Callable[[Contact | None], None]) -> None:
        """Look a node's address up; call back with it, or None where nobody knows the node."""

        def pick(result: Finished) -> None:
            found(next((contact for contact in result.closest if contact.id == node_id), None))

        self.lookup(node_id, pick)

    def cancel(self, number: int) -> None:
        """Nobody waits for this operation any more."""
        self._awaited.pop(number, None)
        self.dht.cancel(number)

    def _await(self, number: int, finished: Callable[[Finished], None]) -> int:
        self._awaited[number] = finished
        self._changed()
        return number

    # asyncio.DatagramProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is bound."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """A datagram, from anyone."""
        now_ns = time.monotonic_ns()
        try:
            opened = self._datagrams.open(data, time.time_ns())
            if opened.kind == KNOCK:
                self._knocked(opened.source_id)
                return
            self._time_answer(opened.source_id, opened.kind, now_ns)
            self.dht.receive(opened.source_id, opened.kind, opened.body, addr, now_ns)
        except Dropped as drop:
            self._instruments.dropped(drop.reason, now_ns, size=len(data))
            return
        except MalformedBody:
            self._instruments.dropped(Drop.MALFORMED, now_ns, size=len(data))
            return
        self._changed()

    def error_received(self, exc: Exception) -> None:
        """ICMP said that a contact is unreachable: the request's own timeout says so too."""

    # Around the core

    def flush(self) -> None:
        """Journal and report what the core has gathered; `send` follows once that is written."""
        while True:
            for event in self.dht.events():
                kind = Kind.DHT_STORED if event.kind == "stored" else Kind.DHT_ANSWERED
                self._instruments.journal.add(
                    kind, event.key, time.monotonic_ns(), peer=event.peer_id, size=event.size
                )
            finished = self.dht.finished()
            for result in finished:
                call = self._awaited.pop(result.operation, None)
                if call is not None:
                    call(result)
            if not finished:  # callbacks may have started operations
                break

    def send(self) -> None:
        """Send what the core has gathered."""
        if self._transport is not None:
            for datagram, address in self.dht.outgoing():
                self._transport.sendto(datagram, address)
        self._arm()

    def _changed(self) -> None:
        self._pulse.soon()

    def _arm(self) -> None:
        next_ns = self.dht.next_timeout_ns()
        if next_ns is not None and (self._armed_ns is None or next_ns < self._armed_ns):
            self._armed_ns = next_ns
            self._pulse.at(next_ns, self._tick)

    def _tick(self) -> None:
        self._armed_ns = None
        self.dht.tick(time.monotonic_ns())
        self._changed()

    def _seal(self, kind: int, target_id: bytes, body: bytes, now_ns: int) -> bytes:
        """The core's clock is monotonic, a datagram's stamp is wall clock."""
        if kind in ANSWERS_TO:
            if len(self._asked_ns) >= MAX_TIMED:
                self._asked_ns.clear()
            self._asked_ns[target_id, kind] = now_ns
        return self._datagrams.seal(kind, target_id, body, time.time_ns())

    def _time_answer(self, source_id: bytes, kind: int, now_ns: int) -> None:
        """From the latest request of this kind to this node until an answer of its kind."""
        for request in _REQUESTS_OF.get(kind, ()):
            asked_ns = self._asked_ns.pop((source_id, request), None)
            if asked_ns is not None:
                self._instruments.histograms.add("dht_rpc", now_ns - asked_ns)
                return
