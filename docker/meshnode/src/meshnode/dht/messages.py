"""The bodies of the DHT's datagrams: kinds, limits, writing, and reading with every check."""

import enum
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from meshnode.dht.contact import COMPACT_BYTES, ID_BYTES, Contact, pack_contacts, unpack_contacts
from meshnode.dht.dht_pb2 import Answer as WireAnswer
from meshnode.dht.dht_pb2 import Request as WireRequest

# with key, envelope and signature a datagram stays below 1400 bytes, so below every usual MTU
MAX_VALUE_BYTES = 1000
MAX_CONTACTS = 30  # in one answer; the same limit of one datagram


class Kind(enum.IntEnum):
    """What a datagram is. Requests are odd, an answer is one of `ANSWERS_TO` its request."""

    PING = 1
    PONG = 2
    FIND_NODE = 3
    NODES = 4
    FIND_VALUE = 5
    VALUE = 6
    STORE = 7
    STORED = 8


_KINDS: dict[int, Kind] = {int(kind): kind for kind in Kind}

ANSWERS_TO = {
    Kind.PING: (Kind.PONG,),
    Kind.FIND_NODE: (Kind.NODES,),
    Kind.FIND_VALUE: (Kind.VALUE, Kind.NODES),
    Kind.STORE: (Kind.STORED,),
}


class MalformedBody(ValueError):  # noqa: N818 - says what was found, as the counter `dropped_malformed` does
    """A datagram's body that is not what its kind says; the caller counts it and drops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What another node asks: `target` is a position (FIND_NODE), a key (FIND_VALUE, STORE) or
    empty (PING).
    """

    kind: Kind
    number: int
    target: bytes = b""
    value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What another node answered: `contacts` in NODES, `value` in VALUE."""

    kind: Kind
    number: int
    contacts: tuple[Contact, ...] = ()
    value: bytes | None = None


def write_request(request: Request) -> bytes:
    """The body of a request."""
    return WireRequest(
        number=request.number, target=request.target, value=request.value
    ).SerializeToString()


def write_answer(answer: Answer) -> bytes:
    """The body of an answer."""
    contacts = pack_contacts(answer.contacts)
    return WireAnswer(
        number=answer.number, contacts=contacts, value=answer.value
    ).SerializeToString()


def read(kind: int, body: bytes) -> Request | Answer:
    """The request or answer in a body. Raises MalformedBody for anything else, whatever the bytes
    are.
    """
    known = _KINDS.get(kind)
    if known is None:
        raise MalformedBody(f"no DHT message has the kind {kind}")
    try:
        return _read_request(known, body) if known in ANSWERS_TO else _read_answer(known, body)
    except (DecodeError, ValueError) as error:
        raise MalformedBody(f"{known.name}: {error}") from error


def _read_request(kind: Kind, body: bytes) -> Request:
    wire = WireRequest.FromString(body)
    _expect_bytes("target", wire.target, 0 if kind is Kind.PING else ID_BYTES)
    value = _value(wire, expected=kind is Kind.STORE)
    return Request(kind=kind, number=wire.number, target=wire.target, value=value)


def _read_answer(kind: Kind, body: bytes) -> Answer:
    wire = WireAnswer.FromString(body)
    if kind is not Kind.NODES:
        _expect_bytes("contacts", wire.contacts, 0)
    if len(wire.contacts) > MAX_CONTACTS * COMPACT_BYTES:
        raise ValueError(
            f"an answer has at most {MAX_CONTACTS} contacts, these take {len(wire.contacts)} bytes"
        )
    value = _value(wire, expected=kind is Kind.VALUE)
    return Answer(
        kind=kind, number=wire.number, contacts=tuple(unpack_contacts(wire.contacts)), value=value
    )


def _value(wire: WireRequest | WireAnswer, *, expected: bool) -> bytes | None:
    present = wire.HasField("value")
    if present != expected:
        raise ValueError("a value is missing" if expected else "a value where none belongs")
    if len(wire.value) > MAX_VALUE_BYTES:
        raise ValueError(f"a value has at most {MAX_VALUE_BYTES} bytes, this one {len(wire.value)}")
    return wire.value if present else None


def _expect_bytes(name: str, data: bytes, length: int) -> None:
    if len(data) != length:
        raise ValueError(f"{name} has {length} bytes, this one {len(data)}")
