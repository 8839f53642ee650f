"""One `Dht`: what it answers, what it refuses, what it never does, whatever is sent to it."""

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.dht_simulation import (
    MS,
    Network,
    S,
    address_of,
    contact_of,
    make_dht,
    mesh,
    node_id,
    opened,
)
from meshnode.dht import Contact, Dht, Event, Finished, Kind, MalformedBody
from meshnode.dht.contact import pack_contacts
from meshnode.dht.core import MAX_OPERATIONS
from meshnode.dht.messages import Answer, Request, read, write_answer, write_request
from meshnode.dht.requests import MAX_TIMEOUT_NS, MIN_TIMEOUT_NS, RoundTrip
from meshnode.dht.store import VALUE_TTL_NS

KEY = bytes(range(32))


class Peer:
    """A `Dht` (node 0) and, by hand, every node that it talks to."""

    def __init__(self, *, known: int = 1, max_values: int = 100) -> None:
        self.now_ns = 10 * S
        self.dht = make_dht(0, k=4, max_values=max_values)
        for index in range(1, known + 1):
            self.dht.add_contact(contact_of(index), self.now_ns)

    def sent(self) -> list[tuple[Contact, Request | Answer]]:
        """What node 0 has sent since the last call: to whom, and the message."""
        messages = []
        for datagram, address in self.dht.outgoing():
            kind, source, target, body = opened(datagram)
            assert source == node_id(0)
            messages.append((Contact(target, *address), read(kind, body)))
        return messages

    def say(self, index: int, message: Request | Answer) -> None:
        """Node `index` sends this to node 0."""
        body = write_request(message) if isinstance(message, Request) else write_answer(message)
        self.dht.receive(node_id(index), message.kind, body, address_of(index), self.now_ns)

    def answer(self, index: int, message: Request | Answer) -> Answer:
        """Node `index` sends this; what node 0 answers, and nothing else."""
        self.say(index, message)
        [(to, answer)] = self.sent()
        assert to == contact_of(index)
        assert isinstance(answer, Answer)
        return answer

    def pass_time(self, duration_ns: int) -> None:
        self.now_ns += duration_ns
        self.dht.tick(self.now_ns)

    def finished(self) -> Finished:
        [result] = self.dht.finished()
        return result


def test_it_answers_what_it_is_asked() -> None:
    peer = Peer(known=6)
    ask = {"number": 77, "target": KEY}
    assert peer.answer(1, Request(kind=Kind.PING, number=2**64 - 1)) == Answer(
        kind=Kind.PONG, number=2**64 - 1
    )
    nodes = peer.answer(1, Request(kind=Kind.FIND_NODE, **ask))
    assert nodes.kind is Kind.NODES
    assert len(nodes.contacts) == 4
    assert contact_of(1) not in nodes.contacts, "the asker knows itself"
    assert peer.answer(1, Request(kind=Kind.FIND_VALUE, **ask)).kind is Kind.NODES
    assert peer.answer(2, Request(kind=Kind.STORE, **ask, value=b"")).kind is Kind.STORED
    assert peer.answer(3, Request(kind=Kind.FIND_VALUE, **ask)) == Answer(
        kind=Kind.VALUE, number=77, value=b""
    )
    assert peer.dht.events() == [
        Event(kind="stored", key=KEY, peer_id=node_id(2), size=0),
        Event(kind="answered", key=KEY, peer_id=node_id(3), size=0),
    ]
    assert (peer.dht.requests_in, peer.dht.requests_out, peer.dht.values) == (5, 0, 1)


def test_an_answer_counts_only_from_the_node_asked() -> None:
    """It counts only for what that node was asked."""
    peer = Peer()
    number = peer.dht.get(KEY, peer.now_ns)
    [(to, request)] = peer.sent()
    assert (to, request.kind) == (contact_of(1), Kind.FIND_VALUE)
    right = Answer(kind=Kind.VALUE, number=request.number, value=b"right")
    peer.say(2, Answer(kind=Kind.VALUE, number=request.number, value=b"from another node"))
    peer.say(1, Answer(kind=Kind.VALUE, number=request.number ^ 4, value=b"another request"))
    peer.say(
        1, Answer(kind=Kind.VALUE, number=request.number ^ 3, value=b"an attempt not made yet")
    )
    peer.say(1, Answer(kind=Kind.STORED, number=request.number))
    assert peer.dht.dropped_unsolicited == 4
    assert peer.dht.finished() == []
    assert peer.dht.contacts == [contact_of(1)], "no unsolicited answer makes a contact"
    peer.say(1, right)
    result = peer.finished()
    assert (result.operation, result.value, result.value_from, result.hops) == (
        number,
        b"right",
        node_id(1),
        1,
    )
    peer.say(1, right)
    assert peer.dht.dropped_unsolicited == 5, "an answer counts once"


def test_a_message_of_its_own_changes_nothing() -> None:
    peer = Peer(known=0)
    peer.say(0, Request(kind=Kind.PING, number=1))
    peer.say(0, Answer(kind=Kind.PONG, number=1))
    assert peer.dht.contacts == []
    assert peer.sent() == []
    assert peer.dht.dropped_unsolicited == 2


def test_contacts_in_answers_are_not_trusted() -> None:
    peer = Peer()
    peer.dht.lookup(KEY, peer.now_ns)
    [(_, request)] = peer.sent()
    good, own = contact_of(2), contact_of(0)
    impossible = good.compact[:-2] + b"\0\0"
    body = write_answer(Answer(kind=Kind.NODES, number=request.number))
    packed = pack_contacts([own, good]) + impossible
    peer.dht.receive(
        node_id(1),
        Kind.NODES,
        body + bytes([0x12, len(packed)]) + packed,
        address_of(1),
        peer.now_ns,
    )
    assert [to for to, _ in peer.sent()] == [good], "neither itself nor port 0 is asked"
    assert set(peer.dht.contacts) == {contact_of(1), good}
    assert peer.answer(3, Request(kind=Kind.FIND_NODE, number=1, target=KEY)).contacts == (
        contact_of(1),
    ), "not passed on"


def test_silence_is_asked_again_and_then_a_failure() -> None:
    peer = Peer()
    peer.dht.lookup(KEY, peer.now_ns)
    numbers = []
    for _ in range(3):
        [(_, request)] = peer.sent()
        numbers.append(request.number)
        assert peer.dht.finished() == []
        assert peer.dht.next_timeout_ns() == peer.now_ns + S
        peer.pass_time(S - 1)
        assert peer.sent() == []
        peer.pass_time(1)
    result = peer.finished()
    assert (result.ok, result.error, result.closest) == (
        False,
        "none of the 1 nodes asked answered",
        (),
    )
    assert len(set(numbers)) == 3
    assert peer.dht.requests_out == 3
    peer.say(1, Answer(kind=Kind.NODES, number=numbers[0]))
    assert peer.dht.dropped_unsolicited == 1, "too late"


def test_a_late_answer_to_the_first_attempt_counts() -> None:
    peer = Peer()
    peer.dht.lookup(KEY, peer.now_ns)
    [(_, request)] = peer.sent()
    peer.pass_time(S)
    peer.say(1, Answer(kind=Kind.NODES, number=request.number))
    assert peer.finished().ok


def test_a_put_needs_the_acknowledgement_of_another_node() -> None:
    peer = Peer()
    peer.dht.put(KEY, b"v", peer.now_ns)
    [(_, find)] = peer.sent()
    peer.say(1, Answer(kind=Kind.NODES, number=find.number))
    [(to, store)] = peer.sent()
    assert store == Request(kind=Kind.STORE, number=store.number, target=KEY, value=b"v")
    assert to == contact_of(1)
    for _ in range(3):
        assert peer.dht.finished() == []
        peer.pass_time(S)
    result = peer.finished()
    assert (result.ok, result.stored) == (False, 0)
    assert result.error == "none of the 1 nodes asked to store the value acknowledged it"
    assert peer.dht.values == 0


def ask_put(dht: Dht, now_ns: int) -> int:
    return dht.put(KEY, bytes(1001), now_ns)


def ask_get(dht: Dht, now_ns: int) -> int:
    return dht.get(KEY[1:], now_ns)


def ask_short_put(dht: Dht, now_ns: int) -> int:
    return dht.put(KEY[1:], b"", now_ns)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (ask_put, "a value has at most 1000 bytes (one datagram), this one 1001"),
        (ask_get, "a key has 32 bytes, this one 31"),
        (ask_short_put, "a key has 32 bytes, this one 31"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(
    ask: Callable[[Dht, int], int], error: str
) -> None:
    peer = Peer()
    number = ask(peer.dht, peer.now_ns)
    assert peer.finished() == Finished(operation=number, ok=False, error=error)
    assert peer.sent() == []


def test_without_contacts_every_operation_ends_at_once() -> None:
    dht = make_dht(0)
    numbers = [dht.join(S), dht.put(KEY, b"", S), dht.get(KEY, S), dht.lookup(KEY, S)]
    results = dht.finished()
    assert [result.operation for result in results] == numbers
    assert {(result.ok, result.error) for result in results} == {
        (False, "no contact is known to start from")
    }


def test_operations_are_limited_and_cancelled_ones_make_room() -> None:
    peer = Peer()
    numbers = [peer.dht.lookup(KEY, peer.now_ns) for _ in range(MAX_OPERATIONS)]
    assert peer.dht.finished() == []
    refused = peer.dht.lookup(KEY, peer.now_ns)
    assert peer.finished().operation == refused
    requests = [request for _, request in peer.sent()]
    peer.dht.cancel(numbers[0])
    peer.dht.cancel(10**9)
    peer.say(1, Answer(kind=Kind.NODES, number=requests[0].number))
    assert peer.dht.finished() == [], "a cancelled operation is not reported"
    peer.dht.lookup(KEY, peer.now_ns)
    assert peer.dht.finished() == []
    peer.dht.cancel(numbers[1])
    before = peer.dht.requests_out
    peer.pass_time(S)
    assert peer.dht.requests_out - before == MAX_OPERATIONS - 1, (
        "for a cancelled operation nothing is asked again"
    )


def test_values_are_limited_and_expire() -> None:
    peer = Peer(max_values=2)
    first, second, third = (bytes([at]) * 32 for at in range(3))
    for key, held in ((first, 1), (second, 2), (second, 2), (first, 2), (third, 2)):
        peer.answer(1, Request(kind=Kind.STORE, number=1, target=key, value=b"v"))
        peer.now_ns += S
        assert peer.dht.values == held
    kinds = [
        peer.answer(1, Request(kind=Kind.FIND_VALUE, number=1, target=key)).kind
        for key in (first, second, third)
    ]
    assert kinds == [Kind.VALUE, Kind.NODES, Kind.VALUE], "second was the first to expire"
    peer.now_ns += VALUE_TTL_NS - 2 * S
    assert peer.answer(1, Request(kind=Kind.FIND_VALUE, number=1, target=first)).kind is Kind.NODES
    assert peer.dht.values == 2, "not served, though nobody has tidied up yet"
    peer.pass_time(0)
    assert peer.dht.values == 1
    peer.pass_time(S)
    assert peer.dht.values == 0


def test_a_newcomer_has_the_oldest_contact_pinged() -> None:
    """The newcomer's bucket is full."""
    peer = Peer(known=200)
    peer.pass_time(100 * S)
    for index in range(201, 230):
        peer.say(index, Request(kind=Kind.PING, number=1))
    pings = [(to, message) for to, message in peer.sent() if isinstance(message, Request)]
    assert pings
    assert all(message.kind is Kind.PING for _, message in pings)
    to, ping = pings[0]
    index = next(index for index in range(1, 201) if contact_of(index) == to)
    peer.say(index, Answer(kind=Kind.PONG, number=ping.number))
    for _ in range(3):
        peer.pass_time(S)
        assert all(again != to for again, _ in peer.sent())
    contacts = peer.dht.contacts
    assert to in contacts, "it answered"
    assert not any(silent in contacts for silent, _ in pings[1:]), (
        "these did not, and newcomers have their places"
    )


@pytest.mark.parametrize("sender", [("::1", 7000), ("198.18.0.1", 0), ("224.0.0.1", 1), ("?", 1)])
def test_a_sender_that_cannot_be_is_malformed(sender: tuple[str, int]) -> None:
    body = write_request(Request(kind=Kind.PING, number=1))
    dht = make_dht(0)
    with pytest.raises(MalformedBody, match="impossible address"):
        dht.receive(node_id(1), Kind.PING, body, sender, S)
    assert dht.outgoing() == []


def busy_dht() -> tuple[Dht, list[tuple[int, bytes]]]:
    """A node with operations under way, and bodies that fit what it waits for."""
    peer = Peer(known=3)
    peer.dht.get(KEY, peer.now_ns)
    peer.dht.put(KEY, b"v", peer.now_ns)
    bodies = [
        (int(request.kind), write_request(request))
        for _, request in peer.sent()
        if isinstance(request, Request)
    ]
    for kind, body in list(bodies):
        number = read(kind, body).number
        nodes = Answer(kind=Kind.NODES, number=number, contacts=(contact_of(8), contact_of(9)))
        bodies += [
            (4, write_answer(nodes)),
            (6, write_answer(Answer(kind=Kind.VALUE, number=number, value=b"v"))),
        ]
    return peer.dht, [
        *bodies,
        (7, write_request(Request(kind=Kind.STORE, number=1, target=KEY, value=b"v"))),
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_arrives_it_never_crashes(data: st.DataObject) -> None:
    dht, bodies = busy_dht()
    now_ns = 10 * S
    for _ in range(data.draw(st.integers(1, 6))):
        kind, body = data.draw(
            st.one_of(
                st.sampled_from(bodies), st.tuples(st.integers(0, 9), st.binary(max_size=300))
            )
        )
        mutated = bytearray(body)
        for _ in range(data.draw(st.integers(0, 3)) if mutated else 0):
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
        now_ns += data.draw(st.sampled_from([0, S]))
        with contextlib.suppress(MalformedBody):
            dht.receive(
                node_id(data.draw(st.integers(0, 4))), kind, bytes(mutated), address_of(1), now_ns
            )
        dht.tick(now_ns)
    for datagram, _ in dht.outgoing():
        kind, _, _, body = opened(datagram)
        read(kind, body)
    for _ in range(40):
        now_ns += S
        dht.tick(now_ns)
    assert {result.operation for result in dht.finished()} == {1, 2}, "every operation ends"


def test_contacts_and_values_survive_a_restart() -> None:
    network = Network(10, k=4)
    network.link(mesh(10))
    network.join_all()
    network.put(1, KEY, b"kept")
    keeper = next(index for index, node in enumerate(network.nodes) if node.values and index != 3)
    state = msgpack.unpackb(msgpack.packb(network.nodes[keeper].dump()))
    restarted = make_dht(keeper, k=4)
    restarted.load(state)
    assert set(restarted.contacts) == set(network.nodes[keeper].contacts)
    assert restarted.dump()["values"] == state["values"] != []
    network.nodes[keeper] = restarted
    network.dead = set(range(10)) - {3, keeper}
    assert network.get(3, KEY).value == b"kept"
    network.dead = set()
    assert network.get(keeper, KEY).value == b"kept", (
        "it finds others again by the contacts it kept"
    )


def test_a_value_of_another_boot_expires_in_time() -> None:
    """Its clock is another; it expires no later than a new value."""
    state = {**make_dht(0).dump(), "values": [[KEY, b"v", 10**18]]}
    dht = make_dht(0)
    dht.load(state)
    dht.tick(5 * S)
    assert dht.dump()["values"] == [[KEY, b"v", 5 * S + VALUE_TTL_NS]]
    dht.tick(5 * S + VALUE_TTL_NS)
    assert dht.values == 0


@pytest.mark.parametrize(
    "change",
    [
        {"format": "meshnode-dht-0"},
        {"node_id": node_id(1)},
        {"contacts": None},
        {"contacts": [[node_id(1), "198.18.0.1"]]},
        {"contacts": [[node_id(1), "198.18.0.1", "7000"]]},
        {"contacts": [["x" * 32, "198.18.0.1", 7000]]},
        {"contacts": [[node_id(1), "nowhere", 7000]]},
        {"contacts": [[node_id(1), 3323068417, 7000]]},
        {"contacts": [[node_id(1), "198.18.0.1", 7000.0]]},
        {"values": [[KEY, b"v"]]},
        {"values": [[KEY[1:], b"v", 1]]},
        {"values": [[KEY, "v", 1]]},
        {"values": [[KEY, bytes(1001), 1]]},
        {"values": [[KEY, b"v", "soon"]]},
    ],
)
def test_foreign_or_damaged_state_is_refused_and_changes_nothing(change: dict[str, Any]) -> None:
    peer = Peer()
    peer.answer(1, Request(kind=Kind.STORE, number=1, target=KEY, value=b"v"))
    before = copy.deepcopy(peer.dht.dump())
    for foreign in (
        {**before, **change},
        {},
        [],
        None,
        "state",
        {key: before[key] for key in ("format", "node_id")},
    ):
        with pytest.raises(ValueError, match="DHT state"):
            peer.dht.load(foreign)
    assert peer.dht.dump() == before
    peer.dht.load(before)


@pytest.mark.parametrize("change", [{"k": 0}, {"k": 31}, {"alpha": 0}, {"max_values": 0}])
def test_parameters_out_of_bounds_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not"):
        make_dht(0, **change)


def test_the_timeout_follows_the_answers() -> None:
    trip = RoundTrip()
    assert trip.timeout_ns(1) == MAX_TIMEOUT_NS
    for _ in range(50):
        trip.observe(2 * MS)
    assert [trip.timeout_ns(attempt) for attempt in (1, 2, 3)] == [
        MIN_TIMEOUT_NS,
        2 * MIN_TIMEOUT_NS,
        4 * MIN_TIMEOUT_NS,
    ]
    for _ in range(50):
        trip.observe(400 * MS)
    assert 400 * MS < trip.timeout_ns(1) < 450 * MS
    assert trip.timeout_ns(3) == MAX_TIMEOUT_NS
    for took_ns in [5 * MS, 600 * MS] * 20:
        trip.observe(took_ns)
    assert trip.timeout_ns(1) == MAX_TIMEOUT_NS
