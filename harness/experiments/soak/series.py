"""Series of what may leak, of nodes and of the harness's own processes, over all windows of a soak.

A window's samples are kept as troughs, a few dozen a series; a process that lived on into the next
window goes on in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.checks import leaks
from harness.checks.leaks import Watched
from harness.checks.slope import Life
from harness.errors import BadFileError
from harness.experiments.soak.folder import OWN, SAMPLES, SoakFolder
from harness.history.events import NodeStarted
from harness.history.folder import translated
from harness.history.history import History

COLUMNS = {  # of the samples: resource → column
    "rss": "rss_bytes",
    "fds": "fds",
    "threads": "threads",
    "connections": "connections",
}
OWN_COLUMNS = {"rss": "rss_bytes", "fds": "fds", "threads": "threads"}
POINTS = 60  # of a series in a window
SCHEMA = pa.schema(
    [
        ("of", pa.dictionary(pa.int32(), pa.string())),
        ("resource", pa.dictionary(pa.int32(), pa.string())),
        ("life", pa.uint32()),  # of this series, in this window
        pa.field("process", pa.int64()),  # null: nobody noted it
        ("at_s", pa.float64()),  # of the wall clock
        ("value", pa.float64()),
    ]
)


def of_run(
    history: History, wall_s: float, began: Mapping[str, int], ended: Mapping[str, int]
) -> list[Watched]:
    """Return the series of the nodes of a window. `wall_s` is what makes the wall clock's time of
    CLOCK_MONOTONIC; `began`, `ended`: the pid of each node that ran before the window, and after.
    """
    samples = history.samples
    at_ns = samples.column("at_ns").to_numpy()
    of_node, cpu_ns = (samples.column(name).to_numpy() for name in ("node", "cpu_ns"))
    columns = {name: samples.column(column).to_numpy() for name, column in COLUMNS.items()}
    starts_ns: dict[str, list[int]] = {}
    for event in history.events:
        if isinstance(event, NodeStarted):
            starts_ns.setdefault(event.node, []).append(event.since_ns or event.at_ns)
    found = []
    for number, name in enumerate(history.nodes):
        rows = np.flatnonzero(of_node == number)
        rows = rows[np.argsort(at_ns[rows], kind="stable")]
        edges = _lives(at_ns[rows], cpu_ns[rows], starts_ns.get(name, []))
        pids = _processes(len(edges) - 1, name, began, ended, is_one=not starts_ns.get(name))
        for resource, values in columns.items():
            lives = tuple(
                Life(
                    at_s=at_ns[rows[begin:end]] / 1e9 + wall_s,
                    values=values[rows[begin:end]].astype(np.float64),
                    process=pid,
                )
                for begin, end, pid in zip(edges[:-1], edges[1:], pids, strict=True)
            )
            found.append(Watched(of=name, resource=resource, lives=lives))
    return found


def _lives(
    at_ns: npt.NDArray[np.int64], cpu_ns: npt.NDArray[np.int64], starts_ns: Sequence[int]
) -> list[int]:
    """Return where each life begins in a node's samples, and their number at last: a process was
    started, or its CPU time began anew.
    """
    anew = set((np.flatnonzero(np.diff(cpu_ns) < 0) + 1).tolist())
    anew |= set(np.searchsorted(at_ns, np.array(sorted(starts_ns), np.int64)).tolist())
    inner = sorted(one for one in anew if 0 < one < len(at_ns))
    return [0, *inner, len(at_ns)] if len(at_ns) else [0]


def _processes(
    count: int, name: str, began: Mapping[str, int], ended: Mapping[str, int], *, is_one: bool
) -> list[int | None]:
    """Return the pid of each life: of the first and the last it is known."""
    pids: list[int | None] = [None] * count
    if count and is_one:
        pids[0] = began.get(name)
    if count:
        pids[-1] = ended.get(name, pids[-1]) if count > 1 or not is_one else pids[-1]
    return pids


def of_own(lines: Iterable[Mapping[str, Any]]) -> list[Watched]:
    """Return the series of the harness's own processes."""
    found: dict[tuple[str, str], dict[int, list[tuple[float, float]]]] = {}
    for one in lines:
        for resource, key in OWN_COLUMNS.items():
            lives = found.setdefault((one["process"], resource), {})
            lives.setdefault(one["pid"], []).append((one["at_s"], float(one[key])))
    return [
        Watched(
            of=f"harness: {name}",
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


def write(file: Path, watched: Sequence[Watched], seconds: float) -> None:
    """Keep the troughs of a window's series. Raises StorageError."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for one in leaks.thinned(watched, max(seconds / POINTS, 1.0)):
        for number, life in enumerate(one.lives):
            count = len(life.at_s)
            for name, value in (
                ("of", one.of),
                ("resource", one.resource),
                ("life", number),
                ("process", life.process),
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
            rows = [table.column(name).cast(pa.string()).to_pylist() for name in ("of", "resource")]
            numbers = [table.column(name).to_pylist() for name in ("life", "process")]
            at_s, values = (table.column(name).to_numpy().copy() for name in ("at_s", "value"))
    except (OSError, pa.ArrowException) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    found: dict[tuple[str, str], list[Life]] = {}
    keys = list(zip(*rows, *numbers, strict=True))
    begin = 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[begin]:
            of, resource, _, process = keys[begin]
            life = Life(at_s=at_s[begin:end], values=values[begin:end], process=process)
            found.setdefault((of, resource), []).append(life)
            begin = end
    return [
        Watched(of=of, resource=resource, lives=tuple(lives))
        for (of, resource), lives in found.items()
    ]


def of_soak(folder: SoakFolder) -> tuple[list[Watched], list[str]]:
    """Return all series of a soak, and which windows' could not be read."""
    parts, wrong, lines = list[list[Watched]](), list[str](), list[dict[str, Any]]()
    for window in folder.windows():
        path = folder.window_folder(window.number)
        lines += own_lines(path / OWN)
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
