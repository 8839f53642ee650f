"""The run folder that `make bench-judge` judges: ten nodes and so many operations of one kind, as
two load workers and the nodes' journals would have recorded them. Everything in it is good.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.history import history, journal
from harness.history.events import PhaseBegan, PhasesOver, RunBegan, RunEnded
from harness.history.folder import RunFolder
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.scenario import identifiers
from harness.scenario.schedule import IDENTIFIER, Due, Share, salt, whole
from harness.scenario.stream import Stream

NODES = tuple(f"node-{index}" for index in range(10))
WIRE_IDS = tuple(bytes([index + 1]) * 32 for index in range(10))
NAMES = np.array([int.from_bytes(one[:8], "little") for one in WIRE_IDS], np.uint64)
SECOND, MS = 1_000_000_000, 1_000_000
T0, SEED, WORKERS, RATE_PER_S = 1000 * SECOND, 7, 2, 100_000
LATE_SHARE = 0.001  # of the operations the generator sends 3 ms late, as every generator does
ID_KEY = bytes(range(16))
Ints = npt.NDArray[np.int64]
ROWS = {
    Operation.PRIVATE_MESSAGE: (
        ("delivered", "private_message.delivered", "mean", "%", "==", 100),
        ("p50", "private_message.end_to_end", "p50", "ms", "<", 10),
        ("p99", "private_message.end_to_end", "p99", "ms", "<", 50),
        ("p99.9", "private_message.end_to_end", "p99.9", "ms", "<", 100),
        ("new peers", "private_message.first_contact", "p50", "ms", "<", 100),
        ("received", "private_message.received", "min", "1/s", ">", 10),
    ),
    Operation.BROADCAST: (
        ("coverage", "broadcast.coverage", "min", "%", "==", 100),
        ("p50 to the last", "broadcast.propagation", "p50", "ms", "<", 50),
        ("p99 to the last", "broadcast.propagation", "p99", "ms", "<", 100),
        ("p99 to each", "broadcast.delivery", "p99", "ms", "<", 100),
        ("fanout", "broadcast.fanout", "mean", "1", ">=", 3),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The operations in order of their due times, with the times that they took, ns."""

    due: Due
    ids: npt.NDArray[Any]
    sent_ns: Ints
    done_ns: Ints


def make(root: Path, operation: Operation, count: int) -> Path:
    """Make the folder below `root` and return it."""
    seconds = count / RATE_PER_S
    stream = Stream(operation=operation, rate_per_s=RATE_PER_S, timeout_ms=1000)
    folder = RunFolder(root, f"{operation.word}-{count}")
    folder.write_text("budget.toml", _budget(operation))
    folder.write_json("metadata.json", _facts(stream, seconds))
    links = [[a, b] for a in NODES for b in NODES if a < b]
    folder.write_json("topology.json", {"links": links})
    end_ns = T0 + round(seconds * SECOND)
    for event in (
        RunBegan(at_ns=T0 - SECOND),
        PhaseBegan(at_ns=T0 + MS, phase="load", planned_ns=T0),
        PhasesOver(at_ns=end_ns),
        RunEnded(at_ns=end_ns + SECOND),
    ):
        folder.event(event)
    _write_samples(folder, int(seconds) + 1)
    draw = np.random.default_rng(SEED)
    due = whole(stream, NODES, Share(seed=SEED, phase=0, stream=0), T0, end_ns)
    late = (draw.random(count) < LATE_SHARE) * 3 * MS
    sent_ns = due.intended_ns + late + draw.integers(20_000, 500_000, count)
    ids = np.zeros(count, IDENTIFIER)
    ids["run"] = int.from_bytes(salt(T0, SEED), "little")
    ids["worker"], position = due.number % WORKERS, due.number // WORKERS
    for worker in range(WORKERS):
        mine = ids["worker"] == worker
        ids["sequence"][mine] = identifiers.sequences(ID_KEY, worker, 0, position[mine])
    records = _messages if operation is Operation.PRIVATE_MESSAGE else _broadcasts
    done_ns, journals = records(draw, due, ids, sent_ns)
    _write_journals(folder, journals)
    _write_operations(folder, operation, Made(due=due, ids=ids, sent_ns=sent_ns, done_ns=done_ns))
    folder.seal()
    return folder.path


def _messages(
    draw: np.random.Generator, due: Due, ids: npt.NDArray[Any], sent_ns: Ints
) -> tuple[Ints, list[tuple[Any, ...]]]:
    """When each message was done, and its two records: of its source and of its target."""
    at_ns = sent_ns + 200_000 + draw.exponential(2 * MS, len(ids)).astype(np.int64)
    journals = [
        (RecordKind.SENT, ids, sent_ns + 10_000, due.source, due.target),
        (RecordKind.DELIVERED, ids, at_ns, due.target, due.source),
    ]
    return at_ns + draw.integers(50_000, 300_000, len(ids)), journals


def _broadcasts(
    draw: np.random.Generator, due: Due, ids: npt.NDArray[Any], sent_ns: Ints
) -> tuple[Ints, list[tuple[Any, ...]]]:
    """When each broadcast was done, and its records: of its source, and two of each other node,
    which it reaches along two ways. The source itself sends to three.
    """
    journals = [(RecordKind.STARTED, ids, sent_ns + 10_000, due.source, due.source)]
    at_ns = sent_ns
    for hop in range(1, len(NODES)):
        node, via = ((due.source + step) % len(NODES) for step in (hop, max(hop - 3, 0)))
        at_ns = at_ns + 100_000 + draw.exponential(MS / 2, len(ids)).astype(np.int64)
        again_ns = at_ns + draw.integers(50_000, 500_000, len(ids))
        journals += [
            (RecordKind.RECEIVED, ids, at_ns, node, via),
            (RecordKind.DUPLICATE, ids, again_ns, node, (node + 1) % len(NODES)),
        ]
    return sent_ns + 100_000, journals


def _write_journals(folder: RunFolder, journals: list[tuple[Any, ...]]) -> None:
    for index, name in enumerate(NODES):
        parts = []
        for kind, ids, at_ns, node, peer in journals:
            mine = node == index
            part = np.zeros(int(mine.sum()), journal.RECORD)
            part["kind"], part["hops"], part["size"] = kind, 1, 256
            part["id"] = ids[mine].view("V16")
            part["at_ns"], part["peer"] = at_ns[mine], NAMES[peer[mine]]
            parts.append(part)
        whole_journal = np.concatenate(parts)
        whole_journal = whole_journal[np.argsort(whole_journal["at_ns"], kind="stable")]
        with (folder.path / "journal" / f"{name}.bin").open("wb") as file:
            file.write(journal.header(WIRE_IDS[index]))
            whole_journal.tofile(file)


def _write_operations(folder: RunFolder, operation: Operation, made: Made) -> None:
    """Each worker's operations, in order of their ends, a batch a second."""
    for worker in range(WORKERS):
        mine = np.flatnonzero(made.due.number % WORKERS == worker)
        mine = mine[np.argsort(made.done_ns[mine], kind="stable")]
        batch = RATE_PER_S // WORKERS
        for begin in range(0, len(mine), batch):
            rows = mine[begin : begin + batch]
            folder.append(f"load/operations-{worker}.arrow", _batch(operation, made, rows))


def _batch(operation: Operation, made: Made, rows: npt.NDArray[np.intp]) -> pa.RecordBatch:
    ids = pa.py_buffer(np.ascontiguousarray(made.ids[rows]).tobytes())
    values: dict[str, Any] = {
        "operation": np.full(len(rows), operation),
        "source": made.due.source[rows],
        "target": made.due.target[rows],
        "payload_bytes": np.full(len(rows), 256),
        "intended_ns": made.due.intended_ns[rows],
        "sent_ns": made.sent_ns[rows],
        "done_ns": made.done_ns[rows],
        "outcome": np.zeros(len(rows)),
        "hops": np.ones(len(rows)),
        "answered_by": np.full(len(rows), -1),
    }
    columns = [pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, ids])]
    for field in history.OPERATIONS:
        if field.name in values:
            column = values[field.name].astype(field.type.to_pandas_dtype())
            columns.append(pa.array(column, field.type))
    none = pa.nulls(len(rows), pa.int32())
    columns.append(pa.DictionaryArray.from_arrays(none, pa.array([], pa.string())))
    return pa.RecordBatch.from_arrays(columns, schema=history.OPERATIONS)


def _write_samples(folder: RunFolder, seconds: int) -> None:
    times = [T0 + second * SECOND for second in range(seconds)]
    sampled = dict.fromkeys(history.SAMPLES.names, 1)
    rows = [{**sampled, "at_ns": at, "node": node} for at in times for node in range(len(NODES))]
    folder.append("samples.arrow", pa.RecordBatch.from_pylist(rows, history.SAMPLES))
    host = {
        "cpu_busy_ns": 0,
        "cpu_steal_ns": 0,
        "psi_cpu_some_us": None,
        "memory_available_bytes": 10**9,
        "load_cpu_ns": [("1", 0)],
    }
    hosts = [{**host, "at_ns": at} for at in times]
    folder.append("host.arrow", pa.RecordBatch.from_pylist(hosts, history.HOST))


def _facts(stream: Stream, seconds: float) -> dict[str, Any]:
    return {
        "version": 1,
        "manifest": True,
        "inputs": ["budget.toml", "topology.json"],
        "t0_ns": T0,
        "id_key": ID_KEY.hex(),
        "name": f"{stream.operation.word}s",
        "adapter": "meshnode",
        "topology": "ten",
        "seed": SEED,
        "runtime": {"name": "netns"},
        "nodes": [
            {"name": name, "wire_id": wire_id.hex(), "condition": "running"}
            for name, wire_id in zip(NODES, WIRE_IDS, strict=True)
        ],
        "plan": [{"name": "load", "begin_s": 0.0, "end_s": seconds}],
        "load": {
            "workers": [{"worker": worker} for worker in range(WORKERS)],
            "shares": WORKERS,
            "streams": [stream.as_json("load", seconds)],
        },
        "records": sorted(RecordKind),
        "host": {"cores": 2, "cpu": "c", "kernel": "k"},
    }


def _budget(operation: Operation) -> str:
    keys = ("name", "metric", "statistic", "unit", "comparison")
    tables = []
    for *words, bound in ROWS[operation]:
        said = [f'{key} = "{word}"' for key, word in zip(keys, words, strict=True)]
        tables.append("\n".join(["[[row]]", 'phase = "load"', *said, f"bound = {bound}"]))
    return "\n".join(tables) + "\n"
