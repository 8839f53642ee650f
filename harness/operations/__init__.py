"""Operations are what load asks of a node, and how it ended.

One file an operation, one row in TABLE.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import EnumMeta, IntEnum
from typing import TYPE_CHECKING

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
_BY_NUMBER = {spec.number: spec for spec in TABLE}


class _Members(EnumMeta):
    """Tells the type checker that the members, which only TABLE names, are Operations."""

    if TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Operation: ...


class Operation(IntEnum, metaclass=_Members):
    """The operations of the load: a member for each row of TABLE, ``Operation.PRIVATE_MESSAGE``."""

    _ignore_ = "spec_of_row"
    for spec_of_row in TABLE:
        vars()[spec_of_row.word.upper()] = spec_of_row.number

    @property
    def spec(self) -> OperationSpec:
        """The operation's row of TABLE."""
        return _BY_NUMBER[self.value]

    @property
    def word(self) -> str:
        """The operation's name in files, tables and Locust: ``private_message``."""
        return self.spec.word


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
