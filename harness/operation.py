"""What load asks of a node, and how it ended. The numbers stand in run folders and on control
sockets: they never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Operation(IntEnum):
    """The operations of the load, by the names that files use (``private_message``, …)."""

    PRIVATE_MESSAGE = 1
    BROADCAST = 2
    DHT_PUT = 3
    DHT_GET = 4
    DHT_LOOKUP = 5
    FILE_TRANSFER = (
        6  # payload: the size in bytes, u64 little-endian; the node makes the bytes itself
    )
    CONNECT = 7  # a new authenticated connection to the target, closed again
    DHT_LISTEN = 8  # a value put where the target listens, reported by the target

    @property
    def word(self) -> str:
        """The name in files, tables and Locust: ``private_message``."""
        return self.name.lower()


class Outcome(IntEnum):
    """How an operation ended. UNKNOWN is not FAILED: it may have happened."""

    OK = 0
    FAILED = 1
    UNKNOWN = 2


@dataclass(slots=True)
class Request:
    """One operation to send. Mutable and slim on purpose: ten thousand a second are made."""

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
    done_ns: int  # CLOCK_MONOTONIC at which it was done (private message: the receiver's own stamp)
    error: str | None = None
    hops: int = -1
    answered_by: bytes | None = None  # DHT get: wire id of the node that had the value
    sent_ns: int = (
        0  # CLOCK_MONOTONIC at which a gateway passed it to the node; 0: there is no gateway
    )
