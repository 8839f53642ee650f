"""Arrow streams are read as far as they go, and it is known whether they were ended."""

from __future__ import annotations

import pyarrow as pa
import pytest

from harness.history import history, tables
from harness.history.manifest import Content

SCHEMA = pa.schema([("error", pa.int32())])


def stream(*batches: list[int]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SCHEMA) as writer:
        for values in batches:
            writer.write_batch(pa.RecordBatch.from_pydict({"error": values}, SCHEMA))
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("batches", [[], [[1, 2]], [[1], [-1]]], ids=["none", "two", "marker"])
def test_whether_a_stream_was_ended(batches):
    """An odd number of operations without an error ends as Arrow's end of stream does: −1, 0."""
    data = stream(*batches)
    found, why = tables.read("a", Content(data=pa.py_buffer(data)), SCHEMA)
    assert ([one.num_rows for one in found], why) == ([len(one) for one in batches], "")
    found, why = tables.read("a", Content(data=pa.py_buffer(data[:-8])), SCHEMA)
    assert len(found) == len(batches)
    assert why == "a lacks Arrow's end of stream"


def test_what_a_process_of_the_harness_did_not_tell_is_null():
    """A field that came later, of each process in a list."""
    older_own = pa.struct([field for field in history.OWN if field.name != "memory_bytes"])
    older = pa.schema(
        [
            pa.field("own", pa.list_(older_own)) if field.name == "own" else field
            for field in history.HOST
        ]
    )
    told = {"name": "supervisor", "pid": 7, "rss_bytes": 5}
    values = {"at_ns": 1, "cpu_busy_ns": 2, "cpu_steal_ns": 3, "memory_available_bytes": 4}
    row = {**values, "load_cpu_ns": [], "own": [told]}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, older) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([row], older))
    found, why = tables.read("a", Content(data=sink.getvalue()), history.HOST)
    assert why == ""
    [one] = tables.joined(found, history.HOST).column("own").to_pylist()[0]
    assert (one["rss_bytes"], one["memory_bytes"]) == (5, None)


def test_a_joined_table_keeps_no_file_in_memory():
    """What is left in the file of its first batch would keep all of the file."""
    schema = pa.schema([("error", pa.dictionary(pa.int32(), pa.string()))])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for codes in ([0, None], [0, 1]):
            column = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), ["late", "lost"])
            writer.write_batch(pa.RecordBatch.from_arrays([column], schema=schema))
    data = sink.getvalue()
    found, _ = tables.read("a", Content(data=data), schema)
    joined = tables.joined(found, schema)
    assert joined.column("error").to_pylist() == ["late", None, "late", "lost"]
    [piece] = joined.column("error").chunks
    held = [*piece.indices.buffers(), *piece.dictionary.buffers()]
    inside = range(data.address, data.address + data.size)
    assert [one for one in held if one is not None and one.address in inside] == []


def test_a_column_that_may_be_null_may_be_missing_in_an_earlier_versions_file():
    newer = pa.schema([*SCHEMA, pa.field("since", pa.int64())])
    (found,), why = tables.read("a", Content(data=pa.py_buffer(stream([1, 2]))), newer)
    assert (found.to_pydict(), why) == ({"error": [1, 2], "since": [None, None]}, "")
    needed = pa.schema([*SCHEMA, pa.field("since", pa.int64(), nullable=False)])
    assert tables.read("a", Content(data=pa.py_buffer(stream([1]))), needed)[0] == []


@pytest.mark.parametrize(
    ("schema", "newer"),
    [
        (history.SAMPLES, {"pid", "disk_bytes", "fds_limit", "memory_bytes"}),
        (history.HOST, {"own"}),
    ],
)
def test_samples_of_earlier_versions_are_read(schema, newer):
    """What they do not tell is null, of a list of the harness's processes too."""
    older = pa.schema([field for field in schema if field.name not in newer])
    values = {field.name: [] if pa.types.is_map(field.type) else 7 for field in older}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, older) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([values], older))
    (found,), why = tables.read("a", Content(data=sink.getvalue()), schema)
    (row,) = found.to_pylist()
    assert why == ""
    assert found.schema == schema
    assert row == values | dict.fromkeys(newer)
