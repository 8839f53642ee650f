"""One iterative lookup (§2.3 of the paper) as a state machine: who to ask next, who answered, when
it is over.
"""

import bisect
import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from meshnode.dht.contact import Contact

ALWAYS_ASKED = 7  # of the nearest: nobody is spared among them, else lost datagrams cost values


class _State(enum.Enum):
    KNOWN = enum.auto()  # not asked yet
    ASKED = enum.auto()
    LATE = enum.auto()  # asked again: still waited for, another is asked meanwhile
    ANSWERED = enum.auto()
    FAILED = enum.auto()


@dataclass(slots=True)
class _Candidate:
    contact: Contact
    hop: int
    state: _State = _State.KNOWN


class Lookup:
    """Finds the nodes nearest to `target` (a position), at most `alpha` waited for at a time.

    It is over when the `width` nearest of all seen, the failed ones left out, have answered.
    Whatever the answers say, it asks at most `max_requests` nodes. Of those that are `spared`, only
    the nearest are asked: what the others could tell, these do.
    """

    def __init__(self, target: int, *, width: int, alpha: int, start: Iterable[Contact]) -> None:
        self.max_requests = 8 * width + 64
        self.requests = 0
        self.spared: Callable[[Contact], bool] | None = None
        self._target = target
        self._width = width
        self._alpha = alpha
        self._waiting = 0  # how many are ASKED
        self._late = 0  # how many are LATE
        self._candidates: dict[bytes, _Candidate] = {}
        # by distance, without the failed
        self._order: list[tuple[int, bytes, _Candidate]] = []
        self._add(start, hop=1)

    def due(self) -> list[Contact]:
        """The contacts to ask now; they count as asked from here on."""
        due: list[Contact] = []
        for candidate in self._wanted():
            if self._waiting >= self._alpha or self.requests >= self.max_requests:
                break
            if candidate.state is _State.KNOWN:
                candidate.state = _State.ASKED
                self._waiting += 1
                self.requests += 1
                due.append(candidate.contact)
        return due

    def answered(self, contact: Contact, told: Iterable[Contact] = ()) -> None:
        """`contact` answered, and told about others."""
        candidate = self._settle(contact, _State.ANSWERED)
        self._add(told, hop=candidate.hop + 1)

    def late(self, contact: Contact) -> None:
        """`contact` has not answered in time and is asked again."""
        self._settle(contact, _State.LATE)

    def failed(self, contact: Contact) -> None:
        """`contact` will not answer."""
        self._settle(contact, _State.FAILED)
        del self._order[bisect.bisect_left(self._order, self._place(contact))]

    @property
    def done(self) -> bool:
        """Whether nobody is left to ask or to wait for."""
        may_ask = self.requests < self.max_requests
        return not any(
            candidate.state is not _State.ANSWERED
            and (may_ask or candidate.state is not _State.KNOWN)
            for candidate in self._wanted()
        )

    def closest(self, count: int) -> list[Contact]:
        """The nearest `count` of those that answered, nearest first."""
        return [candidate.contact for candidate in self._answered()][:count]

    @property
    def found(self) -> int:
        """How many answered."""
        return len(self._answered())

    def hops_to(self, contact: Contact) -> int:
        """Length of the chain of referrals that led to `contact`; 1 for those known at the
        start.
        """
        return self._candidates[contact.id].hop

    def _wanted(self) -> Iterator[_Candidate]:
        """Whose answers are wanted: the `width` nearest, and one more for each late one, so that
        substitutes are asked meanwhile; without the spared.
        """
        spared = self.spared
        window = self._order[: self._width + self._late]
        for index, (_, _, candidate) in enumerate(window):
            is_spared = (
                spared is not None
                and index >= ALWAYS_ASKED
                and candidate.state is _State.KNOWN
                and spared(candidate.contact)
            )
            if not is_spared:
                yield candidate

    def _answered(self) -> list[_Candidate]:
        return [candidate for *_, candidate in self._order if candidate.state is _State.ANSWERED]

    def _place(self, contact: Contact) -> tuple[int, bytes]:
        return (contact.position ^ self._target, contact.id)

    def _settle(self, contact: Contact, state: _State) -> _Candidate:
        candidate = self._candidates[contact.id]
        self._waiting -= candidate.state is _State.ASKED
        self._late += (state is _State.LATE) - (candidate.state is _State.LATE)
        candidate.state = state
        return candidate

    def _add(self, contacts: Iterable[Contact], hop: int) -> None:
        for contact in contacts:
            if contact.id not in self._candidates:
                candidate = self._candidates[contact.id] = _Candidate(contact, hop)
                bisect.insort(self._order, (*self._place(contact), candidate))
