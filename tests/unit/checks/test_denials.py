"""Operations of which their senders were told that they had failed, and that happened."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.histories import SECOND, beginning, history, identifier, operation, record

from harness import checks
from harness.checks import denials
from harness.checks.verdict import Answer
from harness.history import history as h
from harness.history.gaps import Gap, Part
from harness.operations import Operation, Outcome
from harness.operations.operation import key_of
from harness.operations.records import RecordKind

KINDS = [
    (Operation.PRIVATE_MESSAGE, 0, RecordKind.DELIVERED),
    (Operation.FILE_TRANSFER, 0, RecordKind.FILE_DELIVERED),
    (Operation.DHT_LISTEN, 0, RecordKind.NOTIFIED),
    (Operation.BROADCAST, -1, RecordKind.RECEIVED),
    (Operation.DHT_PUT, -1, RecordKind.STORED),
]
DENIED = {"outcome": int(Outcome.FAILED), "error": "no route"}


def run(*operations, journal=(), **changes):
    return history(operations, list(journal), **{"failed_is_certain": True, **changes})


@pytest.mark.parametrize(("kind", "target", "record_kind"), KINDS)
def test_what_failed_and_is_in_a_journal_is_a_lie_of_who_said_so(kind, target, record_kind):
    """It was judged by nobody: PASS beside whatever else came true."""
    sent = [operation(n, kind, target=target, **(DENIED if n else {})) for n in range(3)]
    found = run(*sent, journal=[record(0, record_kind), record(2, record_kind)])
    (finding,) = denials.check(found)
    assert finding.answer is Answer.FAIL
    assert (finding.promised, finding.measured) == ("2 of 2", "1 failed, and done")
    assert f"node-1 was told that its {kind.word} had failed (no route)" in finding.sentence
    assert finding in checks.judge(found, []).findings
    assert denials.check(replace(found, journal=found.journal[:1])) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": int(Outcome.UNKNOWN)},  # it may have happened, and did
        {"outcome": int(Outcome.OK)},
        {**DENIED, "sent_ns": 0},  # told as delivered before it was sent
    ],
)
def test_what_nobody_was_told_had_failed_may_have_happened(changes):
    assert denials.check(run(operation(1, **changes), journal=[record(1)])) == []


@pytest.mark.parametrize("kind", [RecordKind.ANSWERED, RecordKind.CONNECTED])
def test_a_read_and_a_connection_change_nothing(kind):
    """The answer was given, and lost on its way: the get failed, and no harm is done."""
    of = Operation.DHT_GET if kind is RecordKind.ANSWERED else Operation.CONNECT
    sent = operation(1, of, answered_by=2, target=2, **DENIED)
    assert denials.check(run(sent, journal=[record(1, kind, 2, peer=beginning(1))])) == []


@pytest.mark.parametrize("kind", [RecordKind.RECEIVED, RecordKind.STORED])
def test_what_its_own_source_kept_came_to_nobody(kind):
    of = Operation.BROADCAST if kind is RecordKind.RECEIVED else Operation.DHT_PUT
    failed = operation(1, of, target=-1, **DENIED)
    assert denials.check(run(failed, journal=[record(1, kind, node=1)])) == []


def test_under_a_key_that_puts_share_a_record_may_be_of_another_put():
    shared = b"s" * 16
    failed = operation(1, Operation.DHT_PUT, target=-1, **DENIED)
    row = (*record(1)[:4], np.void(shared), failed["sent_ns"] + 1, beginning(1), 2)
    stored = (int(RecordKind.STORED), *row[1:])
    values = pa.Table.from_pylist([{"id": identifier(1), "key": shared, "value": None}], h.VALUES)
    assert denials.check(run(failed, journal=[stored], values=values)) == []
    own = pa.Table.from_pylist(
        [{"id": identifier(1), "key": key_of(identifier(1))[:16], "value": None}], h.VALUES
    )
    mine = record(1, RecordKind.STORED, node=2, at_ns=2 * SECOND)
    assert len(denials.check(run(failed, journal=[mine], values=own))) == 1


def test_an_older_folder_said_failed_of_what_it_did_not_know():
    (finding,) = denials.check(
        run(operation(1, **DENIED), journal=[record(1)], failed_is_certain=False)
    )
    assert (finding.answer, finding.promised) == (Answer.MEASURED, "–")
    assert "perhaps not done" in finding.sentence


def test_a_gap_of_the_record_accuses_nobody():
    gap = Gap(what=frozenset({Part.JOURNAL}), why="torn")
    found = run(operation(1, **DENIED), journal=[record(1)], gaps=(gap,))
    (finding,) = (one for one in checks.judge(found, []).findings if "what failed" in one.name)
    assert (finding.answer, finding.sentence) == (Answer.UNKNOWN, "torn")
