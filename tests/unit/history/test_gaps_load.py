"""What load workers did not record is found, and touches what rests on their operations alone."""

from __future__ import annotations

import shutil

import pyarrow as pa
from kit.gaps import answers, rewrite, unknown
from kit.histories import SECOND
from kit.run_folders import END_NS, T0

from harness.checks.verdict import Answer
from harness.history import history as h
from harness.history import manifest, reader
from harness.history.gaps import Part

OF_OPERATIONS = {
    "operations that came true: private_message",
    "operations that came true: broadcast",
    "latency",
    "latency under",
    "delivered",
    "settled delivered",
    "hops",
    "coverage",
    "settled coverage",
    "sent on time",
    "received",
    "private messages: acknowledged and delivered",
    "broadcasts: in the journals of all 3 other nodes",
    "load: private_message",
    "load: broadcast",
    "journals: nothing that nobody sent",
}


def test_a_worker_that_left_no_record(folder):
    (folder / "load" / "operations-1.arrow").unlink()
    found = answers(folder)
    assert found["latency"] == (Answer.UNKNOWN, "load worker 1 of 2 left no record, and 2 more")
    assert unknown(folder) == OF_OPERATIONS


def test_a_worker_that_was_killed(folder):
    """Its stream lacks Arrow's end: what it had under way then is in no file."""
    path = folder / "load" / "operations-1.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    found = answers(folder)
    why = "load/operations-1.arrow lacks Arrow's end of stream"
    assert found["settled delivered"] == (Answer.UNKNOWN, why)
    of_phase_load = {"latency", "latency under", "delivered", "received", "hops", "coverage"}
    of_phase_load |= {"sent on time", "journals: nothing that nobody sent"}  # none is missing
    assert unknown(folder) == OF_OPERATIONS - of_phase_load


def test_operations_that_were_taken_out_of_a_record(folder):
    """The file is closed off as it should be; the schedule says what there would be."""
    rewrite(
        folder,
        "load/operations-1.arrow",
        h.OPERATIONS,
        lambda table: pa.concat_tables([table.slice(0, 20), table.slice(23)]),
    )
    found = answers(folder)
    assert "are not in the record (of load worker 2 of 2)" in found["latency"][1]
    of_settle = {"settled delivered", "settled coverage"}
    of_settle |= {"load: private_message", "load: broadcast"}
    assert unknown(folder) == OF_OPERATIONS - of_settle


def test_a_file_that_came_later(folder):
    shutil.copy(folder / "load" / "operations-1.arrow", folder / "load" / "operations-2.arrow")
    assert "was not there when the run was closed" in answers(folder, seal=False)["latency"][1]


def test_what_is_before_the_first_changed_segment_is_read(folder):
    path = folder / "load" / "operations-1.arrow"
    data = path.read_bytes()
    path.write_bytes(data[: manifest.SEGMENT_BYTES + 100])
    found = reader.read(folder)
    [gap] = [gap for gap in found.gaps if Part.OPERATIONS in gap.what]
    assert "16,384 of 24,744 bytes are" in gap.why
    assert T0 + 4 * SECOND < gap.from_ns < END_NS
    assert 200 < found.operations.num_rows < 300


def with_values(folder):
    """The folder with what one worker put and read under keys, two batches of one row."""
    rows = [{"id": bytes([n]) * 16, "key": b"k" * 16, "value": None} for n in (1, 2)]
    with pa.ipc.new_stream(str(folder / "load" / "values-0.arrow"), h.VALUES) as stream:
        for row in rows:
            stream.write_batch(pa.RecordBatch.from_pylist([row], h.VALUES))
    manifest.write(folder)
    return folder / "load" / "values-0.arrow"


def test_values_are_read_where_there_are_any(folder):
    before = reader.read(folder)
    assert before.values.num_rows == 0
    with_values(folder)
    found = reader.read(folder)
    assert (found.values.num_rows, found.gaps) == (2, before.gaps)


def test_values_that_are_torn_are_a_gap_of_the_operations(folder):
    before = reader.read(folder).gaps
    file = with_values(folder)
    file.write_bytes(file.read_bytes()[:-200])
    manifest.write(folder)
    (gap,) = set(reader.read(folder).gaps) - {*before}
    assert gap.what == {Part.OPERATIONS}
    assert "values-0.arrow" in gap.why
