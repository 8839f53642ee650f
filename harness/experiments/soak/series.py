"""Series of what may leak, of nodes and of the harness's own processes, over all windows of a soak.

A window's samples are kept as troughs, a few dozen a series; a process that lived on into the next
window goes on in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.checks import leaks
from harness.checks.leaks import Watched
from harness.checks.slope import Life
from harness.checks.watched import watched
from harness.errors import BadFileError
from harness.experiments.soak.folder import OWN, SAMPLES, SoakFolder
from harness.history.folder import translated
from harness.history.history import History

OWN_PREFIX, PASSING = "harness: ", "harness: load"
OWN_COLUMNS = {"memory": "memory_bytes", "rss": "rss_bytes", "fds": "fds", "threads": "threads"}
POINTS = 60  # of a series in a window
SCHEMA = pa.schema(
    [
        ("of", pa.dictionary(pa.int32(), pa.string())),
        ("resource", pa.dictionary(pa.int32(), pa.string())),
        ("life", pa.uint32()),  # of this series, in this window
        pa.field("process", pa.int64()),  # null: nobody noted it
        ("at_s", pa.float64()),  # of the wall clock
        ("value", pa.float64()),
        pa.field("limit", pa.float64()),  # that it may reach; null: nobody knows of one
        pa.field("limit_is", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def of_run(history: History, wall_s: float) -> list[Watched]:
    """Return the series of a window. `wall_s` makes the wall clock's time of CLOCK_MONOTONIC."""
    found = []
    for one in watched(history):
        of = one.of if one.is_node else f"{OWN_PREFIX}{one.of}"
        if of.startswith(PASSING):  # a load generator has one window
            continue
        lives = tuple(replace(life, at_s=life.at_s + wall_s) for life in one.lives)
        found.append(replace(one, of=of, lives=lives))
    return found


def of_own(lines: Iterable[Mapping[str, Any]]) -> list[Watched]:
    """Return the series of the harness's own processes."""
    found: dict[tuple[str, str], dict[int, list[tuple[float, float]]]] = {}
    for one in lines:
        for resource, key in OWN_COLUMNS.items():
            if one.get(key) is None:  # of an earlier version, or not told
                continue
            lives = found.setdefault((one["process"], resource), {})
            lives.setdefault(one["pid"], []).append((one["at_s"], float(one[key])))
    return [
        Watched(
            of=f"{OWN_PREFIX}{name}",
            resource=resource,
            lives=tuple(
                Life(
                    at_s=np.array([at_s for at_s, _ in some]),
                    values=np.array([value for _, value in some]),
                    process=pid,
                )
                for pid, some in lives.items()
            ),
            is_node=False,
        )
        for (name, resource), lives in found.items()
    ]


def write(file: Path, some: Sequence[Watched], seconds: float) -> None:
    """Keep the troughs of a window's series. Raises StorageError."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for one in leaks.thinned(some, max(seconds / POINTS, 1.0)):
        for number, life in enumerate(one.lives):
            count = len(life.at_s)
            for name, value in (
                ("of", one.of),
                ("resource", one.resource),
                ("life", number),
                ("process", life.process),
                ("limit", one.limit),
                ("limit_is", one.limit_is),
            ):
                columns[name] += [value] * count
            columns["at_s"] += life.at_s.tolist()
            columns["value"] += life.values.tolist()
    table = pa.table(columns, schema=SCHEMA)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    draft = file.with_name(f".{file.name}")
    with translated(file):
        with pa.ipc.new_file(str(draft), SCHEMA, options=options) as writer:
            writer.write_table(table)
        draft.replace(file)


def read(file: Path) -> list[Watched]:
    """Return what `write` kept. Raises BadFileError."""
    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_file(source) as reader:
            if reader.schema.names != SCHEMA.names:
                raise BadFileError(f"{file}: expected columns {SCHEMA.names}")
            table = reader.read_all()
            words = [
                table.column(name).cast(pa.string()).to_pylist()
                for name in ("of", "resource", "limit_is")
            ]
            numbers = [table.column(name).to_pylist() for name in ("limit", "life", "process")]
            at_s, values = (table.column(name).to_numpy().copy() for name in ("at_s", "value"))
    except (OSError, pa.ArrowException) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    found: dict[tuple[str, str], Watched] = {}
    keys = list(zip(*words, *numbers, strict=True))
    edges = [at for at in range(1, len(keys)) if keys[at] != keys[at - 1]]
    for begin, end in pairwise([0, *edges, len(keys)] if keys else [0]):
        of, resource, limit_is, limit, _, process = keys[begin]
        if resource not in leaks.RESOURCES:
            raise BadFileError(f"{file}: there is no resource {resource!r}")
        life = Life(at_s=at_s[begin:end], values=values[begin:end], process=process)
        before = found.get((of, resource))
        found[of, resource] = Watched(
            of=of,
            resource=resource,
            lives=(*(before.lives if before is not None else ()), life),
            limit=limit,
            limit_is=limit_is,
            is_node=not of.startswith(OWN_PREFIX),
        )
    return list(found.values())


def of_soak(folder: SoakFolder) -> tuple[list[Watched], list[str]]:
    """Return all series of a soak, and which windows' could not be read."""
    parts, wrong, lines = list[list[Watched]](), list[str](), list[dict[str, Any]]()
    for window in folder.windows():
        path = folder.window_folder(window.number)
        lines += own_lines(path / OWN)
        if changed := folder.changed_samples(window):
            wrong += changed
            continue
        if not (path / SAMPLES).is_file():
            continue
        try:
            parts.append(read(path / SAMPLES))
        except BadFileError as error:
            wrong.append(str(error))
    return [*leaks.joined(parts), *of_own(lines)], wrong


def own_lines(file: Path) -> list[dict[str, Any]]:
    """Return the lines of harness.jsonl that are whole."""
    found = []
    try:
        text = file.read_text()
    except OSError:
        return []
    for line in text.splitlines():
        try:
            said = json.loads(line)
            found.append({**said, "at_s": float(said["at_s"]), "pid": int(said["pid"])})
        except (ValueError, KeyError, TypeError):
            continue  # torn
    return found
