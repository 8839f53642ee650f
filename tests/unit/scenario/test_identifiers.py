"""Ids of operations: from those that a node has seen it can tell no other one, and the judge can
tell them all.
"""

from __future__ import annotations

import numpy as np
import pytest
from kit.histories import SECOND, record
from kit.schedules import SEED, messages, recorded, run

from harness.checks import delivery, phantoms, replay
from harness.checks.verdict import Answer
from harness.history.history import Before
from harness.load.flight import Keys
from harness.load.stream import TrafficStream
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.scenario import identifiers
from harness.scenario.schedule import IDENTIFIER, Share, schedule
from harness.scenario.stream import Stream

KEY = bytes(range(16))
BROADCASTS = Stream(operation=Operation.BROADCAST, rate_per_s=10)


def test_the_cipher_is_speck():
    """The test vector of its authors, for blocks of 32 bits and keys of 64."""
    *others, last = (np.array([word], np.uint16) for word in (0x1918, 0x1110, 0x0908, 0x0100))
    round_keys = identifiers._expanded(last, others[::-1])
    found = identifiers._encrypted(np.array([0x6574694C], np.uint32), round_keys)
    assert found.tolist() == [0xA86842F2]


@pytest.mark.parametrize("key", [b"", KEY])
def test_positions_are_read_back_of_all_workers_and_streams_at_once(key):
    made = np.empty(6_000, IDENTIFIER)
    position = np.arange(1_000)
    for number, (worker, stream) in enumerate([(0, 0), (1, 0), (0, 1), (65_535, 65_535), (7, 3)]):
        part = made[number * 1_000 : (number + 1) * 1_000]
        part["worker"], part["stream"] = worker, stream
        part["sequence"] = identifiers.sequences(key, worker, stream, position)
        assert len(set(part["sequence"].tolist())) == 1_000
    made[5_000:] = made[:1_000]
    found = identifiers.positions(key, made)
    assert found.tolist() == position.tolist() * 6


def test_what_one_share_or_run_shows_tells_nothing_of_another():
    def ends(key, worker, stream):
        return identifiers.sequences(key, worker, stream, np.arange(100)).tolist()

    other = bytes(16)
    shares = [ends(KEY, 0, 0), ends(KEY, 1, 0), ends(KEY, 0, 1), ends(other, 0, 0)]
    assert len({end for share in shares for end in share}) == 400


def test_a_load_worker_gives_its_operations_the_ids_that_the_judge_expects():
    stream = messages(5)
    share = Share(seed=SEED, phase=0, stream=0)
    names = ("node-0", "node-1", "node-2")
    expected = [one["id"] for one in recorded(stream, id_key=KEY)]
    made = TrafficStream(
        stream,
        schedule(stream, names, share, SECOND, 11 * SECOND),
        prefix=expected[0][:12],
        id_key=KEY,
        wire_ids=(bytes(32),) * 3,
        keys=Keys(),
        filler=b"x" * 300,
        ended=lambda *_: None,
    )
    taken = made.take(20 * SECOND, 1_000).values()
    assert {flight.id for _, flights in taken for flight in flights} == set(expected)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_schedule_is_held_against_the_record_by_the_runs_key(workers):
    stream = messages(5)
    operations = recorded(stream, workers=workers, id_key=KEY)

    def said(some, key=KEY):
        found = run(some, stream, workers=workers, id_key=key)
        window = found.phases[0]
        return replay.differences(found, window, stream.operation), replay.unrecorded(found)

    differences, unrecorded = said(operations)
    assert (differences, unrecorded.num_rows) == ([], 0)
    lacking = operations.pop(7)
    [sentence], unrecorded = said(operations)
    assert sentence.startswith("1 of 50 planned operations are not in the record")
    assert unrecorded.column("id").to_pylist() == [lacking["id"]]
    assert said(operations, key=b"")[0]  # of another key they are no operations of this run


def guessed(id_):
    """The id that comes next, to who believes that the last four bytes count."""
    number = int.from_bytes(id_[12:], "little") + 1
    return id_[:12] + (number % 2**32).to_bytes(4, "little")


@pytest.mark.parametrize(("key", "answers"), [(b"", []), (KEY, [Answer.FAIL])])
def test_a_node_that_reports_what_it_guesses_long_after_it_was_sent_is_named(key, answers):
    """Of an older version's ids it was right, and nothing could tell: node-2 heard one broadcast,
    and has them all.
    """
    operations = recorded(BROADCASTS, id_key=key)
    had = [operations[0]["id"]]
    for _ in operations[1:]:
        had.append(guessed(had[-1]))
    rows = []
    for one, guess in zip(operations, had, strict=True):
        for node in {0, 1, 2} - {one["source"]}:
            id_ = guess if node == 2 else one["id"]
            row = record(0, RecordKind.RECEIVED)
            rows.append((*row[:4], np.void(id_), one["sent_ns"] + SECOND, row[6], node))
    found = run(operations, BROADCASTS, id_key=key, journal=rows, before=Before())
    made_up = phantoms.check(found)
    assert [one.answer for one in made_up] == answers
    missing = [one for one in delivery.check(found) if "in the journals of" in one.name]
    assert [one.answer for one in missing] == (answers or [Answer.PASS])
    assert all("node-2 has a record" in one.sentence for one in made_up)
