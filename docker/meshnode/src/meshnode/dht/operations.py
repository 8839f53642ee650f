"""What a caller can ask of the DHT: each operation is one lookup and what follows it, as a state
machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from meshnode.dht.contact import Contact
from meshnode.dht.lookup import Lookup
from meshnode.dht.messages import Answer, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How an operation ended.

    `error`: one sentence where not `ok`. `hops`: length of the chain of referrals (contacts known
    at the start are hop 1) to the node that returned the value, else to the closest node found; 0
    where none answered. `found`: nodes that answered. `closest`: the k nearest of them, nearest
    first, never this node itself. `stored`: other nodes that acknowledged a put. `value_from`: id
    of the node that returned `value`.
    """

    operation: int
    ok: bool
    error: str | None = None
    hops: int = 0
    found: int = 0
    closest: tuple[Contact, ...] = ()
    stored: int = 0
    value: bytes | None = None
    value_from: bytes | None = None


class Ask(NamedTuple):
    """A request that an operation wants sent. `follow_up`: it belongs to what follows the
    lookup.
    """

    contact: Contact
    kind: Kind
    target: bytes
    value: bytes | None = None
    follow_up: bool = False


class Operation:
    """A plain lookup, and the frame of the others: ask what `asks` says, tell what came of it, read
    `result`.
    """

    question = Kind.FIND_NODE
    patience = 1  # times as long as usual an answer is waited for

    def __init__(self, number: int, lookup: Lookup, target: bytes, k: int) -> None:
        """`target` is what the question carries: a position, or a key for FIND_VALUE."""
        self.number = number
        self.result: Finished | None = None
        self.lookup = lookup
        self.k = k
        self._target = target
        self._pending: int | None = None  # follow-ups without an outcome; None during the lookup
        self._acknowledged = 0

    def asks(self) -> list[Ask]:
        """The requests to send now. Sets `result` when there is nothing left to send or to wait
        for.
        """
        if self._pending is None:
            asks = [Ask(contact, self.question, self._target) for contact in self.lookup.due()]
            if not self.lookup.done:
                return asks
            asks = self._follow_up() if self.lookup.found else []
            self._pending = len(asks)
            if asks:
                return asks
        if self._pending == 0 and self.result is None:
            self.result = self._conclude(self._acknowledged)
        return []

    def answered(self, ask: Ask, answer: Answer) -> None:
        """The node asked has answered."""
        if ask.follow_up:
            self._settle_follow_up(acknowledged=True)
        else:
            self.lookup.answered(ask.contact, answer.contacts)

    def late(self, ask: Ask) -> None:
        """The node asked has not answered in time and is asked again."""
        if not ask.follow_up:
            self.lookup.late(ask.contact)

    def failed(self, ask: Ask) -> None:
        """The node asked will not answer."""
        if ask.follow_up:
            self._settle_follow_up(acknowledged=False)
        else:
            self.lookup.failed(ask.contact)

    def _settle_follow_up(self, *, acknowledged: bool) -> None:
        assert self._pending, "a follow-up settles once"
        self._pending -= 1
        self._acknowledged += acknowledged

    def _follow_up(self) -> list[Ask]:
        return []

    def _conclude(self, acknowledged: int) -> Finished:
        """The result; `acknowledged` follow-ups were answered."""
        del acknowledged
        return self._finish(None if self.lookup.found else self._nobody())

    def _nobody(self) -> str:
        asked = self.lookup.requests
        return (
            f"none of the {asked} nodes asked answered"
            if asked
            else "no contact is known to start from"
        )

    def _finish(self, error: str | None, *, stored: int = 0) -> Finished:
        closest = self.lookup.closest(self.k)
        return Finished(
            operation=self.number,
            ok=error is None,
            error=error,
            hops=self.lookup.hops_to(closest[0]) if closest else 0,
            found=self.lookup.found,
            closest=tuple(closest),
            stored=stored,
        )


class Get(Operation):
    """FIND_VALUE until the first node returns the value."""

    question = Kind.FIND_VALUE

    def answered(self, ask: Ask, answer: Answer) -> None:
        """The node asked has answered, perhaps with the value."""
        super().answered(ask, answer)
        if answer.kind is Kind.VALUE:
            self.result = Finished(
                operation=self.number,
                ok=True,
                hops=self.lookup.hops_to(ask.contact),
                found=self.lookup.found,
                closest=tuple(self.lookup.closest(self.k)),
                value=answer.value,
                value_from=ask.contact.id,
            )

    def _conclude(self, acknowledged: int) -> Finished:
        del acknowledged
        found = self.lookup.found
        return self._finish(
            f"none of the {found} nodes that answered has a value for this key"
            if found
            else self._nobody()
        )


class Put(Operation):
    """A lookup, then STORE at the k closest found."""

    def __init__(
        self, number: int, lookup: Lookup, target: bytes, k: int, *, key: bytes, value: bytes
    ) -> None:
        super().__init__(number, lookup, target, k)
        self.key = key
        self.value = value

    def _follow_up(self) -> list[Ask]:
        return [
            Ask(contact, Kind.STORE, self.key, self.value, follow_up=True)
            for contact in self.lookup.closest(self.k)
        ]

    def _conclude(self, acknowledged: int) -> Finished:
        if not self.lookup.found:
            return self._finish(self._nobody())
        asked = len(self.lookup.closest(self.k))
        error = (
            None
            if acknowledged
            else f"none of the {asked} nodes asked to store the value acknowledged it"
        )
        return self._finish(error, stored=acknowledged)


class Join(Operation):
    """A lookup of this node itself, then one question for each bucket that has room (§2.3,
    "refreshes all k-buckets"). Nobody waits for it; and where many nodes start at once answers are
    late, of which repetitions would make more.
    """

    patience = 2

    def __init__(
        self,
        number: int,
        lookup: Lookup,
        target: bytes,
        k: int,
        *,
        refresh: Callable[[], list[tuple[Contact, bytes]]],
    ) -> None:
        super().__init__(number, lookup, target, k)
        self._refresh = refresh

    def _follow_up(self) -> list[Ask]:
        return [
            Ask(contact, Kind.FIND_NODE, position, follow_up=True)
            for contact, position in self._refresh()
        ]
