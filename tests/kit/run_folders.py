"""A whole run folder, small and good: four nodes, three phases, two load workers, one fault.

Every file of it is written by what writes it in a run, except what the nodes write themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.history import history as h
from harness.history import journal
from harness.history.events import FaultChanged, PhaseBegan, PhasesOver, RunBegan, RunEnded
from harness.history.folder import RunFolder
from harness.history.proof import READ_BACK, Proof, ProofAnswer
from harness.load.flight import Flight
from harness.load.record import Record
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from kit.histories import MS, SECOND, host, identifier, sample

NODES = tuple(f"node-{index}" for index in range(4))
WIRE_IDS = tuple(bytes([index + 1]) * 32 for index in range(4))
T0 = 1000 * SECOND
PHASES = (("idle", 0, 4), ("load", 4, 16), ("settle", 16, 22))  # seconds after T0
END_NS = T0 + PHASES[-1][2] * SECOND
FAULT = ("slow", T0 + 6 * SECOND, T0 + 14 * SECOND)
RATES = {Operation.PRIVATE_MESSAGE: 20, Operation.BROADCAST: 5}  # a second of phase load
BUDGET = """
[[row]]
name = "latency"
metric = "private_message.end_to_end"
phase = "load"
statistic = "p90"
unit = "ms"
bound = 10.0
[[row]]
name = "delivered"
metric = "private_message.delivered"
phase = "load"
statistic = "mean"
unit = "%"
comparison = "=="
bound = 100.0
[[row]]
name = "latency under"
metric = "private_message.end_to_end"
phase = "load"
under = "slow"
statistic = "p90"
unit = "ms"
bound = 10.0
[[row]]
name = "received"
metric = "private_message.received"
phase = "load"
node = "node-1"
statistic = "mean"
unit = "1/s"
comparison = ">"
bound = 1.0
[[row]]
name = "coverage"
metric = "broadcast.coverage"
phase = "load"
statistic = "min"
unit = "%"
comparison = "=="
bound = 100.0
[[row]]
name = "hops"
metric = "private_message.stretch"
phase = "load"
statistic = "max"
unit = "1"
bound = 2.0
[[row]]
name = "sent on time"
metric = "pacer.lag"
phase = "load"
statistic = "p90"
unit = "ms"
bound = 1.0
[[row]]
name = "memory"
metric = "rss"
phase = "load"
statistic = "max"
unit = "MB"
bound = 100.0
[[row]]
name = "memory of one"
metric = "rss"
phase = "load"
node = "node-2"
statistic = "max"
unit = "MB"
bound = 100.0
[[row]]
name = "idle CPU"
metric = "cpu"
phase = "idle"
statistic = "max"
unit = "%"
bound = 50.0
[[row]]
name = "network"
metric = "network"
phase = "load"
statistic = "max"
unit = "KB/s"
bound = 100.0
[[row]]
name = "settled network"
metric = "network.out"
phase = "settle"
statistic = "max"
unit = "KB/s"
bound = 100.0
[[row]]
name = "verify"
metric = "node.verify"
phase = "load"
statistic = "p90"
unit = "ms"
bound = 1000.0
[[row]]
name = "routes"
metric = "node.routes"
phase = "settle"
statistic = "min"
unit = "1"
comparison = ">="
bound = 3.0
[[row]]
name = "ready"
metric = "cluster.ready"
phase = "idle"
statistic = "max"
unit = "s"
bound = 60.0
[[row]]
name = "beside"
metric = "iperf3.goodput"
phase = "load"
statistic = "mean"
unit = "MB/s"
comparison = ">"
bound = 1.0
"""


def good(runs: Path) -> Path:
    """Make the folder below `runs`; judged, every row of it is PASS."""
    folder = RunFolder(runs, "small")
    folder.write_text("budget.toml", BUDGET)
    folder.write_json(
        "topology.json",
        {
            "nodes": [{"name": name} for name in NODES],
            "links": [[a, b] for a in NODES for b in NODES if a < b],
        },
    )
    _write_events(folder)
    journals = {name: [journal.header(WIRE_IDS[index])] for index, name in enumerate(NODES)}
    _write_operations(folder.path, journals)
    for name, parts in journals.items():
        (folder.path / "journal" / f"{name}.bin").write_bytes(b"".join(parts))
    _write_samples(folder)
    _write_histograms(folder)
    _write_proofs(folder)
    folder.write_json("measurements.json", {"iperf3.goodput": [12_500_000.0]})
    folder.write_json("metadata.json", _facts())
    folder.seal()
    return folder.path


def _facts() -> dict[str, Any]:
    return {
        "version": 1,
        "manifest": True,
        "t0_ns": T0,
        "name": "small",
        "adapter": "meshnode",
        "topology": "four",
        "seed": 1,
        "runtime": {"name": "netns"},
        "ready_s": 1.5,
        "nodes": [
            {"name": name, "wire_id": wire_id.hex(), "condition": "running"}
            for name, wire_id in zip(NODES, WIRE_IDS, strict=True)
        ],
        "plan": [
            {"name": name, "begin_s": float(begin), "end_s": float(end), "idle": name == "idle"}
            for name, begin, end in PHASES
        ],
        "load": {
            "workers": [{"worker": 0}, {"worker": 1}],
            "streams": [
                {
                    "phase": "load",
                    "operation": operation.word,
                    "rate_per_s": float(rate),
                    "timeout_ms": 1000,
                }
                for operation, rate in RATES.items()
            ],
        },
        "host": {"cores": 4, "cpu": "c", "kernel": "k"},
    }


def _write_events(folder: RunFolder) -> None:
    folder.event(RunBegan(at_ns=T0 - SECOND))
    told = {"fault": FAULT[0], "words": "node-1 -> node-2 delay 1ms", "does": "delay 1 ms"}
    for name, begin, _ in PHASES[:2]:
        at_ns = T0 + begin * SECOND
        folder.event(PhaseBegan(at_ns=at_ns + MS, phase=name, planned_ns=at_ns))
    for verb, at_ns in (("set", FAULT[1]), ("clear", FAULT[2])):
        folder.event(
            FaultChanged(at_ns=at_ns, verb=verb, **told, paths=1, set_ns=at_ns, took_ms=1.0)
        )
    settle_ns = T0 + PHASES[2][1] * SECOND
    folder.event(PhaseBegan(at_ns=settle_ns + MS, phase="settle", planned_ns=settle_ns))
    folder.event(PhasesOver(at_ns=END_NS))
    folder.event(RunEnded(at_ns=END_NS + SECOND))


def _write_operations(path: Path, journals: dict[str, list[bytes]]) -> None:
    records = [Record(path, worker=worker, workers=2, seed=1) for worker in range(2)]
    number, (begin, end) = 0, PHASES[1][1:]
    for second in range(begin, end):
        for operation, rate in RATES.items():
            for at in range(rate):
                number += 1
                due_ns = T0 + second * SECOND + at * SECOND // rate
                source = number % len(NODES)
                to_all = operation is Operation.BROADCAST
                flight = Flight(
                    id=identifier(number),
                    operation=operation,
                    source=source,
                    target=-1 if to_all else (source + 1 + number // 4 % 3) % len(NODES),
                    payload_bytes=64,
                    intended_ns=due_ns,
                    sent_ns=due_ns + MS // 10,
                    deadline_ns=due_ns + SECOND,
                )
                done_ns = due_ns + 2 * MS
                records[number % 2].add(flight, Outcome.OK, done_ns=done_ns, hops=1)
                _journal(flight, done_ns, journals)
        for record in records:
            record.write()
    for record in records:
        record.close()


def _journal(flight: Flight, done_ns: int, journals: dict[str, list[bytes]]) -> None:
    """Have the receivers of an operation note it."""
    to_all = flight.target < 0
    for index, name in enumerate(NODES):
        if index == flight.target or (to_all and index != flight.source):
            kind = RecordKind.RECEIVED if to_all else RecordKind.DELIVERED
            journals[name].append(journal.record(kind, flight.id, done_ns, WIRE_IDS[flight.source]))


def _write_samples(folder: RunFolder) -> None:
    for second in range(-1, PHASES[-1][2] + 1):
        at_s = (T0 + second * SECOND) / SECOND + 0.1
        count = second + 2
        rows = [
            sample(
                at_s,
                node,
                rss_bytes=10_000_000 + node,
                cpu_ns=count * 10_000_000,
                fds=20,
                threads=2,
                bytes_in=count * 1000,
                bytes_out=count * 1000,
                packets_in=count,
                packets_out=count,
            )
            for node in range(len(NODES))
        ]
        folder.append("samples.arrow", pa.RecordBatch.from_pylist(rows, h.SAMPLES))
        folder.append("host.arrow", pa.RecordBatch.from_pylist([host(at_s, count)], h.HOST))


def _write_histograms(folder: RunFolder) -> None:
    for number, (name, _, _) in enumerate(PHASES, 1):
        for node in range(len(NODES)):
            folder.append_line(
                "histograms.jsonl",
                {
                    "phase": name,
                    "node": node,
                    "histograms": {"verify": {"500": 100 * number, "600": 50 * number}},
                    "gauges": {"routes": 3, "journal_errors": 0},
                },
            )


def _write_proofs(folder: RunFolder) -> None:
    name, set_ns, clear_ns = FAULT
    path = (NODES[1], NODES[2])

    def proof(at_ns: int, what: str, answer: ProofAnswer, **amounts: Any) -> None:
        of = None if what == READ_BACK else path
        made = Proof(
            at_ns=at_ns, fault=name, path=of, what=what, backend="nft", answer=answer, **amounts
        )
        folder.append_line("proofs.jsonl", made.as_json())

    for at_ns in range(set_ns + SECOND, clear_ns, 2 * SECOND):
        proof(at_ns, READ_BACK, ProofAnswer.IN_FORCE)
        proof(at_ns, "delay", ProofAnswer.IN_FORCE, asked=1.0, achieved=1.0, n=8, tolerance=0.1)
    proof(clear_ns + SECOND, READ_BACK, ProofAnswer.IN_FORCE)
    proof(clear_ns + SECOND, "clear", ProofAnswer.GONE, n=8)
