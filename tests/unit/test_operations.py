"""The table of operations: what never changes, and what everything else takes from it."""

from __future__ import annotations

import struct

import pytest

from harness.checks.metrics import METRICS
from harness.history import journal
from harness.history.history import OPERATIONS
from harness.load import record
from harness.operations import TABLE, Operation
from harness.operations.operation import Ledger, Witness
from harness.operations.records import RecordKind

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
    assert {each.word: each.value for each in Operation}.items() >= NUMBERS.items()
    assert [spec.word for spec in TABLE][: len(NUMBERS)] == list(NUMBERS)


def test_every_row_is_a_member_and_numbers_and_words_are_used_once():
    assert [each.spec for each in Operation] == list(TABLE)
    assert len({spec.number for spec in TABLE}) == len({spec.word for spec in TABLE}) == len(TABLE)
    assert all(1 <= spec.number <= 255 for spec in TABLE)


def test_members_are_found_by_name_word_and_number():
    assert Operation.DHT_GET is Operation["DHT_GET"] is Operation(4)
    assert Operation.DHT_GET.word == "dht_get"
    with pytest.raises(AttributeError):
        _ = Operation.NO_SUCH_THING


def test_record_kinds_never_change():
    assert (RecordKind.SENT, RecordKind.RELAYED, RecordKind.MEMBER_FAILED) == (1, 10, 14)


def test_generic_metrics_are_in_the_table_of_metrics():
    for spec in TABLE:
        for generic in spec.metrics:
            metric = METRICS[f"{spec.word}.{generic.suffix}"]
            assert (metric.kind, metric.sentence) == (generic.taken.value, generic.sentence)


def test_a_ledger_names_a_record_unless_the_answer_is_the_witness():
    with pytest.raises(ValueError, match="go together"):
        Ledger(finding="gets", witness=Witness.TARGET)
    with pytest.raises(ValueError, match="go together"):
        Ledger(finding="gets", witness=Witness.ANSWERER, record=RecordKind.STORED)


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
