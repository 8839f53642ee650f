"""Operations are what load asks of a node, and how it ended.

One file an operation, one row in TABLE; a system's own are in no table (own.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

from harness.operations import (
    broadcast,
    connect,
    dht_get,
    dht_listen,
    dht_lookup,
    dht_put,
    file_transfer,
    private_message,
)
from harness.operations.operation import OperationSpec

TABLE: tuple[OperationSpec, ...] = (
    private_message.SPEC,
    broadcast.SPEC,
    dht_put.SPEC,
    dht_get.SPEC,
    dht_lookup.SPEC,
    file_transfer.SPEC,
    connect.SPEC,
    dht_listen.SPEC,
)
OWN_FIRST, OWN_LAST = 64, 255  # numbers of operations of systems' own


class _Members(type):
    """Gives the class its members, one for each row of TABLE: those that every system may have."""

    _by_number: dict[int, Operation]

    def __iter__(cls) -> Iterator[Operation]:
        return iter(cls._by_number.values())

    def __len__(cls) -> int:
        return len(cls._by_number)

    def __contains__(cls, one: object) -> bool:
        return one in tuple(cls)

    def __getitem__(cls, name: str) -> Operation:
        """Return the member of that name: ``Operation["DHT_GET"]``. Raises KeyError."""
        return {each.name: each for each in cls}[name]

    if TYPE_CHECKING:  # the type checker cannot know what TABLE names

        def __getattr__(cls, name: str) -> Operation: ...


class Operation(int, metaclass=_Members):
    """An operation of the load: its number, and all that is known of it.

    The members are those of TABLE, ``Operation.PRIVATE_MESSAGE``; what a system has besides is made
    by `of`. Which there are is a matter of one system and of one run: two of them may have
    different operations of one number, which are not equal.
    """

    spec: OperationSpec
    _by_number: ClassVar[dict[int, Operation]] = {}

    def __new__(cls, number: int) -> Operation:  # noqa: PYI034 - of a number there is one
        """Return the member of that number. Raises ValueError."""
        if isinstance(number, Operation):
            return number
        if number not in cls._by_number:
            raise ValueError(f"{number!r} is no operation of the table")
        return cls._by_number[number]

    @classmethod
    def of(cls, spec: OperationSpec) -> Operation:
        """Make the operation of a spec."""
        made = super().__new__(cls, spec.number)
        made.spec = spec
        return made

    @property
    def word(self) -> str:
        """The operation's name in files, tables and Locust: ``private_message``."""
        return self.spec.word

    @property
    def name(self) -> str:
        """Its name as a member: ``PRIVATE_MESSAGE``."""
        return self.spec.word.upper()

    @property
    def is_own(self) -> bool:
        """Whether it is of one system, and in no table."""
        return self >= OWN_FIRST

    def __eq__(self, other: object) -> bool:
        """Whether it is that operation, or that number."""
        same = int(self) == other
        return same and (not isinstance(other, Operation) or self.spec == other.spec)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(int(self))

    def __str__(self) -> str:
        return str(int(self))

    def __repr__(self) -> str:
        return f"<Operation {self.word}: {int(self)}>"

    def __reduce__(self) -> tuple[Callable[[OperationSpec], Operation], tuple[OperationSpec]]:
        return _of, (self.spec,)

    def __copy__(self) -> Operation:
        return self

    def __deepcopy__(self, _: object) -> Operation:
        return self


def _of(spec: OperationSpec) -> Operation:
    """Make an operation of a spec, or take the one that the table has."""
    known = Operation._by_number.get(spec.number)
    return Operation.of(spec) if known is None else known


Operation._by_number.update({spec.number: Operation.of(spec) for spec in TABLE})
for _each in Operation:
    setattr(Operation, _each.name, _each)


class Outcome(IntEnum):
    """How an operation ended. UNKNOWN is not FAILED: it may have happened."""

    OK = 0
    FAILED = 1
    UNKNOWN = 2


@dataclass(slots=True)
class Request:
    """One operation to send. Mutable and slim on purpose: ten thousand are made a second."""

    id: bytes  # 16 bytes
    operation: Operation
    target: bytes | None  # wire id of a node, or DHT key (32 bytes)
    payload: bytes | None
    timeout_ms: int


@dataclass(slots=True)
class Response:
    """What the node said of one operation."""

    id: bytes
    outcome: Outcome
    done_ns: int  # CLOCK_MONOTONIC; of a private message the receiver's own stamp
    error: str | None = None
    hops: int = -1
    answered_by: bytes | None = None  # DHT get: wire id of the node that had the value
    sent_ns: int = 0  # CLOCK_MONOTONIC at which a gateway passed it on; 0: there is no gateway
    value: bytes | None = None  # DHT get: what it returned, at least its beginning; None: not told
