"""The table of operations: what never changes, and what everything else takes from it."""

from __future__ import annotations

import hashlib
import struct

import pytest

from harness.checks.metrics import METRICS
from harness.errors import BadFileError
from harness.history import journal
from harness.history.history import OPERATIONS
from harness.load import record
from harness.load.flight import Keys
from harness.load.stream import TrafficStream
from harness.operations import TABLE, Operation, Outcome
from harness.operations.operation import key_of, may_be_of, shared_key
from harness.operations.records import RecordKind
from harness.scenario.schedule import Share, schedule
from harness.scenario.stream import Stream

NUMBERS = {
    "private_message": 1,
    "broadcast": 2,
    "dht_put": 3,
    "dht_get": 4,
    "dht_lookup": 5,
    "file_transfer": 6,
    "connect": 7,
    "dht_listen": 8,
}


def test_numbers_and_words_never_change():
    """They stand in run folders and on control sockets; new operations come after these."""
    assert {each.word: int(each) for each in Operation}.items() >= NUMBERS.items()
    assert [spec.word for spec in TABLE][: len(NUMBERS)] == list(NUMBERS)


def test_every_row_is_a_member_and_numbers_and_words_are_used_once():
    assert [each.spec for each in Operation] == list(TABLE)
    assert len({spec.number for spec in TABLE}) == len({spec.word for spec in TABLE}) == len(TABLE)
    assert all(1 <= spec.number <= 255 for spec in TABLE)


SENT = {  # what a request carries: target, payload
    "private_message": ("node", "bytes"),
    "broadcast": (None, "bytes"),
    "dht_put": ("new key", "bytes"),
    "dht_get": ("stored key", None),
    "dht_lookup": ("node", None),
    "file_transfer": ("node", "size"),
    "connect": ("node", None),
    "dht_listen": ("node", "bytes"),
}


@pytest.mark.parametrize("word", NUMBERS)
def test_each_operation_is_sent_to_its_address_with_its_payload(word):
    stored, wire_ids, keys = b"K" * 32, (b"A" * 32, b"B" * 32), Keys()
    keys.add(stored, 2)
    stream = Stream(operation=Operation[word.upper()], rate_per_s=1, payload_bytes=300)
    made = TrafficStream(
        stream,
        schedule(stream, ("a", "b"), Share(seed=1, phase=0, stream=0), 0, 10**9),
        prefix=b"salt and so on"[:12],
        wire_ids=wire_ids,
        keys=keys,
        filler=b"x" * 300,
        ended=lambda *_: None,
    )
    [([request], [flight])] = made.take(1, 1).values()
    targets = {
        None: None,
        "node": wire_ids[1 - flight.source],
        "new key": hashlib.sha256(flight.id).digest(),
        "stored key": stored,
    }
    payloads = {
        None: None,
        "bytes": flight.id + b"x" * 284,
        "size": (300).to_bytes(8, "little"),
    }
    target, payload = SENT[word]
    assert (request.target, request.payload) == (targets[target], payloads[payload])
    assert flight.payload_bytes == (0 if payload is None else 300)
    assert flight.key == (request.target if target in ("new key", "stored key") else None)


def test_streams_that_name_a_number_of_keys_share_them():
    """Puts and gets of all workers, which know no keys of each other."""
    found = {}
    for word, worker in (("dht_put", 0), ("dht_get", 1)):
        stream = Stream(operation=Operation[word.upper()], rate_per_s=100, keys=3)
        share = Share(seed=1, phase=0, stream=0, worker=worker, workers=2)
        made = TrafficStream(
            stream,
            schedule(stream, ("a", "b"), share, 0, 10**9),
            prefix=b"the run." + bytes([worker, 0, 0, 0]),
            wire_ids=(b"A" * 32, b"B" * 32),
            keys=Keys(),
            filler=bytes(300),
            ended=lambda *_: None,
        )
        taken = made.take(10**9, 100).values()
        found[word] = {request.target for requests, _ in taken for request in requests}
    assert found["dht_put"] == found["dht_get"]
    assert found["dht_put"] == {shared_key(b"the run.", number) for number in range(3)}


def test_keys_are_of_puts_and_gets_alone():
    with pytest.raises(BadFileError, match="keys: they are of dht_put and dht_get, and broadcast"):
        Stream(operation=Operation.BROADCAST, rate_per_s=1, keys=3)
    with pytest.raises(BadFileError, match="keys: expected 1 to 1,000,000, found 0"):
        Stream(operation=Operation.DHT_PUT, rate_per_s=1, keys=0)


def test_a_get_without_a_stored_key_is_not_sent():
    ended = []
    stream = Stream(operation=Operation.DHT_GET, rate_per_s=1)
    made = TrafficStream(
        stream,
        schedule(stream, ("a", "b"), Share(seed=1, phase=0, stream=0), 0, 10**9),
        prefix=bytes(12),
        wire_ids=(b"A" * 32, b"B" * 32),
        keys=Keys(),
        filler=b"",
        ended=lambda *told: ended.append(told),
    )
    assert made.take(1, 1) == {}
    [(_, outcome, response, why)] = ended
    assert (outcome, response) == (Outcome.FAILED, None)
    assert why == "unsent: no acknowledged key of another node to read yet"


def test_members_are_found_by_name_word_and_number():
    assert Operation.DHT_GET is Operation["DHT_GET"] is Operation(4)
    assert Operation.DHT_GET.word == "dht_get"
    with pytest.raises(AttributeError):
        _ = Operation.NO_SUCH_THING


def test_record_kinds_never_change():
    assert (RecordKind.SENT, RecordKind.RELAYED, RecordKind.MEMBER_FAILED) == (1, 10, 14)
    assert (RecordKind.FILE_HASHED, RecordKind.CONNECTED) == (15, 16)


def test_generic_metrics_are_in_the_table_of_metrics():
    for spec in TABLE:
        for generic in spec.metrics:
            metric = METRICS[f"{spec.word}.{generic.suffix}"]
            assert (metric.kind, metric.sentence) == (generic.taken.value, generic.sentence)


def test_whatever_leaves_a_record_at_another_node_has_a_ledger():
    """All but a lookup, of which nobody but the asker can say that it ended."""
    held = {spec.word for spec in TABLE if spec.ledger is not None}
    assert held == {spec.word for spec in TABLE} - {"dht_lookup"}


def test_a_value_shows_by_its_beginning_whether_it_is_its_keys():
    id_ = bytes(range(16))
    assert may_be_of(key_of(id_), id_ + b"and more")
    assert not may_be_of(key_of(id_), bytes(16) + b"and more")
    assert may_be_of(key_of(id_), b"short")  # nothing is known of it


def test_a_gathered_array_has_the_columns_of_a_history():
    assert [OPERATIONS.names[1 + at] for at in (record.OPERATION, record.PAYLOAD_BYTES)] == [
        "operation",
        "payload_bytes",
    ]
    times = (record.INTENDED_NS, record.SENT_NS, record.DONE_NS, record.OUTCOME, record.ERROR)
    assert times == (4, 5, 6, 7, 10)


def test_a_journal_is_written_as_the_protocol_says():
    """PROTOCOL.md of meshnode, section 4, byte by byte."""
    found = journal.record(RecordKind.RECEIVED, b"i" * 15 + b"\0", 555, b"peerpeer and more")
    assert found == struct.pack("<BBHI16sq8s", 4, 0, 0, 0, b"i" * 15 + b"\0", 555, b"peerpeer")
    assert journal.record(RecordKind.RECEIVED, bytes(16), 1, b"")[-8:] == bytes(8)
    head = journal.header(b"w" * 32)
    assert head == b"MESHJRNL" + struct.pack("<II", 1, 40) + b"w" * 32 + bytes(16)
    assert len(head) == journal.HEADER_BYTES
