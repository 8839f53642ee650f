"""Requests under way: whose answer is awaited until when, and repetitions."""

import heapq
import random
from dataclasses import dataclass, field

from meshnode.dht.messages import ANSWERS_TO, Answer
from meshnode.dht.operations import Ask, Operation

# Above the pauses of a busy host: a needless repetition costs two signatures.
MIN_TIMEOUT_NS = 200 * 10**6
MAX_TIMEOUT_NS = 10**9
ATTEMPTS = 3
_ATTEMPT_BITS = (
    2  # a number's lowest bits on the wire say which attempt it is: each answer gives a true time
)
_ATTEMPT_MASK = (1 << _ATTEMPT_BITS) - 1


class RoundTrip:
    """How long to wait for an answer, from the times answers took (RFC 6298: smoothed mean + 4
    smoothed deviations).

    One for all nodes, since most are asked once; 1 s before the first answer, 0.2 to 1 s after.
    """

    def __init__(self) -> None:
        self._mean_ns: float | None = None
        self._deviation_ns = 0.0

    def observe(self, took_ns: int) -> None:
        """An answer came `took_ns` after the attempt that it answers."""
        if self._mean_ns is None:
            self._mean_ns, self._deviation_ns = float(took_ns), took_ns / 2
            return
        self._deviation_ns += (abs(took_ns - self._mean_ns) - self._deviation_ns) / 4
        self._mean_ns += (took_ns - self._mean_ns) / 8

    def timeout_ns(self, attempt: int) -> int:
        """How long to wait for the answer to attempt 1, 2, …: doubled each time, never above
        `MAX_TIMEOUT_NS`.
        """
        if self._mean_ns is None:
            return MAX_TIMEOUT_NS
        first_ns = max(MIN_TIMEOUT_NS, int(self._mean_ns + 4 * self._deviation_ns))
        return min(MAX_TIMEOUT_NS, first_ns << (attempt - 1))


@dataclass(slots=True)
class Pending:
    """A request without an answer yet. `operation` is None for a ping that tests a bucket's oldest
    contact.
    """

    base: int
    ask: Ask
    operation: Operation | None
    sent_ns: list[int] = field(default_factory=list)  # one for each attempt

    @property
    def number(self) -> int:
        """The number on the wire of the latest attempt."""
        return self.base | len(self.sent_ns)


class Requests:
    """The requests under way."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._round_trip = RoundTrip()
        self._pending: dict[int, Pending] = {}
        # A heap of (deadline_ns, base); answered ones leave when on top.
        self._deadlines: list[tuple[int, int]] = []

    def open(self, ask: Ask, operation: Operation | None, now_ns: int) -> Pending:
        """Begin to wait for an answer."""
        pending = Pending(
            self._rng.getrandbits(64 - _ATTEMPT_BITS) << _ATTEMPT_BITS, ask, operation
        )
        self.await_again(pending, now_ns)
        return pending

    def await_again(self, pending: Pending, now_ns: int) -> None:
        """Wait (once more) for the answer to any attempt."""
        pending.sent_ns.append(now_ns)
        self._pending[pending.base] = pending
        patience = pending.operation.patience if pending.operation is not None else 1
        deadline_ns = now_ns + patience * self._round_trip.timeout_ns(len(pending.sent_ns))
        heapq.heappush(self._deadlines, (deadline_ns, pending.base))

    def match(self, source_id: bytes, answer: Answer, now_ns: int) -> Pending | None:
        """The request that this answers, which is then settled; None where this node was not asked
        that.
        """
        attempt = answer.number & _ATTEMPT_MASK
        pending = self._pending.get(answer.number - attempt)
        if (
            pending is None
            or pending.ask.contact.id != source_id
            or answer.kind not in ANSWERS_TO[pending.ask.kind]
        ):
            return None
        if not 1 <= attempt <= len(pending.sent_ns):
            return None
        self._round_trip.observe(now_ns - pending.sent_ns[attempt - 1])
        return self._pending.pop(pending.base)

    def overdue(self, now_ns: int) -> list[Pending]:
        """Take out the requests whose time is over."""
        overdue = []
        while (deadline_ns := self.next_deadline_ns()) is not None and deadline_ns <= now_ns:
            overdue.append(self._pending.pop(self._deadlines[0][1]))
        return overdue

    def next_deadline_ns(self) -> int | None:
        """When the next request's time is over."""
        while self._deadlines and self._deadlines[0][1] not in self._pending:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None
