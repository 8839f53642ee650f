"""The port of all operations: what the harness knows of one to drive it, judge it and tell of it.

Each file of an operation holds one `OperationSpec`; Locust's options and users, the schedule, the
generic metrics, the ledger, the reports and the docs come from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, StrEnum

from harness.operations.records import RecordKind

ID_BYTES = 16  # of an operation; payloads begin with its id
PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
# So long may it take until what its sender calls done is with all who are to have it.
SPREADING_NS = 2_000_000_000
# What the record says of a read that was not sent, for nothing was there that it could have read.
NO_KEY = "unsent: no acknowledged key of another node to read yet"


class Address(Enum):
    """Whom an operation is addressed to."""

    NODE = "node"  # its wire id: the one that the stream names, else a random other one
    STORED_KEY = "stored key"  # a key that another node put and that was acknowledged
    NEW_KEY = "new key"  # a key of its own; once acknowledged, it is a stored key
    NOBODY = "nobody"  # or everybody: the node itself knows whom


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What an operation carries, and the option of Locust's command line that gives its size.

    With `by_size` only the size travels to the node (u64, little-endian): the node makes the bytes.
    """

    option: str  # payload_bytes is --payload-bytes and HARNESS_PAYLOAD_BYTES
    sentence: str
    default_bytes: int
    most_bytes: int = PAYLOAD_BYTES_MAX
    by_size: bool = False


MESSAGE = Payload(option="payload_bytes", sentence="size of messages and values", default_bytes=256)


def key_of(id_: bytes) -> bytes:
    """Return the key (32 bytes) that the operation of this id puts a value under."""
    return hashlib.sha256(id_).digest()


def shared_key(salt: bytes, number: int) -> bytes:
    """Return the key (32 bytes) of this number that the operations of a run share."""
    return hashlib.sha256(b"shared key" + salt + number.to_bytes(8, "little")).digest()


def may_be_of(key: bytes, value: bytes) -> bool:
    """Whether a value that a get returned can be what was put under its key: it begins with the id
    that the key is made of. A value shorter than an id shows nothing.
    """
    return len(value) < ID_BYTES or key_of(value[:ID_BYTES]) == key


class Witness(Enum):
    """Who must have seen an operation that its sender calls done, and how its record is found."""

    TARGET = "target"  # by the operation's id: one record of the target, none of another node
    EVERY_OTHER_NODE = "every other node"  # by its id: a record of each node but the source
    KEEPER = "keeper"  # by its key: a record of a node that is not the source
    # A record that names the source, between sending and end, of the node that ...
    ANSWERER = "answerer"  # ... the answer names, and that is not the asker
    PEER = "peer"  # ... is the target


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the delivery ledger holds an operation to.

    `finding` names its finding; ``{others}`` in it stands for the number of other nodes.
    `counted` says which records were counted, to stand after the word "counted".
    """

    finding: str
    witness: Witness
    record: RecordKind  # of the witness's journal
    counted: str
    content: RecordKind | None = None  # a record of both ends, which tells what they held


class Taken(StrEnum):
    """How a generic metric is taken from an operation's columns; the value is its kind."""

    LATENCY = "time"  # the later of done and its witness's record − intended; infinite: not OK
    SHARE = "share"  # 1 where it ended OK, else 0
    HOPS = "number"  # hops of what ended OK and said them


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationMetric:
    """A generic metric: ``<word of the operation>.<suffix>`` in a budget's row."""

    suffix: str
    taken: Taken
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSpec:
    """One operation.

    Its number and word stand in run folders, its number on control sockets too: they never change.
    """

    number: int  # 1 to 255: the column has eight bits
    word: str  # in files, tables, options and user classes: private_message
    sentence: str  # of the traffic, for people: the docstring of its Locust user
    to: Address
    rate_per_s: float  # in a plain `locust` run; 0: only when asked for
    payload: Payload | None = None
    ledger: Ledger | None = None
    metrics: tuple[OperationMetric, ...] = ()
    # Whether its sender ends it when its time is over: what was slow is then never seen to come.
    is_given_up: bool = False

    @property
    def ends_with_its_sender(self) -> bool:
        """Whether nothing more comes of it once its sender has ended it, for its time was over: a
        put, too, though one that was slow may have been stored by then.
        """
        is_put = self.ledger is not None and self.ledger.witness is Witness.KEEPER
        return self.is_given_up or is_put

    @property
    def arrives_later(self) -> bool:
        """Whether its sender may call it done before those who are to have it do: who answers, and
        the peer of a connection, know of it by then.
        """
        witness = self.ledger.witness if self.ledger is not None else Witness.ANSWERER
        return witness not in (Witness.ANSWERER, Witness.PEER)
