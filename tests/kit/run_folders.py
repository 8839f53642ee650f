"""A whole run folder, small and good: four nodes, three phases, two load workers, two faults.

Its operations are exactly those of its seeded schedule. One fault is of a path; the other stops a
node, which the harness starts again. Every file of it is written by what writes it in a run, except
what the nodes write themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.faults import spec
from harness.faults.fault import Verb
from harness.history import history as h
from harness.history import journal
from harness.history.events import (
    FaultChanged,
    NodeChanged,
    NodeStarted,
    PhaseBegan,
    PhasesOver,
    RunBegan,
    RunEnded,
)
from harness.history.folder import RunFolder
from harness.history.proof import READ_BACK, Proof, ProofAnswer
from harness.load.flight import Flight
from harness.load.record import Record
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario import timeline
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.schedule import Share
from harness.scenario.stream import Arrivals, Stream
from harness.topology.topology import Node, Topology
from kit.histories import MS, SECOND, host, sample
from kit.schedules import sequence

NODES = tuple(f"node-{index}" for index in range(4))
WIRE_IDS = tuple(bytes([index + 1]) * 32 for index in range(4))
T0 = 1000 * SECOND
WORKERS = 2
SLOW = spec.parse({"where": "node-1 -> node-2", "delay": "1ms", "name": "slow", "at_s": 2})
GONE = spec.parse({"where": "node-3", "condition": "stopped", "name": "gone", "at_s": 1})
SCENARIO = Scenario(
    name="small",
    topology=Topology(
        name="four",
        nodes=tuple(Node(name=name) for name in NODES),
        links=frozenset((a, b) for a in NODES for b in NODES if a < b),
    ),
    phases=(
        Phase(name="idle", duration_s=4),
        Phase(
            name="load",
            duration_s=12,
            streams=(
                Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=20, timeout_ms=1000),
                Stream(
                    operation=Operation.BROADCAST,
                    rate_per_s=5,
                    arrivals=Arrivals.POISSON,
                    timeout_ms=1000,
                ),
            ),
            faults=(replace(SLOW, for_s=8.0),),
        ),
        Phase(
            name="settle",
            duration_s=6,
            streams=(
                Stream(
                    operation=Operation.BROADCAST,
                    rate_per_s=2,
                    sources=NODES[:3],
                    timeout_ms=1000,
                ),
                Stream(
                    operation=Operation.PRIVATE_MESSAGE,
                    rate_per_s=10,
                    target="node-2",
                    sources=NODES[:2],
                    after_s=0.5,
                    count=20,
                    timeout_ms=1000,
                ),
            ),
            faults=(replace(GONE, for_s=2.0),),
        ),
    ),
)
TIMELINE = timeline.compile(SCENARIO)
END_NS = T0 + round((TIMELINE.phases[-1].end_s or 0) * SECOND)
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
[[row]]
name = "settled delivered"
metric = "private_message.delivered"
phase = "settle"
statistic = "mean"
unit = "%"
comparison = "=="
bound = 100.0
[[row]]
name = "settled coverage"
metric = "broadcast.coverage"
phase = "settle"
statistic = "min"
unit = "%"
comparison = "=="
bound = 100.0
"""


def good(runs: Path, took_ms: float = 2) -> Path:
    """Make the folder below `runs`; judged, every row of it is PASS. `took_ms`: how long each
    operation took.
    """
    folder = RunFolder(runs, SCENARIO.name)
    folder.write_text("budget.toml", BUDGET)
    folder.write_json("topology.json", SCENARIO.topology.as_json())
    folder.write_json("timeline.json", TIMELINE.as_json())
    _write_events(folder)
    _write_operations(folder.path, round(took_ms * MS))
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
        "inputs": ["budget.toml", "timeline.json", "topology.json"],
        "before": {"runs": [], "commands": 0},
        "failed_is_certain": True,
        "t0_ns": T0,
        "name": SCENARIO.name,
        "adapter": "meshnode",
        "topology": SCENARIO.topology.name,
        "seed": SCENARIO.seed,
        "runtime": {"name": "netns"},
        "ready_s": 1.5,
        "nodes": [
            {"name": name, "wire_id": wire_id.hex(), "condition": "running"}
            for name, wire_id in zip(NODES, WIRE_IDS, strict=True)
        ],
        "plan": TIMELINE.as_json()["phases"],
        "load": {
            "workers": [{"worker": worker} for worker in range(WORKERS)],
            "shares": WORKERS,
            "streams": [said for phase in SCENARIO.phases for said in phase.streams_as_json()],
        },
        "host": {"cores": 4, "cpu": "c", "kernel": "k"},
    }


def at_ns(seconds: float) -> int:
    """When the run was so many seconds old."""
    return T0 + round(seconds * SECOND)


def _write_events(folder: RunFolder) -> None:
    happened: list[Any] = [
        RunBegan(at_ns=T0 - SECOND),
        *(
            PhaseBegan(
                at_ns=at_ns(phase.begin_s) + MS, phase=phase.name, planned_ns=at_ns(phase.begin_s)
            )
            for phase in TIMELINE.phases
        ),
        PhasesOver(at_ns=END_NS),
        RunEnded(at_ns=END_NS + SECOND),
    ]
    numbers = {fault.name: number for number, fault in enumerate(TIMELINE.faults)}
    for fault in TIMELINE.faults:
        line = {"number": numbers[fault.name], **fault.as_json()}
        folder.append_line("faults.jsonl", line)
    for change in TIMELINE.changes:
        fault, set_ns = change.fault, at_ns(change.at_s)
        happened.append(
            FaultChanged(
                at_ns=set_ns + 3 * MS,
                verb=str(change.verb),
                fault=fault.name,
                words=fault.words,
                does=fault.does,
                paths=fault.count,
                nodes=fault.nodes,
                set_ns=set_ns + 2 * MS,
                took_ms=1.0,
                resolved=numbers[fault.name],
            )
        )
        happened += [
            NodeChanged(at_ns=set_ns + 2 * MS, node=node, condition="stopped", since_ns=set_ns)
            if change.verb is Verb.SET
            else NodeStarted(at_ns=set_ns + 2 * MS, node=node, journals_ns=set_ns + MS)
            for node in fault.nodes
        ]
    for event in sorted(happened, key=lambda one: one.at_ns):
        folder.event(event)


def is_gone(node: str, time_ns: int) -> bool:
    """Whether the harness had stopped this node, or was at it."""
    begin_ns, end_ns = (at_ns(one.at_s) for one in TIMELINE.changes if node in one.fault.nodes)
    return begin_ns <= time_ns <= end_ns + 2 * MS


def _flights(worker: int) -> Iterator[Flight]:
    """All that one worker was to send, stream by stream."""
    number = 0
    for phase, (planned, told) in enumerate(zip(SCENARIO.phases, TIMELINE.phases, strict=True)):
        for place, stream in enumerate(planned.streams):
            share = Share(
                seed=SCENARIO.seed, phase=phase, stream=place, worker=worker, workers=WORKERS
            )
            begin_ns, end_ns = at_ns(told.begin_s), at_ns(told.end_s or 0)
            for id_, due_ns, source, target in sequence(
                stream, number, NODES, share, T0, begin_ns, end_ns
            ):
                yield Flight(
                    id=id_,
                    operation=stream.operation,
                    source=source,
                    target=target,
                    payload_bytes=stream.payload_bytes,
                    intended_ns=due_ns,
                    sent_ns=due_ns + MS // 10,
                    deadline_ns=due_ns + SECOND,
                )
            number += 1


def _write_operations(path: Path, took_ns: int) -> None:
    journals: dict[str, list[tuple[int, bytes]]] = {name: [] for name in NODES}
    for worker in range(WORKERS):
        record = Record(path, worker=worker, workers=WORKERS, seed=SCENARIO.seed)
        second = 0
        for flight in sorted(_flights(worker), key=lambda one: one.intended_ns):
            if flight.intended_ns // SECOND != second:
                second = flight.intended_ns // SECOND
                record.write()
            done_ns = flight.intended_ns + took_ns
            record.add(flight, Outcome.OK, done_ns=done_ns, hops=1)
            _journal(flight, done_ns, journals)
        record.close()
    for index, (name, records) in enumerate(journals.items()):
        written = [journal.header(WIRE_IDS[index]), *(one for _, one in sorted(records))]
        (path / "journal" / f"{name}.bin").write_bytes(b"".join(written))


def _journal(flight: Flight, done_ns: int, journals: dict[str, list[tuple[int, bytes]]]) -> None:
    """Have the receivers of an operation note it, but for who did not run."""
    to_all = flight.target < 0
    for index, name in enumerate(NODES):
        due = index == flight.target or (to_all and index != flight.source)
        if due and not (name in TIMELINE.changes[-1].fault.nodes and is_gone(name, done_ns)):
            kind = RecordKind.RECEIVED if to_all else RecordKind.DELIVERED
            peer = WIRE_IDS[flight.source]
            journals[name].append((done_ns, journal.record(kind, flight.id, done_ns, peer)))


def _write_samples(folder: RunFolder) -> None:
    gone = TIMELINE.changes[-1]
    for second in range(-1, round(TIMELINE.phases[-1].end_s or 0) + 1):
        time_ns = at_ns(second + 0.1)
        count = second + 2
        rows = []
        for node, name in enumerate(NODES):
            stops = name in gone.fault.nodes
            if stops and is_gone(name, time_ns):
                continue
            lived = count if not stops or second < gone.at_s else second - round(gone.at_s) + 1
            rows.append(
                sample(
                    time_ns / SECOND,
                    node,
                    rss_bytes=10_000_000 + node,
                    cpu_ns=lived * 10_000_000,
                    fds=20,
                    threads=2,
                    bytes_in=count * 1000,
                    bytes_out=count * 1000,
                    packets_in=count,
                    packets_out=count,
                )
            )
        folder.append("samples.arrow", pa.RecordBatch.from_pylist(rows, h.SAMPLES))
        seen = host(time_ns / SECOND, count)
        folder.append("host.arrow", pa.RecordBatch.from_pylist([seen], h.HOST))


def _write_histograms(folder: RunFolder) -> None:
    gone = TIMELINE.changes[-1]
    for number, phase in enumerate(TIMELINE.phases, 1):
        for node, name in enumerate(NODES):
            anew = name in gone.fault.nodes and (phase.end_s or 0) > gone.at_s
            count = 1 if anew else number
            folder.append_line(
                "histograms.jsonl",
                {
                    "phase": phase.name,
                    "node": node,
                    "histograms": {"verify": {"500": 100 * count, "600": 50 * count}},
                    "gauges": {"routes": 3, "journal_errors": 0},
                },
            )


def _write_proofs(folder: RunFolder) -> None:
    def proof(time_ns: int, fault: Any, what: str, answer: ProofAnswer, **amounts: Any) -> None:
        on = {READ_BACK: None, "condition": None}.get(what, (NODES[1], NODES[2]))
        backend = "signals" if fault.nodes else "nft"
        made = Proof(
            at_ns=time_ns,
            fault=fault.name,
            path=on,
            what=what,
            backend=backend,
            answer=answer,
            **amounts,
        )
        folder.append_line("proofs.jsonl", made.as_json())

    delay = {"asked": 1.0, "achieved": 1.0, "n": 8, "tolerance": 0.1}
    began_ns = 0
    numbers = {fault.name: number for number, fault in enumerate(TIMELINE.faults)}
    for fault in TIMELINE.faults:
        line = {"number": numbers[fault.name], **fault.as_json()}
        folder.append_line("faults.jsonl", line)
    for change in TIMELINE.changes:
        fault, set_ns = change.fault, at_ns(change.at_s)
        is_set, began_ns = change.verb is Verb.SET, set_ns if change.verb is Verb.SET else began_ns
        if fault.nodes:
            shown = ProofAnswer.IN_FORCE if is_set else ProofAnswer.GONE
            proof(set_ns + 2 * MS, fault, "condition", shown)
        elif not is_set:
            for time_ns in range(began_ns + SECOND, set_ns, 2 * SECOND):
                proof(time_ns, fault, READ_BACK, ProofAnswer.IN_FORCE)
                proof(time_ns, fault, "delay", ProofAnswer.IN_FORCE, **delay)
            proof(set_ns + SECOND, fault, READ_BACK, ProofAnswer.IN_FORCE)
            proof(set_ns + SECOND, fault, "clear", ProofAnswer.GONE, n=8)
