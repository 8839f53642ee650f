"""Bodies of datagrams and contacts: what is written is read, what is not well formed is refused and
nothing else happens.
"""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.dht_simulation import contact_of
from meshnode.dht import Contact, Kind, MalformedBody
from meshnode.dht.contact import pack_contacts, position_of, unpack_contacts
from meshnode.dht.messages import (
    ANSWERS_TO,
    MAX_CONTACTS,
    Answer,
    Request,
    read,
    write_answer,
    write_request,
)

NUMBERS = st.integers(0, 2**64 - 1)
KEYS = st.binary(min_size=32, max_size=32)
VALUES = st.binary(max_size=1000)
CONTACTS = st.lists(st.integers(0, 5000).map(contact_of), max_size=MAX_CONTACTS).map(tuple)
REQUESTS = st.one_of(
    st.builds(Request, kind=st.just(Kind.PING), number=NUMBERS),
    st.builds(
        Request,
        kind=st.sampled_from([Kind.FIND_NODE, Kind.FIND_VALUE]),
        number=NUMBERS,
        target=KEYS,
    ),
    st.builds(Request, kind=st.just(Kind.STORE), number=NUMBERS, target=KEYS, value=VALUES),
)
ANSWERS = st.one_of(
    st.builds(Answer, kind=st.sampled_from([Kind.PONG, Kind.STORED]), number=NUMBERS),
    st.builds(Answer, kind=st.just(Kind.NODES), number=NUMBERS, contacts=CONTACTS),
    st.builds(Answer, kind=st.just(Kind.VALUE), number=NUMBERS, value=VALUES),
)


@given(REQUESTS)
def test_requests_round_trip(request: Request) -> None:
    assert read(request.kind, write_request(request)) == request


@given(ANSWERS)
def test_answers_round_trip(answer: Answer) -> None:
    assert read(answer.kind, write_answer(answer)) == answer


@given(st.integers(-1, 300), st.binary(max_size=1500))
def test_any_bytes_are_a_message_or_malformed(kind: int, body: bytes) -> None:
    try:
        message = read(kind, body)
    except MalformedBody:
        return
    assert isinstance(message, Request) == (message.kind in ANSWERS_TO)
    assert len(message.value or b"") <= 1000


@pytest.mark.parametrize(
    ("kind", "message", "complaint"),
    [
        (
            Kind.PING,
            Request(kind=Kind.PING, number=1, target=bytes(32)),
            "target has 0 bytes, this one 32",
        ),
        (
            Kind.FIND_NODE,
            Request(kind=Kind.FIND_NODE, number=1, target=bytes(31)),
            "target has 32 bytes, this one 31",
        ),
        (
            Kind.FIND_VALUE,
            Request(kind=Kind.FIND_VALUE, number=1, target=bytes(32), value=b""),
            "where none belongs",
        ),
        (Kind.STORE, Request(kind=Kind.STORE, number=1, target=bytes(32)), "a value is missing"),
        (
            Kind.STORE,
            Request(kind=Kind.STORE, number=1, target=bytes(32), value=bytes(1001)),
            "at most 1000 bytes",
        ),
        (Kind.VALUE, Answer(kind=Kind.VALUE, number=1), "a value is missing"),
        (
            Kind.VALUE,
            Answer(kind=Kind.VALUE, number=1, value=b"", contacts=(contact_of(1),)),
            "contacts has 0 bytes",
        ),
        (Kind.NODES, Answer(kind=Kind.NODES, number=1, value=b""), "where none belongs"),
        (
            Kind.NODES,
            Answer(kind=Kind.NODES, number=1, contacts=(contact_of(1),) * 31),
            "at most 30 contacts",
        ),
    ],
)
def test_what_a_kind_does_not_allow_is_malformed(
    kind: Kind, message: Request | Answer, complaint: str
) -> None:
    body = write_request(message) if isinstance(message, Request) else write_answer(message)
    with pytest.raises(MalformedBody, match=complaint):
        read(kind, body)


def test_unknown_kinds_and_broken_protobuf_are_malformed() -> None:
    with pytest.raises(MalformedBody, match="no DHT message has the kind 9"):
        read(9, b"")
    with pytest.raises(MalformedBody, match="PING"):
        read(Kind.PING, b"\xff")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": bytes(31)}, "32 bytes"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"address": "fe80::1"}, "fe80::1"),
        ({"address": "example"}, "example"),
        ({"address": "0.0.0.0"}, "single node"),
        ({"address": "224.0.0.1"}, "single node"),
        ({"address": "255.255.255.255"}, "single node"),
    ],
)
def test_a_contact_that_cannot_be_is_refused(change: dict[str, object], complaint: str) -> None:
    """An answer that names one is read without it."""
    good = contact_of(1)
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(good, **change)


def test_impossible_contacts_in_an_answer_are_left_out() -> None:
    good = contact_of(1).compact
    packed = good + good[:-2] + b"\0\0" + good[:32] + b"\xe0\0\0\1" + good[-2:]
    assert unpack_contacts(packed) == [contact_of(1)]
    with pytest.raises(ValueError, match="38 bytes each"):
        unpack_contacts(good[:-1])
    assert unpack_contacts(b"") == []


def test_a_contact_packs_into_38_bytes_and_has_one_position() -> None:
    contact = Contact(bytes(range(32)), "198.18.1.2", 7000)
    assert pack_contacts([contact]) == bytes(range(32)) + bytes([198, 18, 1, 2]) + (7000).to_bytes(
        2, "big"
    )
    assert contact.position == position_of(bytes(range(32)))
    # Sha256sum of these 32 bytes.
    assert contact.position.to_bytes(32, "big").hex().startswith("630dcd2966c43366")
