"""Whatever the bytes are, the parsers of the wire answer with a message or a named reason;
forgeries never pass.
"""

import contextlib
import random
import ssl

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from meshnode.gossip import KEY_BYTES, Gossip
from meshnode.identity import Identity, key_of_certificate
from meshnode.link import pack_hello, unpack_hello
from meshnode.private import Private
from meshnode.wire import (
    WINDOW_NS,
    Datagrams,
    Drop,
    Dropped,
    FrameReader,
    Message,
    Type,
    decode,
    encode,
    frame,
    sign,
    verify,
)

ALICE, BOB, EVE = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
NOW_NS = 1_700_000_000 * 10**9


def reason_of(call) -> Drop | None:
    try:
        call()
    except Dropped as drop:
        return drop.reason
    return None


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_dropped(data: bytes) -> None:
    assert reason_of(lambda: decode(data)) in {None, Drop.MALFORMED, Drop.UNKNOWN_VERSION}
    assert reason_of(lambda: Datagrams(BOB).open(data, NOW_NS)) is not None


@given(payload=st.binary(max_size=300), at=st.integers(0), flip=st.integers(1, 255))
def test_a_mutated_datagram_never_says_anything_else(payload: bytes, at: int, flip: int) -> None:
    sealed = bytearray(Datagrams(ALICE).seal(3, BOB.node_id, payload, NOW_NS))
    sealed[at % len(sealed)] ^= flip
    try:
        opened = Datagrams(BOB).open(bytes(sealed), NOW_NS)
    except Dropped:
        return
    # Only `ttl` and `hops` are not signed, and a datagram has neither.
    assert opened == (
        ALICE.node_id,
        3,
        payload,
    )


@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    count=st.integers(1, 4),
)
def test_frames_survive_any_cutting(data: bytes, cuts: list[int], count: int) -> None:
    stream, reader, frames = frame(data) * count, FrameReader(200), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
        frames += reader.feed(stream[start:end])
    assert frames == [data] * count


@given(st.binary(max_size=600))
@example(b"\xff\xff\xff\xff")
def test_a_frame_stream_is_cut_or_refused(data: bytes) -> None:
    reader = FrameReader(100)
    assert reason_of(lambda: reader.feed(data)) in {None, Drop.OVERSIZED}


def test_frames_before_an_oversized_one_are_read() -> None:
    reader = FrameReader(100)
    assert reader.feed(frame(b"a") + frame(b"b") + b"\xff\xff\xff\xff") == [b"a", b"b"]
    assert reason_of(lambda: reader.feed(b"")) is Drop.OVERSIZED


def test_an_announced_oversized_frame_is_refused_before_it_came() -> None:
    with pytest.raises(Dropped) as caught:
        FrameReader(100).feed((101).to_bytes(4, "big"))
    assert caught.value.reason is Drop.OVERSIZED


MESSAGES = st.builds(
    Message,
    type=st.sampled_from(Type),
    id=st.binary(min_size=16, max_size=16),
    source=st.just(ALICE.node_id),
    target=st.sampled_from([b"", BOB.node_id]),
    timestamp_ns=st.integers(0, 2**64 - 1),
    ttl=st.integers(0, 2**32 - 1),
    hops=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=100),
)


@given(MESSAGES)
def test_messages_come_back_and_verify(message: Message) -> None:
    signed = sign(message, ALICE)
    assert decode(encode(signed)) == signed
    verify(signed)
    verify(signed._replace(ttl=1, hops=2))


@given(MESSAGES, st.sampled_from(["type", "id", "source", "target", "timestamp_ns", "payload"]))
def test_every_other_field_is_signed(message: Message, name: str) -> None:
    other = {
        "type": message.type + 1,
        "id": message.id[1:] + bytes([message.id[0] ^ 1]),
        "source": EVE.node_id,
        "target": b"" if message.target else BOB.node_id,
        "timestamp_ns": message.timestamp_ns ^ 1,
        "payload": message.payload + b"x",
    }[name]
    assert (
        reason_of(lambda: verify(sign(message, ALICE)._replace(**{name: other})))
        is Drop.BAD_SIGNATURE
    )


def test_datagrams_are_refused_for_the_right_reason() -> None:
    here = Datagrams(BOB)
    sealed = Datagrams(ALICE).seal(1, BOB.node_id, b"x", NOW_NS)
    assert here.open(sealed, NOW_NS).body == b"x"
    assert reason_of(lambda: here.open(sealed, NOW_NS)) is Drop.REPLAYED
    early, late = (
        Datagrams(ALICE).seal(1, BOB.node_id, b"", NOW_NS + by)
        for by in (WINDOW_NS + 1, -WINDOW_NS - 1)
    )
    assert reason_of(lambda: here.open(early, NOW_NS)) is Drop.REPLAYED
    assert reason_of(lambda: here.open(late, NOW_NS)) is Drop.REPLAYED
    assert (
        reason_of(lambda: here.open(Datagrams(ALICE).seal(1, EVE.node_id, b"", NOW_NS), NOW_NS))
        is Drop.NOT_FOR_US
    )
    assert reason_of(lambda: here.open(b"x" * 1401, NOW_NS)) is Drop.OVERSIZED
    forged = encode(decode(sealed)._replace(id=bytes(16)))
    assert reason_of(lambda: here.open(forged, NOW_NS)) is Drop.BAD_SIGNATURE
    on_link = encode(
        sign(Message(Type.PRIVATE, bytes(16), ALICE.node_id, BOB.node_id, NOW_NS), ALICE)
    )
    assert reason_of(lambda: here.open(on_link, NOW_NS)) is Drop.MALFORMED


@given(st.binary(max_size=300), st.integers(0), st.integers(1, 255))
def test_private_messages_open_unchanged_or_not_at_all(payload: bytes, at: int, flip: int) -> None:
    alice, bob = Private(ALICE, NOW_NS), Private(BOB, NOW_NS)
    message = alice.seal(bytes(16), BOB.node_id, payload, NOW_NS)
    sealed = bytearray(message.payload)
    sealed[at % len(sealed)] ^= flip
    assert (
        reason_of(lambda: bob.open(message._replace(payload=bytes(sealed)))) is Drop.BAD_SIGNATURE
    )
    assert reason_of(lambda: bob.open(message._replace(payload=b""))) is Drop.BAD_SIGNATURE
    assert bob.open(message) == payload
    assert reason_of(lambda: bob.open(message)) is Drop.REPLAYED
    # A clock set back does no harm.
    assert bob.open(alice.seal(bytes(16), BOB.node_id, b"2", NOW_NS - 10)) == b"2"


def test_no_two_private_messages_are_alike() -> None:
    alice = Private(ALICE, NOW_NS)
    assert (
        len({alice.seal(bytes(16), BOB.node_id, b"same", NOW_NS).payload for _ in range(100)})
        == 100
    )


@given(st.binary(max_size=300))
def test_other_parsers_raise_nothing_but_value_error(data: bytes) -> None:
    for parse in (key_of_certificate, unpack_hello, Gossip(fanout=1, rng=random.Random(0)).i_want):
        try:
            parse(data)
        except ValueError:
            continue
    assert unpack_hello(pack_hello("é", "10.0.0.1", 80)) == ("é", "10.0.0.1", 80)


@settings(max_examples=300)
@given(at=st.integers(0), flip=st.integers(1, 255))
def test_mutated_certificates_never_crash_the_key_reader(
    certificate: bytes, at: int, flip: int
) -> None:
    mutated = bytearray(certificate)
    mutated[at % len(mutated)] ^= flip
    with contextlib.suppress(ValueError):
        assert len(key_of_certificate(bytes(mutated))) == 32


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from meshnode.identity import Authority

    directory = tmp_path_factory.mktemp("identity")
    node_id = Authority.load_or_create(directory / "ca").issue(directory / "n", "n")
    chain = (directory / "n" / "cert.pem").read_text()  # its own first
    der = ssl.PEM_cert_to_DER_cert(chain[: chain.index("-----BEGIN", 1)])
    assert key_of_certificate(der) == node_id
    return der


def test_i_have_of_odd_length_is_refused() -> None:
    with pytest.raises(ValueError, match="keys"):
        Gossip(fanout=1, rng=random.Random(0)).i_have(b"p", bytes(KEY_BYTES + 1), 0)
