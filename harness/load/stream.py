"""One worker's share of one traffic stream: what is due, what is in flight, and when it counts as
lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile

import numpy as np

from harness.load.flight import Flight, Keys
from harness.operations import Outcome, Request, Response
from harness.operations.operation import NO_KEY, Address, key_of, shared_key
from harness.scenario import identifiers
from harness.scenario.schedule import BATCH, Due
from harness.scenario.stream import Stream
from harness.stats import Integers

NEVER_NS = (1 << 63) - 1
ID_BYTES = 16
SALT_BYTES = 8  # of an id, which are the run's
IN_FLIGHT_MAX = 1 << 18
COUNTED_AT_ONCE = 10_000
PIECE = 512  # operations made ready at once: 0.2 ms, in which the pacer stands still
GRACE_NS = 1_000_000_000  # a node reports a timeout itself; so long we wait for its report

Row = tuple[int, int, int, int, bytes]  # intended_ns, source, target, draw, id
Ended = Callable[[Flight, Outcome, Response | None, str | None], None]


class TrafficStream:
    """Makes the operations of a share when they are due, and follows each until it ends; `ended` is
    called once for each.
    """

    def __init__(
        self,
        stream: Stream,
        due: Iterator[Due],
        *,
        prefix: bytes,
        wire_ids: tuple[bytes, ...],
        keys: Keys,
        filler: bytes,
        ended: Ended,
        id_key: bytes = b"",
    ) -> None:
        """`prefix`: the first 12 bytes of every operation's id; `id_key`: what its others are made
        with; `filler`: what payloads are made of.
        """
        self.operation, self._spec = stream.operation, stream.operation.spec
        self.in_flight: dict[bytes, Flight] = {}
        self._stream = stream
        # Whether what it puts is for gets to read, which need not know of keys that all share.
        self._may_be_read = self._spec.to is Address.NEW_KEY and stream.keys is None
        self._timeout_ns = stream.timeout_ms * 1_000_000
        self._due: Iterator[Due] = (piece for part in due for piece in part.pieces(PIECE))
        self._ready: list[Row] = []  # the drawn stretch of the schedule
        self._at = -1  # the position of the next one in it
        self._next: Row | None = None
        self._prefix, self._id_key = prefix, id_key
        self._wire_ids, self._keys = wire_ids, keys
        self._payload_bytes = stream.payload_bytes if self._spec.payload is not None else 0
        self._tail = filler[: max(self._payload_bytes - ID_BYTES, 0)]
        self._drawn = 0  # operations
        self._stop_ns = NEVER_NS
        self._ended = ended
        self._advance()

    @property
    def next_due_ns(self) -> int:
        """When the next operation is due; NEVER_NS after the last."""
        return self._next[0] if self._next is not None else NEVER_NS

    @property
    def rate_per_s(self) -> float:
        """How many operations a second are due next, as far as they are drawn."""
        last = min(self._at + BATCH, len(self._ready) - 1)
        if last <= self._at:
            return 0.0
        span_ns = self._ready[last][0] - self._ready[self._at][0]
        return (last - self._at) * 1e9 / span_ns if span_ns else math.inf

    def due_ns(self) -> Iterator[Integers]:
        """When each operation in flight was due, in parts, between which some may end."""
        flights = list(self.in_flight.values())
        for begin in range(0, len(flights), COUNTED_AT_ONCE):
            part = flights[begin : begin + COUNTED_AT_ONCE]
            yield np.array([each.intended_ns for each in part], np.int64)

    def stop(self, at_ns: int) -> None:
        """Make nothing more that is due at or after `at_ns`."""
        self._due = takewhile(lambda part: part.intended_ns[0] < at_ns, self._due)
        self._ready = [each for each in self._ready[max(self._at, 0) :] if each[0] < at_ns]
        self._at, self._stop_ns = -1, at_ns
        self._advance()

    def take(self, now_ns: int, limit: int) -> dict[int, tuple[list[Request], list[Flight]]]:
        """Make what is due by `now_ns`, at most `limit` operations, sorted by the node that is to
        do them.
        """
        found: dict[int, tuple[list[Request], list[Flight]]] = {}
        while limit and self._next is not None and self._next[0] <= now_ns:
            made = self._make()
            if made is not None:
                requests, flights = found.setdefault(made[1].source, ([], []))
                requests.append(made[0])
                flights.append(made[1])
            limit -= 1
        return found

    def abandon(self, limit: int) -> bool:
        """End what is still due, at most `limit` operations, as FAILED: the load generator was late
        until the end. Return whether more is due.
        """
        while limit and self._next is not None:
            limit -= 1
            flight = self._flight(self._next)
            self._advance()
            self._ended(flight, Outcome.FAILED, None, "unsent: the load generator fell behind")
        return self._next is not None

    def answer(self, response: Response) -> bool:
        """Take a node's answer; False where nobody waits for it any more."""
        flight = self.in_flight.pop(response.id, None)
        if flight is None:
            return False
        if self._may_be_read and response.outcome is Outcome.OK and flight.key is not None:
            self._keys.add(flight.key, flight.source)
        flight.sent_ns = response.sent_ns or flight.sent_ns
        self._ended(flight, response.outcome, response, response.error)
        return True

    def drop(self, flight: Flight, why: str) -> None:
        """End an operation that was never sent, and will not be, as FAILED."""
        if self.in_flight.pop(flight.id, None) is not None:
            self._ended(flight, Outcome.FAILED, None, why)

    def lose(self, lost: Mapping[int, tuple[int, str]]) -> None:
        """End every operation that was sent to a node until its connection was lost (`lost`: when,
        and why): no answer can come any more.
        """
        for flight in list(self.in_flight.values()):
            at_ns, why = lost.get(flight.source, (0, ""))
            if 0 < flight.sent_ns <= at_ns:
                self._lose(flight, why)

    def expire(self, now_ns: int) -> None:
        """End what was sent and not answered in time as UNKNOWN. What was not sent yet is left to
        its connection.
        """
        due_ns = now_ns - GRACE_NS
        overdue = []
        for flight in self.in_flight.values():  # in the order of deadlines: one timeout a stream
            if flight.deadline_ns > due_ns:
                break
            if flight.sent_ns:
                overdue.append(flight)
        for flight in overdue:
            self._lose(flight, f"no answer within {self._stream.timeout_ms:,} ms")

    def _lose(self, flight: Flight, why: str) -> None:
        del self.in_flight[flight.id]
        if flight.sent_ns:
            self._ended(flight, Outcome.UNKNOWN, None, why)
        else:
            self._ended(flight, Outcome.FAILED, None, f"unsent: {why}")

    def _advance(self) -> None:
        self._at += 1
        while self._at >= len(self._ready):
            part = next(self._due, None)
            if part is None:
                self._next = None
                return
            position = np.arange(self._drawn, self._drawn + len(part.number))
            self._drawn += len(position)
            rows = zip(
                part.intended_ns.tolist(),
                part.source.tolist(),
                part.target.tolist(),
                part.draw.tolist(),
                identifiers.ids(self._id_key, self._prefix, position),
                strict=True,
            )
            self._ready, self._at = [row for row in rows if row[0] < self._stop_ns], 0
        self._next = self._ready[self._at]

    def _make(self) -> tuple[Request, Flight] | None:
        assert self._next is not None
        draw, flight = self._next[3], self._flight(self._next)
        self._advance()
        if len(self.in_flight) >= IN_FLIGHT_MAX:
            self._ended(
                flight, Outcome.FAILED, None, f"unsent: {IN_FLIGHT_MAX:,} operations were in flight"
            )
            return None
        to = self._target(flight, draw)
        if self._spec.to is Address.STORED_KEY and to is None:
            self._ended(flight, Outcome.FAILED, None, NO_KEY)
            return None
        self.in_flight[flight.id] = flight
        payload = self._payload(flight)
        return Request(flight.id, flight.operation, to, payload, self._stream.timeout_ms), flight

    def _flight(self, row: Row) -> Flight:
        intended_ns, source, target, _, id_ = row
        return Flight(
            id_,
            self.operation,
            source,
            target,
            self._payload_bytes,
            intended_ns,
            intended_ns + self._timeout_ns,
        )

    def _target(self, flight: Flight, draw: int) -> bytes | None:
        match self._spec.to:
            case Address.NODE:
                return self._wire_ids[flight.target]
            case Address.STORED_KEY | Address.NEW_KEY:
                flight.key = self._key(flight, draw)
                return flight.key
            case Address.NOBODY:
                return None

    def _key(self, flight: Flight, draw: int) -> bytes | None:
        if self._stream.keys is not None:
            return shared_key(self._prefix[:SALT_BYTES], draw % self._stream.keys)
        if self._spec.to is Address.NEW_KEY:
            return key_of(flight.id)
        return self._keys.pick(draw, flight.source)

    def _payload(self, flight: Flight) -> bytes | None:
        if self._spec.payload is None:
            return None
        if self._spec.payload.by_size:
            return flight.payload_bytes.to_bytes(8, "little")
        payload = flight.id + self._tail
        return payload if self._payload_bytes >= ID_BYTES else payload[: self._payload_bytes]
