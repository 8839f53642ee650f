"""Arrow streams of a run folder, read as far as they can be."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from harness.history.manifest import Content

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read(name: str, content: Content, schema: pa.Schema) -> tuple[list[pa.RecordBatch], str]:
    """Return the whole batches of a stream, and why there may be more; empty: there are none."""
    if not content.data.size:
        return [], content.wrong or (f"{name} is empty" if content.exists else f"{name} is missing")
    try:
        source = pa.BufferReader(content.data)
        stream = pa.ipc.open_stream(source)
        names = stream.schema.names
    except (pa.ArrowException, OSError, ValueError):
        return [], content.wrong or f"{name} does not begin as an Arrow stream"
    if not _serves(names, schema):
        return [], f"{name}: expected the columns {', '.join(schema.names)}; found " + ", ".join(
            names
        )
    batches: list[pa.RecordBatch] = []
    why = ""
    try:
        while True:
            end = source.tell()  # what a batch ends with may look like the end of the stream
            batches.append(_cast(stream.read_next_batch(), schema))
    except StopIteration:
        if bytes(content.data[end:]) != END_OF_STREAM:
            why = f"{name} lacks Arrow's end of stream"
    except (pa.ArrowException, OSError, ValueError) as error:
        why = f"{name} is torn: {str(error)[:80]}"
    return batches, content.wrong or why


def _serves(names: list[str], schema: pa.Schema) -> bool:
    """Whether these are the schema's columns; an earlier version may lack some that may be null."""
    lacking = [field for field in schema if field.name not in names]
    return names == [name for name in schema.names if name in names] and all(
        field.nullable for field in lacking
    )


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    made = batch
    if not batch.schema.equals(schema):
        has = set(batch.schema.names)
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in has
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        made = pa.RecordBatch.from_arrays(columns, schema=schema)
    made.validate(full=True)
    return made


def joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Return batches as one table whose columns are in one piece, for each is read many times.

    Its dictionaries are its own: joining leaves them in the file of the first batch, which would
    stay in memory for their sake.
    """
    made = pa.Table.from_batches(batches, schema).combine_chunks()
    for at, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            made = made.set_column(at, field, pa.chunked_array(_own(made.column(at)), field.type))
    return made


def _own(column: pa.ChunkedArray) -> list[pa.DictionaryArray]:
    """Return the pieces of a column, with copies of their dictionaries."""
    return [
        pa.DictionaryArray.from_arrays(
            one.indices, pa.array(one.dictionary.to_pylist(), one.dictionary.type)
        )
        for one in column.chunks
    ]


def usable(table: pa.Table, optional: set[str], below: dict[str, int]) -> pa.Table:
    """Leave out rows that lack a value, or whose value is not below the limit of its column."""
    chosen = None
    for name in table.column_names:
        column = table.column(name)
        rules = []
        if name not in optional and column.null_count:
            rules.append(pc.is_valid(column))
        if name in below and table.num_rows and pc.max(column).as_py() is not None:
            most = pc.max(column).as_py()
            if most >= below[name]:
                rules.append(pc.fill_null(pc.less(column, below[name]), fill_value=False))
        for rule in rules:
            chosen = rule if chosen is None else pc.and_(chosen, rule)
    return table if chosen is None else table.filter(chosen)
