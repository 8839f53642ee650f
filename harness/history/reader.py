"""The reader makes a History of a run folder: on any machine, later, and after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.errors import BadFileError
from harness.history import events, history, journal, phases, plan
from harness.history.events import RunEnded
from harness.history.folder import VERSION
from harness.history.history import History
from harness.history.proof import Proof
from harness.operations import Operation


def find(path: Path) -> Path:
    """Return the run folder that `path` means: itself, or ``latest`` in it. Raises BadFileError."""
    for candidate in (path, path / "latest"):
        if (candidate / "metadata.json").is_file():
            return candidate.resolve()
    raise BadFileError(f"{path}: expected a run folder with metadata.json in it, found none")


def metadata(path: Path) -> dict[str, Any]:
    """Read metadata.json of a run folder. Raises BadFileError."""
    try:
        found = json.loads((path / "metadata.json").read_text())
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path / 'metadata.json'}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise BadFileError(
            f"{path / 'metadata.json'}: expected version {VERSION}, found "
            f"{found.get('version') if isinstance(found, dict) else found!r}"
        )
    return found


def read(path: Path) -> History:
    """Read the history of a run folder.

    Raises BadFileError where it is not one, or a file in it is foreign.
    """
    facts = metadata(path)
    nodes = facts["nodes"]
    happened = [events.read(json.loads(line)) for line in _lines(path / "events.jsonl")]
    planned = plan.read(facts, _timeline(path))
    return History(
        nodes=tuple(node["name"] for node in nodes),
        wire_ids=tuple(bytes.fromhex(node["wire_id"]) for node in nodes),
        phases=phases.windows(happened, planned),
        plan=planned,
        operations=_table(sorted((path / "load").glob("operations-*.arrow")), history.OPERATIONS),
        samples=_table([path / "samples.arrow"], history.SAMPLES),
        journal=_journal(path, [node["name"] for node in nodes]),
        histograms=_histograms(path),
        gauges=_gauges(path),
        links=_links(path),
        measurements=_measurements(path),
        ready_s=facts.get("ready_s"),
        name=facts["name"],
        proofs=tuple(Proof.from_json(json.loads(line)) for line in _lines(path / "proofs.jsonl")),
        exempt=facts.get("exempt", {}),
        planned_per_s=_planned(facts["load"].get("streams", []), _numbers(facts)),
        host=_table([path / "host.arrow"], history.HOST),
        cores=facts["host"]["cores"],
        events=tuple(happened),
        # A run that somebody ended before its load had ended is as cut short as one that a crash
        # ended.
        ended=any(isinstance(event, RunEnded) for event in happened)
        and not facts["load"].get("interrupted", False),
    )


def _numbers(facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of each operation's word, as the run had them.

    An older folder does not say; the numbers are then those of now.
    """
    own = {operation.word: int(operation) for operation in Operation}
    return {**own, **facts.get("operations", {})}


def _planned(
    streams: list[Mapping[str, Any]], numbers: Mapping[str, int]
) -> dict[tuple[str, int], float]:
    """Return the operations a second that each phase was to have, by the operation's number.

    Streams of the same operation add up.
    """
    found: dict[tuple[str, int], float] = {}
    for stream in streams:
        key = (stream["phase"], numbers[stream["operation"]])
        found[key] = found.get(key, 0.0) + stream["rate_per_s"]
    return found


def _lines(path: Path) -> list[str]:
    """Yield whole lines: one that a crash tore off is left out."""
    try:
        return [line for line in path.read_text().split("\n")[:-1] if line]
    except FileNotFoundError:
        return []


def _timeline(path: Path) -> dict[str, Any]:
    """Return timeline.json; nothing of a folder without one."""
    with suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads((path / "timeline.json").read_text())
        return found
    return {}


def _table(files: list[Path], schema: pa.Schema) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    for file in files:
        with suppress(FileNotFoundError):
            batches += _batches(file, schema)
    return pa.Table.from_batches(batches, schema)


def _batches(file: Path, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Yield the whole batches of a stream; what a crash tore off at its end is left out."""
    found: list[pa.RecordBatch] = []
    with pa.memory_map(str(file)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            return []
        if stream.schema.names != schema.names:
            raise BadFileError(
                f"{file}: expected the columns {', '.join(schema.names)}; found "
                f"{', '.join(stream.schema.names)}"
            )
        with suppress(pa.ArrowInvalid, OSError, StopIteration):
            while True:
                batch = stream.read_next_batch()
                found.append(
                    pa.RecordBatch.from_arrays(
                        [batch.column(field.name).cast(field.type) for field in schema],
                        schema=schema,
                    )
                )
    return found


def _journal(path: Path, nodes: list[str]) -> history.Records:
    """Read all journals as one array, the node's index in each record.

    A record torn by a kill is left out.
    """
    parts = []
    for index, node in enumerate(nodes):
        try:
            data = (path / "journal" / f"{node}.bin").read_bytes()
        except FileNotFoundError:
            continue
        if not data:
            continue
        if data[:8] != journal.MAGIC:
            raise BadFileError(
                f"{path / 'journal' / node}.bin: expected a journal that begins with "
                f"{journal.MAGIC!r}, found {data[:8]!r}"
            )
        count = (len(data) - journal.HEADER_BYTES) // journal.RECORD.itemsize
        records = np.frombuffer(data, journal.RECORD, count, journal.HEADER_BYTES)
        part = np.empty(count, journal.JOURNAL)
        for name in journal.RECORD.names or ():
            part[name] = records[name]
        part["node"] = index
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty(0, journal.JOURNAL)


def _histograms(path: Path) -> dict[tuple[str, int, str], dict[int, int]]:
    """Return what each node's histograms gained in each phase.

    Lines are cumulative, so neighbours are subtracted.
    """
    found: dict[tuple[str, int, str], dict[int, int]] = {}
    before: dict[tuple[int, str], dict[int, int]] = {}
    for line in _lines(path / "histograms.jsonl"):
        entry = json.loads(line)
        for operation, buckets in entry["histograms"].items():
            now = {int(bucket): count for bucket, count in buckets.items()}
            earlier = before.get((entry["node"], operation), {})
            gained = {
                bucket: count - earlier.get(bucket, 0)
                for bucket, count in now.items()
                if count != earlier.get(bucket, 0)
            }
            if entry["phase"] is not None and gained and min(gained.values()) > 0:
                found[entry["phase"], entry["node"], operation] = gained
            before[entry["node"], operation] = now
    return found


def _gauges(path: Path) -> dict[tuple[str, int, str], float]:
    """Return what each node's health said at the end of each phase."""
    found: dict[tuple[str, int, str], float] = {}
    for line in _lines(path / "histograms.jsonl"):
        entry = json.loads(line)
        found |= {
            (entry["phase"], entry["node"], name): value
            for name, value in entry.get("gauges", {}).items()
        }
    return found


def _links(path: Path) -> frozenset[tuple[int, int]]:
    """Return the topology's links as pairs of node indexes."""
    with suppress(FileNotFoundError):
        found = json.loads((path / "topology.json").read_text())
        order = {node["name"]: index for index, node in enumerate(found["nodes"])}
        return frozenset((order[a], order[b]) for a, b in found["links"])
    return frozenset()


def _measurements(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return what was measured beside the nodes: name → values in the base unit of their kind."""
    with suppress(FileNotFoundError):
        return {
            name: np.array(values, np.float64)
            for name, values in json.loads((path / "measurements.json").read_text()).items()
        }
    return {}
