"""The wire: BaseMessage to bytes and back with every check, signatures, frames on links, sealed
datagrams.

Sans-IO: bytes and times in, bytes and messages out. Whatever the bytes are, reading raises nothing
but `Dropped`.
"""

import enum
import os
import struct
from typing import NamedTuple

from google.protobuf.message import DecodeError
from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from meshnode.base_pb2 import BaseMessage
from meshnode.identity import Identity
from meshnode.replay import ReplayCache

VERSION = 1
ID_BYTES = 16
NODE_ID_BYTES = 32
SIGNATURE_BYTES = 64
MAX_ENVELOPE_BYTES = 256  # what BaseMessage adds to its payload, generously
MAX_DATAGRAM_BYTES = 1400  # below every usual MTU: a datagram is never fragmented
MAX_TTL = 65535  # dedup ends a broadcast; this bounds only what a forger can do
WINDOW_NS = 30 * 10**9

_DOMAIN = b"meshnode/1 message\0"
_FIXED = struct.Struct(">BIQ16s32sB")
_LENGTH = struct.Struct(">I")


class Type(enum.IntEnum):
    """What a message is. DHT datagrams are `DHT` + their kind."""

    HELLO = 1
    PRIVATE = 2
    ACKNOWLEDGE = 3
    BROADCAST = 4
    I_HAVE = 5
    I_WANT = 6
    ROUTE_REQUEST = 7
    ROUTE_REPLY = 8
    ROUTE_ERROR = 9
    RECEIPT = 10
    FILE_OFFER = 11
    FILE_WANT = 12
    FILE_CHUNK = 13
    FILE_GOT = 14
    FILE_END = 15
    FILE_DONE = 16
    DHT = 32


class Drop(enum.StrEnum):
    """Why a frame or datagram was dropped: the names of the counters in `health`, numbered in the
    journal's `outcome`.
    """

    MALFORMED = "dropped_malformed"
    OVERSIZED = "dropped_oversized"
    REPLAYED = "dropped_replayed"
    BAD_SIGNATURE = "dropped_bad_signature"
    NOT_FOR_US = "dropped_not_for_us"
    UNKNOWN_VERSION = "dropped_unknown_version"
    NO_ROUTE = "dropped_no_route"
    RATE = "dropped_rate"


class Dropped(Exception):  # noqa: N818 - a verdict on input, not a fault of the program
    """A frame or datagram that is not to be acted on."""

    def __init__(self, reason: Drop, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason


class Message(NamedTuple):
    """A BaseMessage whose fields have their right lengths. `timestamp_ns` is the origin's wall
    clock.
    """

    type: int
    id: bytes
    source: bytes
    target: bytes = b""
    timestamp_ns: int = 0
    ttl: int = 0
    hops: int = 0
    payload: bytes = b""
    signature: bytes = b""


def encode(message: Message) -> bytes:
    """The protobuf form."""
    return _packed(message, message.signature)


def _packed(message: Message, signature: bytes) -> bytes:
    return BaseMessage(
        version=VERSION,
        type=message.type,
        id=message.id,
        source=message.source,
        target=message.target,
        timestamp_ns=message.timestamp_ns,
        ttl=message.ttl,
        hops=message.hops,
        payload=message.payload,
        signature=signature,
    ).SerializeToString()


def decode(data: bytes) -> Message:
    """The message in `data`, its signature not yet verified. Raises Dropped."""
    try:
        wire = BaseMessage.FromString(data)
    except DecodeError as error:
        raise Dropped(Drop.MALFORMED, f"not a BaseMessage: {error}") from error
    if wire.version != VERSION:
        raise Dropped(Drop.UNKNOWN_VERSION, f"version {wire.version}, this node speaks {VERSION}")
    message = Message(
        wire.type,
        wire.id,
        wire.source,
        wire.target,
        wire.timestamp_ns,
        wire.ttl,
        wire.hops,
        wire.payload,
        wire.signature,
    )
    validate(message)
    return message


def validate(message: Message) -> None:
    """Raises Dropped unless every field has its right length."""
    if (
        len(message.id) != ID_BYTES
        or len(message.source) != NODE_ID_BYTES
        or len(message.target) not in {0, NODE_ID_BYTES}
        or len(message.signature) not in {0, SIGNATURE_BYTES}
    ):
        raise Dropped(Drop.MALFORMED, "a field has a wrong length")


def signing_input(message: Message) -> bytes:
    """What the signature covers: a domain string and every field but `ttl`, `hops` and the
    signature.

    A layout of fixed lengths rather than protobuf's, which may encode one message in several ways.
    """
    return b"".join(
        (
            _DOMAIN,
            _FIXED.pack(
                VERSION,
                message.type,
                message.timestamp_ns,
                message.id,
                message.source,
                len(message.target),
            ),
            message.target,
            message.payload,
        )
    )


def sign(message: Message, identity: Identity) -> Message:
    """The message with its origin's signature."""
    # `_replace` takes several times as long
    return Message(*message[:-1], _signature(message, identity))


def encode_signed(message: Message, identity: Identity) -> bytes:
    """The protobuf form of the message with its origin's signature."""
    return _packed(message, _signature(message, identity))


def _signature(message: Message, identity: Identity) -> bytes:
    return crypto_sign(signing_input(message), identity.secret_key)[:SIGNATURE_BYTES]


def verify(message: Message) -> None:
    """Raises Dropped unless `source` has signed the message."""
    if not message.signature:
        raise Dropped(Drop.BAD_SIGNATURE, "not signed")
    try:
        crypto_sign_open(message.signature + signing_input(message), message.source)
    except BadSignatureError as error:
        raise Dropped(Drop.BAD_SIGNATURE, f"not signed by {message.source.hex()[:16]}") from error


def frame(data: bytes) -> bytes:
    """`data` as one frame of a link: its length, u32 big-endian, before it."""
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Cuts a link's byte stream into frames of at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes; call again with nothing until there are none.

        Raises Dropped where the next frame is announced to be too long: the stream ends there,
        after the frames before it.
        """
        if self._rest:
            data = self._rest + data
        frames: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            if length > self._max_bytes:
                if frames:
                    break
                raise Dropped(
                    Drop.OVERSIZED, f"a frame of {length} bytes; at most {self._max_bytes} are read"
                )
            if end - at < _LENGTH.size + length:
                break
            at += _LENGTH.size
            frames.append(data[at : at + length])
            at += length
        self._rest = data[at:]
        return frames


class Opened(NamedTuple):
    """An authentic datagram that was not seen before."""

    source_id: bytes
    kind: int
    body: bytes


class Datagrams:
    """Signs and checks the datagrams of one node. Each names its receiver and carries a nonce
    (`id`) and a timestamp.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._replays = ReplayCache()

    def seal(self, kind: int, target_id: bytes, body: bytes, now_ns: int) -> bytes:
        """A signed datagram for `target_id`; `now_ns` is the wall clock."""
        message = Message(
            Type.DHT + kind,
            os.urandom(ID_BYTES),
            self._identity.node_id,
            target_id,
            now_ns,
            payload=body,
        )
        return encode_signed(message, self._identity)

    def open(self, datagram: bytes, now_ns: int) -> Opened:
        """What an authentic datagram says. `now_ns` is the wall clock. Raises Dropped.

        The signature comes last, it costs most; only what passed it is remembered, so nobody can
        fill the cache with forgeries.
        """
        if len(datagram) > MAX_DATAGRAM_BYTES:
            raise Dropped(
                Drop.OVERSIZED,
                f"a datagram of {len(datagram)} bytes; at most {MAX_DATAGRAM_BYTES} are read",
            )
        message = decode(datagram)
        if message.type <= Type.DHT:
            raise Dropped(Drop.MALFORMED, f"type {message.type} is no datagram")
        if message.target != self._identity.node_id:
            raise Dropped(Drop.NOT_FOR_US, "for another node")
        if abs(now_ns - message.timestamp_ns) > WINDOW_NS:
            raise Dropped(
                Drop.REPLAYED, f"stamped {(now_ns - message.timestamp_ns) / 1e9:.1f} s ago"
            )
        key = message.source[:8] + message.id
        if key in self._replays:
            raise Dropped(Drop.REPLAYED, "seen before")
        verify(message)
        self._replays.add(key, now_ns)
        return Opened(message.source, message.type - Type.DHT, message.payload)
