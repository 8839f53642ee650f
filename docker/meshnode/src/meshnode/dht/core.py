"""`Dht`: one node's part in the DHT, sans-IO. Verified messages, calls and the time go in; sealed
datagrams come out.

The caller owns socket, clock and signatures: it hands every verified message to `receive`, calls
`tick` when `next_timeout_ns` has come, and after either sends what `outgoing` returns.
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshnode.dht import dump
from meshnode.dht.contact import ID_BYTES, Contact, position_of
from meshnode.dht.lookup import Lookup
from meshnode.dht.messages import (
    MAX_CONTACTS,
    MAX_VALUE_BYTES,
    Answer,
    Kind,
    MalformedBody,
    Request,
    read,
    write_answer,
    write_request,
)
from meshnode.dht.operations import Ask, Finished, Get, Join, Operation, Put
from meshnode.dht.requests import ATTEMPTS, Pending, Requests
from meshnode.dht.store import ValueStore
from meshnode.dht.table import Table

REFRESH_NS = 600 * 10**9  # ± a quarter, so that nodes started together do not refresh together
MAX_OPERATIONS = 1000
# at least, else k: a young network answers with few contacts, a narrow lookup would end too early
JOIN_WIDTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something done for another node: a value "stored" here (by itself: peer_id is its own), or
    "answered" from here.
    """

    kind: str
    key: bytes
    peer_id: bytes
    size: int


class Dht:
    """A Kademlia node. Every `now_ns` is of one monotonic clock and never smaller than the one
    before.

    `seal(kind, target_id, body, now_ns)` makes a signed datagram. Limits (number of operations,
    size of a value, length of a key) are refused as a `Finished` with its error, never by an
    exception.
    """

    def __init__(
        self,
        *,
        node_id: bytes,
        address: tuple[str, int],
        k: int,
        alpha: int,
        seal: Callable[[int, bytes, bytes, int], bytes],
        rng: random.Random,
        max_values: int = 100_000,
    ) -> None:
        """Raises ValueError where an argument is out of bounds."""
        if not 1 <= k <= MAX_CONTACTS:
            raise ValueError(f"k is 1 to {MAX_CONTACTS} (an answer must fit one datagram), not {k}")
        if alpha < 1:
            raise ValueError(f"alpha is at least 1, not {alpha}")
        self._own = Contact(node_id, *address)
        self._k = k
        self._alpha = alpha
        self._seal = seal
        self._rng = rng
        self._table = Table(self._own, k)
        self._store = ValueStore(max_values)
        self._requests = Requests(rng)
        self._operations: dict[int, Operation] = {}
        self._numbers = itertools.count(1)
        self._refresh_ns: int | None = None  # set when the first call brings the time
        self._refresh_operation = 0
        self._outgoing: list[tuple[bytes, tuple[str, int]]] = []
        self._finished: list[Finished] = []
        self._events: list[Event] = []
        self.requests_in = 0
        self.requests_out = 0
        self.dropped_unsolicited = 0

    @property
    def contacts(self) -> list[Contact]:
        """The contacts in the k-buckets, nearest buckets first."""
        return list(self._table)

    @property
    def values(self) -> int:
        """How many values are kept here."""
        return len(self._store)

    # What the caller asks for

    def add_contact(self, contact: Contact, now_ns: int) -> None:
        """A node known to be alive and authentic by other means, such as a link."""
        self._schedule_refresh(now_ns)
        self._heard(contact, now_ns)

    def join(self, now_ns: int) -> int:
        """Look this node itself up and fill the buckets that have room. Returns the operation's
        number.
        """
        number = next(self._numbers)
        self._refresh_ns = None
        self._schedule_refresh(now_ns)
        position = self._own.position
        lookup = self._lookup(position, max(self._k, JOIN_WIDTH), now_ns)
        lookup.spared = lambda contact: self._table.is_known_alive(contact, now_ns)
        return self._start(
            Join(
                number,
                lookup,
                _wire(position),
                self._k,
                refresh=lambda: self._sparse_buckets(now_ns),
            ),
            now_ns,
        )

    def put(self, key: bytes, value: bytes, now_ns: int) -> int:
        """Store `value` (≤ 1000 bytes) at the k closest nodes found; ok when another node
        acknowledged it.

        It is kept here too if this node is itself among the k closest.
        """
        number = next(self._numbers)
        if len(value) > MAX_VALUE_BYTES:
            return self._refuse(
                number,
                f"a value has at most {MAX_VALUE_BYTES} bytes (one datagram), this one "
                f"{len(value)}",
            )
        if len(key) != ID_BYTES:
            return self._refuse(number, f"a key has {ID_BYTES} bytes, this one {len(key)}")
        position = position_of(key)
        lookup = self._lookup(position, self._k, now_ns)
        return self._start(
            Put(number, lookup, _wire(position), self._k, key=key, value=value), now_ns
        )

    def get(self, key: bytes, now_ns: int) -> int:
        """Ask other nodes for the value of `key`; what is kept here is not looked at."""
        number = next(self._numbers)
        if len(key) != ID_BYTES:
            return self._refuse(number, f"a key has {ID_BYTES} bytes, this one {len(key)}")
        return self._start(
            Get(number, self._lookup(position_of(key), self._k, now_ns), key, self._k), now_ns
        )

    def lookup(self, target: bytes, now_ns: int) -> int:
        """Find the k nodes closest to a node id or key."""
        position = position_of(target)
        lookup = self._lookup(position, self._k, now_ns)
        return self._start(Operation(next(self._numbers), lookup, _wire(position), self._k), now_ns)

    def cancel(self, operation: int) -> None:
        """Forget an operation: it asks no more and does not appear in `finished`. Unknown numbers
        are ignored.
        """
        self._operations.pop(operation, None)

    # What the network and the clock bring

    def receive(
        self, source_id: bytes, kind: int, body: bytes, sender: tuple[str, int], now_ns: int
    ) -> None:
        """A message that was verified to come from `source_id`.

        Raises MalformedBody, with nothing changed, for the caller to count. Answers that were not
        asked for, and this node's own messages, are dropped and counted in `dropped_unsolicited`.
        """
        message = read(kind, body)
        try:
            source = self._table.contact(source_id, *sender)
        except ValueError as error:
            raise MalformedBody(f"sent from an impossible address: {error}") from error
        self._schedule_refresh(now_ns)
        if source.id == self._own.id:
            self.dropped_unsolicited += 1
        elif isinstance(message, Request):
            self._heard(source, now_ns)
            self._serve(source, message, now_ns)
        elif (pending := self._requests.match(source_id, message, now_ns)) is not None:
            self._heard(source, now_ns)
            self._settle(pending, message, now_ns)
        else:
            self.dropped_unsolicited += 1

    def tick(self, now_ns: int) -> None:
        """Repeat or give up overdue requests, forget expired values, refresh the buckets when
        due.
        """
        self._schedule_refresh(now_ns)
        self._store.expire(now_ns)
        for pending in self._requests.overdue(now_ns):
            self._overdue(pending, now_ns)
        if self._refresh_ns is not None and self._refresh_ns <= now_ns:
            self.cancel(self._refresh_operation)
            self._refresh_operation = self.join(now_ns)

    def next_timeout_ns(self) -> int | None:
        """When `tick` is next needed; None as long as nothing has happened."""
        times = (self._requests.next_deadline_ns(), self._store.next_expiry_ns(), self._refresh_ns)
        return min((time for time in times if time is not None), default=None)

    # What comes out

    def outgoing(self) -> list[tuple[bytes, tuple[str, int]]]:
        """The datagrams to send since the last call, with their addresses."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def finished(self) -> list[Finished]:
        """The operations that ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def events(self) -> list[Event]:
        """What was done for others since the last call."""
        events, self._events = self._events, []
        return events

    def dump(self) -> dict[str, Any]:
        """What survives a restart, of str, int, bytes and lists: contacts as [id, address, port],
        values as [key, value, expires_ns].
        """
        return dump.write(self._own.id, self._table, self._store.items())

    def load(self, data: object) -> None:
        """Take in what `dump` gave: values replace those here, contacts count as told by others
        until they are heard.

        Raises ValueError, with nothing changed, for anything that is no dump of this node.
        """
        contacts, values = dump.read(data, self._own.id)
        self._table.told(contacts)
        self._store.replace(values)
        self._refresh_ns = (
            None  # the next call brings the time, and bounds expiries of another boot's clock by it
        )

    # Inside

    def _schedule_refresh(self, now_ns: int) -> None:
        if self._refresh_ns is None:
            self._refresh_ns = now_ns + int(REFRESH_NS * self._rng.uniform(0.75, 1.25))
            self._store.limit_expiry(now_ns)

    def _lookup(self, position: int, width: int, now_ns: int) -> Lookup:
        # more than a lookup asks at first: substitutes where those fail
        start = self._table.closest(position, 2 * width + 8, now_ns)
        return Lookup(position, width=width, alpha=self._alpha, start=start)

    def _start(self, operation: Operation, now_ns: int) -> int:
        if len(self._operations) >= MAX_OPERATIONS:
            return self._refuse(
                operation.number,
                f"{MAX_OPERATIONS} operations are under way already, which is the limit",
            )
        self._operations[operation.number] = operation
        self._run(operation, now_ns)
        return operation.number

    def _refuse(self, number: int, error: str) -> int:
        self._finished.append(Finished(operation=number, ok=False, error=error))
        return number

    def _run(self, operation: Operation, now_ns: int) -> None:
        """Send what the operation wants to ask now; take its result if it has one."""
        for ask in operation.asks():
            self._send_request(self._requests.open(ask, operation, now_ns), now_ns)
        result = operation.result
        if result is None:
            return
        del self._operations[operation.number]
        if operation.number == self._refresh_operation:
            return
        if isinstance(operation, Put) and result.ok and self._is_among_closest(operation, result):
            self._keep(operation.key, operation.value, self._own.id, now_ns)
        self._finished.append(result)

    def _is_among_closest(self, put: Put, result: Finished) -> bool:
        target = position_of(put.key)
        farthest = result.closest[-1]
        return (
            len(result.closest) < self._k
            or self._own.position ^ target < farthest.position ^ target
        )

    def _send_request(self, pending: Pending, now_ns: int) -> None:
        ask = pending.ask
        self.requests_out += 1
        request = Request(kind=ask.kind, number=pending.number, target=ask.target, value=ask.value)
        self._send(ask.contact, ask.kind, write_request(request), now_ns)

    def _send(self, to: Contact, kind: Kind, body: bytes, now_ns: int) -> None:
        self._outgoing.append((self._seal(kind, to.id, body, now_ns), (to.address, to.port)))

    def _heard(self, source: Contact, now_ns: int) -> None:
        silent = self._table.heard(source, now_ns)
        if silent is not None:
            self._send_request(
                self._requests.open(Ask(silent, Kind.PING, b""), None, now_ns), now_ns
            )

    def _serve(self, source: Contact, request: Request, now_ns: int) -> None:
        self.requests_in += 1
        kind, value = Kind.PONG, None
        contacts: tuple[Contact, ...] = ()
        if request.kind is Kind.STORE:
            kind = Kind.STORED
            self._keep(request.target, request.value or b"", source.id, now_ns)
        elif (
            request.kind is Kind.FIND_VALUE
            and (value := self._store.get(request.target, now_ns)) is not None
        ):
            kind = Kind.VALUE
            self._events.append(
                Event(kind="answered", key=request.target, peer_id=source.id, size=len(value))
            )
        elif request.kind is not Kind.PING:
            kind = Kind.NODES
            by_key = request.kind is Kind.FIND_VALUE
            position = (
                position_of(request.target) if by_key else int.from_bytes(request.target, "big")
            )
            contacts = tuple(self._table.closest_heard(position, self._k, source.id))
        answer = Answer(kind=kind, number=request.number, contacts=contacts, value=value)
        self._send(source, kind, write_answer(answer), now_ns)

    def _keep(self, key: bytes, value: bytes, peer_id: bytes, now_ns: int) -> None:
        self._store.put(key, value, now_ns)
        self._events.append(Event(kind="stored", key=key, peer_id=peer_id, size=len(value)))

    def _settle(self, pending: Pending, answer: Answer, now_ns: int) -> None:
        """An awaited answer has come."""
        self._table.told(answer.contacts)
        operation = pending.operation
        if operation is None:
            self._table.ping_answered(pending.ask.contact)
        elif operation.number in self._operations:
            known = self._table.worth_asking(answer.contacts, now_ns)
            operation.answered(
                pending.ask,
                Answer(kind=answer.kind, number=answer.number, contacts=known, value=answer.value),
            )
            self._run(operation, now_ns)

    def _overdue(self, pending: Pending, now_ns: int) -> None:
        """An awaited answer has not come."""
        operation = pending.operation
        if operation is not None and operation.number not in self._operations:
            # it ended or was cancelled: nobody wants the answer, and one silence proves no failure
            return
        if len(pending.sent_ns) < ATTEMPTS:
            self._requests.await_again(pending, now_ns)
            self._send_request(pending, now_ns)
            if operation is not None:
                operation.late(pending.ask)
        else:
            self._table.failed(pending.ask.contact, pending.sent_ns[0], now_ns)
            if operation is not None:
                operation.failed(pending.ask)
        if operation is not None:
            self._run(operation, now_ns)

    def _sparse_buckets(self, now_ns: int) -> list[tuple[Contact, bytes]]:
        """For each bucket with room, but for those of the k nearest nodes, which are known (§2.3),
        a random position in it, and whom to ask for it.
        """
        asks = []
        nearest = self._table.closest_heard(self._own.position, self._k, self._own.id)
        near = max((contact.position ^ self._own.position for contact in nearest), default=0)
        for depth in self._table.sparse_depths():
            if depth <= near.bit_length():
                break
            distance = 1 << (depth - 1) | self._rng.getrandbits(depth) >> 1
            position = self._own.position ^ distance
            asks += [
                (contact, _wire(position)) for contact in self._table.closest(position, 1, now_ns)
            ]
        return asks


def _wire(position: int) -> bytes:
    return position.to_bytes(ID_BYTES, "big")
