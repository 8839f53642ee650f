"""The record of one worker: what it tells of keys and values of the DHT."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from harness.history.history import VALUES
from harness.load.flight import Flight
from harness.load.record import Record
from harness.operations import Operation, Outcome


def flight(number: int, key: bytes | None) -> Flight:
    id_ = number.to_bytes(16, "big")
    return Flight(id_, Operation.DHT_GET, 0, -1, 0, 1, 2, key=key, sent_ns=1)


def test_keys_and_values_stand_in_a_file_of_their_own(tmp_path: Path):
    record = Record(tmp_path, worker=3, workers=4, seed=1)
    for number, value in enumerate((b"v" * 300, b"short", None)):
        one = flight(number, bytes([number]) * 32)
        record.note(one, value)
        record.add(one, Outcome.OK)
        record.write()  # a batch each
    record.close()
    with pa.ipc.open_stream(tmp_path / "load" / "values-3.arrow") as stream:
        assert stream.schema == VALUES
        rows = stream.read_all().to_pylist()
    assert [row["key"] for row in rows] == [bytes([number]) * 16 for number in range(3)]
    assert [row["value"] for row in rows] == [b"v" * 16, None, None]


def test_who_puts_and_reads_nothing_has_no_such_file(tmp_path: Path):
    record = Record(tmp_path, worker=0, workers=1, seed=1)
    record.add(flight(1, None), Outcome.OK)
    record.close()
    assert [path.name for path in (tmp_path / "load").iterdir()] == ["operations-0.arrow"]
