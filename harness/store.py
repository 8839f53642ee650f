"""The run folder (docs/run-folder.md): written as it goes, readable after a crash, self-contained.

``RunFolder`` writes; ``read`` gives the History back, on any machine, later.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness import history, reading
from harness.budget import Budget
from harness.errors import BadFileError, StorageError
from harness.history import History, PhaseWindow
from harness.operation import Operation

VERSION = 1
LATE_NS = 250_000_000               # a player's own lateness, which is no property of the run


def new_folder(root: Path, name: str, now: datetime | None = None) -> Path:
    """Make ``root/name/<time>``, numbered where there is one, and point ``root/latest`` at it. Raises StorageError."""
    moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%S")
    path, number = root / name / moment, 1
    with translated(path):
        while path.exists():
            number += 1
            path = root / name / f"{moment}-{number}"
        path.mkdir(parents=True)
    point_latest(root, path)
    return path


def point_latest(root: Path, path: Path) -> None:
    """Have ``root/latest`` mean that folder. Raises StorageError."""
    with translated(path):
        fresh = root / f".latest-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path.relative_to(root))
        fresh.replace(root / "latest")


class RunFolder:
    """One run while it is recorded. Every write that fails raises StorageError: a run with holes must not look whole."""

    def __init__(self, root: Path, scenario: str, now: datetime | None = None) -> None:
        """Make ``root/scenario/<time>`` and point ``root/latest`` at it."""
        self.path = new_folder(root, scenario, now)
        with translated(self.path):
            for name in ("journal", "load", "logs"):
                (self.path / name).mkdir()
            self._events = (self.path / "events.jsonl").open("a", buffering=1)
        self._lock = threading.Lock()
        self._streams: dict[str, pa.RecordBatchStreamWriter] = {}

    def write_text(self, name: str, text: str) -> None:
        """Write one small file."""
        with translated(self.path / name):
            (self.path / name).write_text(text)

    def write_json(self, name: str, value: object) -> None:
        """Write one small JSON file."""
        self.write_text(name, json.dumps(value, indent=1) + "\n")

    def event(self, event: str, at_ns: int | None = None, **facts: Any) -> None:
        """Append to events.jsonl, at CLOCK_MONOTONIC now unless told otherwise."""
        line = json.dumps({"at_ns": time.monotonic_ns() if at_ns is None else at_ns, "event": event, **facts})
        with translated(self.path / "events.jsonl"), self._lock:
            self._events.write(line + "\n")

    def append(self, name: str, batch: pa.RecordBatch) -> None:
        """Append a batch to an Arrow IPC stream of this folder."""
        with translated(self.path / name), self._lock:
            writer = self._streams.get(name)
            if writer is None:
                writer = self._streams[name] = pa.ipc.new_stream(str(self.path / name), batch.schema)
            writer.write_batch(batch)

    def append_line(self, name: str, value: object) -> None:
        """Append one JSON line."""
        with translated(self.path / name), self._lock, (self.path / name).open("a") as file:
            file.write(json.dumps(value) + "\n")

    def journal(self, node: str) -> int:
        """A descriptor that a node appends its journal to; the caller closes it."""
        with translated(self.path / "journal"):
            return os.open(self.path / "journal" / f"{node}.bin", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def copy_log(self, node: str, log: Path) -> None:
        """Keep the end of a node's log."""
        with translated(self.path / "logs"), suppress(FileNotFoundError):
            data = log.read_bytes()
            (self.path / "logs" / f"{node}.log").write_bytes(data[-65536:])

    def close(self) -> None:
        """Close all files; may be called twice."""
        with translated(self.path), self._lock:
            self._events.close()
            while self._streams:
                self._streams.popitem()[1].close()


class translated:  # noqa: N801 - reads as a word: `with translated(path):`
    """What the file system refuses becomes a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, pa.ArrowException)):
            raise StorageError(f"{self._path} cannot be written: {error}") from error


def find(path: Path) -> Path:
    """The run folder that `path` means: itself, or ``latest`` in it. Raises BadFileError."""
    for candidate in (path, path / "latest"):
        if (candidate / "metadata.json").is_file():
            return candidate.resolve()
    raise BadFileError(f"{path}: expected a run folder with metadata.json in it, found none")


def metadata(path: Path) -> dict[str, Any]:
    """metadata.json of a run folder. Raises BadFileError."""
    try:
        found = json.loads((path / "metadata.json").read_text())
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path / 'metadata.json'}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise BadFileError(f"{path / 'metadata.json'}: expected version {VERSION}, found {found.get('version') if isinstance(found, dict) else found!r}")
    return found


def budget(path: Path) -> Budget | None:
    """The budget of a run folder, None where the run had none."""
    file = path / "budget.toml"
    if not file.is_file():
        return None
    return reading.budget_from(tomllib.loads(file.read_text()), str(file), "budget")


def read(path: Path) -> History:
    """The history of a run folder. Raises BadFileError where it is not one, or a file in it is foreign."""
    facts = metadata(path)
    nodes = facts["nodes"]
    events = [json.loads(line) for line in _lines(path / "events.jsonl")]
    return History(
        nodes=tuple(node["name"] for node in nodes),
        wire_ids=tuple(bytes.fromhex(node["wire_id"]) for node in nodes),
        phases=_phases(events),
        operations=_table(sorted((path / "load").glob("operations-*.arrow")), history.OPERATIONS),
        samples=_table([path / "samples.arrow"], history.SAMPLES),
        journal=_journal(path, [node["name"] for node in nodes]),
        histograms=_histograms(path),
        gauges=_gauges(path),
        links=_links(path),
        measurements=_measurements(path),
        ready_s=facts.get("ready_s"),
        name=facts["name"],
        proofs=tuple(json.loads(line) for line in _lines(path / "proofs.jsonl")),
        exempt=facts.get("exempt", {}),
        planned_per_s=_planned(facts["load"].get("streams", [])),
        host=_table([path / "host.arrow"], history.HOST),
        cores=facts["host"]["cores"],
        events=tuple(events),
        ended=any(event["event"] == "end" for event in events),
    )


def _planned(streams: list[Mapping[str, Any]]) -> dict[tuple[str, int], float]:
    """Operations a second that each phase was to have, by operation; streams of the same kind add up."""
    found: dict[tuple[str, int], float] = {}
    for stream in streams:
        key = (stream["phase"], int(Operation[stream["operation"].upper()]))
        found[key] = found.get(key, 0.0) + stream["rate_per_s"]
    return found


def _lines(path: Path) -> list[str]:
    """Whole lines: one that was torn by a crash is left out."""
    try:
        return [line for line in path.read_text().split("\n")[:-1] if line]
    except FileNotFoundError:
        return []


def _phases(events: list[Mapping[str, Any]]) -> tuple[PhaseWindow, ...]:
    begun = [event for event in events if event["event"] == "phase"]
    begins = [_begin_ns(event) for event in begun]
    closing = [event["at_ns"] for event in events if event["event"] == "phases-over"] or [max((e["at_ns"] for e in events), default=0)]
    return tuple(
        PhaseWindow(name=event["phase"], begin_ns=begin, end_ns=max(end, begin))
        for event, begin, end in zip(begun, begins, [*begins[1:], closing[0]], strict=True)
    )


def _begin_ns(event: Mapping[str, Any]) -> int:
    """When a phase began: as planned, for the load keeps to that by the clock; as executed where the player was really late."""
    executed, planned = int(event["at_ns"]), int(event.get("planned_ns", event["at_ns"]))
    return planned if 0 <= executed - planned < LATE_NS else executed


def _table(files: list[Path], schema: pa.Schema) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    for file in files:
        with suppress(FileNotFoundError):
            batches += _batches(file, schema)
    return pa.Table.from_batches(batches, schema)


def _batches(file: Path, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The whole batches of a stream; what a crash tore off at its end is left out."""
    found: list[pa.RecordBatch] = []
    with pa.memory_map(str(file)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            return []
        if stream.schema.names != schema.names:
            raise BadFileError(f"{file}: expected the columns {', '.join(schema.names)}; found {', '.join(stream.schema.names)}")
        with suppress(pa.ArrowInvalid, OSError, StopIteration):
            while True:
                batch = stream.read_next_batch()
                found.append(pa.RecordBatch.from_arrays([batch.column(field.name).cast(field.type) for field in schema], schema=schema))
    return found


def _journal(path: Path, nodes: list[str]) -> history.Records:
    """All journals as one array, the node's index in each record; a record torn by a kill is left out."""
    parts = []
    width = history.JOURNAL.itemsize - 2
    for index, node in enumerate(nodes):
        try:
            data = (path / "journal" / f"{node}.bin").read_bytes()
        except FileNotFoundError:
            continue
        if not data:
            continue
        if data[:8] != history.JOURNAL_MAGIC:
            raise BadFileError(f"{path / 'journal' / node}.bin: expected a journal that begins with {history.JOURNAL_MAGIC!r}, found {data[:8]!r}")
        count = (len(data) - history.JOURNAL_HEADER_BYTES) // width
        plain = np.dtype([(name, history.JOURNAL[name]) for name in history.JOURNAL.names[:-1]])  # type: ignore[index]
        records = np.frombuffer(data, plain, count, history.JOURNAL_HEADER_BYTES)
        part = np.empty(count, history.JOURNAL)
        for name in plain.names or ():
            part[name] = records[name]
        part["node"] = index
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty(0, history.JOURNAL)


def _histograms(path: Path) -> dict[tuple[str, int, str], dict[int, int]]:
    """What each node's histograms gained in each phase: lines are cumulative, so neighbours are subtracted."""
    found: dict[tuple[str, int, str], dict[int, int]] = {}
    before: dict[tuple[int, str], dict[int, int]] = {}
    for line in _lines(path / "histograms.jsonl"):
        entry = json.loads(line)
        for operation, buckets in entry["histograms"].items():
            now = {int(bucket): count for bucket, count in buckets.items()}
            earlier = before.get((entry["node"], operation), {})
            gained = {bucket: count - earlier.get(bucket, 0) for bucket, count in now.items() if count != earlier.get(bucket, 0)}
            if entry["phase"] is not None and gained and min(gained.values()) > 0:
                found[entry["phase"], entry["node"], operation] = gained
            before[entry["node"], operation] = now
    return found


def _gauges(path: Path) -> dict[tuple[str, int, str], float]:
    """What each node's health said at the end of each phase."""
    found: dict[tuple[str, int, str], float] = {}
    for line in _lines(path / "histograms.jsonl"):
        entry = json.loads(line)
        found |= {(entry["phase"], entry["node"], name): value for name, value in entry.get("gauges", {}).items()}
    return found


def _links(path: Path) -> frozenset[tuple[int, int]]:
    """The topology's links as pairs of node indexes."""
    with suppress(FileNotFoundError):
        found = json.loads((path / "topology.json").read_text())
        order = {node["name"]: index for index, node in enumerate(found["nodes"])}
        return frozenset((order[a], order[b]) for a, b in found["links"])
    return frozenset()


def _measurements(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """What a bench measured beside any cluster: name → values in the base unit of their kind."""
    with suppress(FileNotFoundError):
        return {name: np.array(values, np.float64) for name, values in json.loads((path / "measurements.json").read_text()).items()}
    return {}


def free_bytes(path: Path) -> int:
    """Free space where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
