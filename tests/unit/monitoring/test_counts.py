"""Operations counted in a record while it is written: by the load's own writer, read in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from harness.history import tail
from harness.load.flight import Flight
from harness.load.record import Record
from harness.monitoring.counts import BOUNDS_S, Counts, Times
from harness.operations import Operation, Outcome

MS = 1_000_000


def add(record: Record, operation: Operation, outcome: Outcome, sent_ns: int, done_ns: int) -> None:
    flight = Flight(bytes(16), operation, 0, 1, 10, 1000, 2000)
    flight.sent_ns = sent_ns
    error = None if outcome is Outcome.OK else f"why {done_ns}"
    record.add(flight, outcome, done_ns=done_ns, error=error)


def test_what_is_new_is_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(tail, "PIECE", 700)  # a batch is in several pieces
    record = Record(tmp_path, worker=0, workers=2, seed=1)
    other = Record(tmp_path, worker=1, workers=2, seed=1)
    counts = Counts(tmp_path)
    assert counts.read() == {}
    for at in range(40):
        add(record, Operation.BROADCAST, Outcome.OK, 1000 + 1, 1000 + 3 * MS)
        add(other, Operation.DHT_PUT, Outcome.FAILED, 1000 + 2, 0)
        add(other, Operation.DHT_PUT, Outcome.UNKNOWN, 0, 0)
        record.write()
        other.write()
        if at % 7 == 0:
            counts.read()
    record.close()
    other.close()
    told = counts.read()
    assert counts.read() is not None
    assert counts.wrong == ""
    assert set(told) == {"broadcast", "dht_put"}
    sent = told["broadcast"]
    assert sent.outcomes == {Outcome.OK: 40, Outcome.FAILED: 0, Outcome.UNKNOWN: 0}
    assert sent.sent == 40
    assert sent.response.sum_ns == 40 * 3 * MS
    assert sent.response.counts[BOUNDS_S.index(0.005)] == 40
    lost = told["dht_put"]
    assert lost.outcomes == {Outcome.OK: 0, Outcome.FAILED: 40, Outcome.UNKNOWN: 40}
    assert (lost.sent, lost.response.counts.sum(), lost.lag.counts.sum()) == (40, 0, 40)


def test_a_batch_that_is_half_written_waits(tmp_path):
    record = Record(tmp_path, worker=0, workers=1, seed=1)
    add(record, Operation.BROADCAST, Outcome.OK, 1001, 2000)
    record.write()
    file = tmp_path / "load" / "operations-0.arrow"
    whole = file.read_bytes()
    counts = Counts(tmp_path)
    for length in range(0, len(whole), 13):
        file.write_bytes(whole[:length])
        counts.read()
    record.close()
    file.write_bytes(whole)
    assert counts.read()["broadcast"].sent == 1
    assert counts.wrong == ""


@pytest.mark.parametrize("what", [b"no stream at all" * 10_000, b"\xff\xff\xff\xff" + b"\x07" * 99])
def test_what_is_no_record_tells_nothing(tmp_path, what, monkeypatch):
    monkeypatch.setattr(tail, "REST_MOST", 1000)
    record = Record(tmp_path, worker=0, workers=1, seed=1)
    add(record, Operation.BROADCAST, Outcome.OK, 1001, 2000)
    record.close()
    (tmp_path / "load" / "operations-1.arrow").write_bytes(what * 20)
    counts = Counts(tmp_path)
    assert counts.read() == {}
    assert "operations-1.arrow" in counts.wrong
    assert counts.read() == {}


@pytest.mark.parametrize("end", ["gone", "shorter"])
def test_a_record_that_was_taken_away_tells_nothing(tmp_path, end):
    record = Record(tmp_path, worker=0, workers=1, seed=1)
    add(record, Operation.BROADCAST, Outcome.OK, 1001, 2000)
    record.close()
    counts, file = Counts(tmp_path), tmp_path / "load" / "operations-0.arrow"
    assert counts.read()
    data = file.read_bytes()
    file.unlink() if end == "gone" else file.write_bytes(data[:100])
    assert counts.read() == {}
    file.write_bytes(data)  # it is no longer known what was counted
    assert counts.read() == {}


def test_a_time_on_a_bound_is_within_it():
    times = Times()
    times.add(np.array([0, 500_000, 500_001, -5, 30 * 10**9, 30 * 10**9 + 1], np.int64))
    assert times.counts.tolist() == [3, 1, *[0] * 12, 1, 1]
    assert times.sum_ns == 500_000 + 500_001 + 30 * 10**9 + 30 * 10**9 + 1
