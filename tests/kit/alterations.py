"""The files of a run folder, read, altered and written again whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.history import journal


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a table."""
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        found: list[dict[str, Any]] = stream.read_all().to_pylist()
    return found


def write_rows(path: Path, made: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write a table, ended as it should be."""
    with pa.ipc.new_stream(str(path), schema) as writer:
        writer.write_table(pa.Table.from_pylist(list(made), schema))


def lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, said: Sequence[dict[str, Any]]) -> None:
    """Write a file of JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in said))


def facts(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what metadata.json says."""
    said = json.loads((folder / "metadata.json").read_text())
    change(said)
    (folder / "metadata.json").write_text(json.dumps(said))


def move_record(path: Path, chance: random.Random, by_ns: int) -> None:
    """Move the time of one record of a journal."""
    data = path.read_bytes()
    records = np.frombuffer(data, journal.RECORD, offset=journal.HEADER_BYTES).copy()
    records["at_ns"][chance.randrange(len(records))] += by_ns
    path.write_bytes(data[: journal.HEADER_BYTES] + records.tobytes())
