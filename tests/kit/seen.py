"""What the exporter may see of a cluster, and the series that it makes of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from harness.history.proof import ProofAnswer
from harness.history.shown import Standing
from harness.monitoring import families
from harness.monitoring.counts import Count
from harness.monitoring.seen import Seen, SeenFault
from harness.operations import Operation


def host(**changes: Any) -> dict[str, Any]:
    return {
        "at_ns": 1,
        "cpu_busy_ns": 5_000_000_000,
        "cpu_steal_ns": 0,
        "psi_cpu_some_us": 2_500_000,
        "memory_available_bytes": 1 << 30,
        "load_cpu_ns": {"supervisor": 1_000_000_000, "gateway": 5, "load": 2_000_000_000},
        "packets_dropped": 0,
        "cpu_throttled_us": 0,
    } | changes


def answer(count: int = 3, **changes: Any) -> dict[str, Any]:
    """What a supervisor says of a cluster that is up and has no run."""
    return {
        "version": 1,
        "cluster": "main",
        "pid": 1,
        "stage": "up",
        "runtime": "netns",
        "system": "meshnode",
        "topology": "ten",
        "up_since": "2026-01-01T00:00:00+00:00",
        "run": None,
        "phase": None,
        "last_run": None,
        "nodes": [[f"node-{number}", "running"] for number in range(count)],
        "ended": [],
        "faults": [],
        "used": {
            "nodes": [[at, 1000 + at, 10**9 * at, 20, 30 * at, 40] for at in range(count)],
            "host": host(),
            "cores": 2,
        },
    } | changes


def finding(name: str = "p99", said: str = "PASS", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "answer": said,
        "cause": "too few samples" if said == "UNKNOWN" else None,
        "phase": "load",
        "metric": "private_message.end_to_end",
        "unit": "ms",
        "value": 12.5,
        "bound": 50.0,
    } | changes


def look(*findings: dict[str, Any], said: str = "PASS") -> dict[str, Any]:
    return {
        "is_final": False,
        "at_s": 4.5,
        "waiting": {each.word: 1 for each in Operation},
        "verdict": {"answer": said, "findings": list(findings)},
    }


def largest(nodes: int) -> Seen:
    """More of everything than has series: a thousand rows, all UNKNOWN, and as many faults."""
    rows = [finding(f"row {number}", "UNKNOWN") for number in range(1000)]
    faults = [
        SeenFault(name=f"f{number}", does="cut", in_force_s=1.0, standing=Standing.PROVEN)
        for number in range(1000)
    ]
    return Seen(
        cluster=answer(nodes, run="/runs/x", phase="load"),
        faults=tuple(faults),
        run=Path("/runs/x"),
        looks=Counter({str(each): 3 for each in ProofAnswer}),
        counts={each.word: Count() for each in Operation},
        look=look(*rows, said="UNKNOWN"),
    )


def series(seen: Seen) -> dict[tuple[Any, ...], float]:
    """All series: name and labels → value; fails where one is there twice."""
    found: dict[tuple[Any, ...], float] = {}
    for family in made(seen):
        for one in family.samples:
            key = (one.name, *sorted(one.labels.items()))
            assert key not in found, key
            found[key] = one.value
    return found


def made(seen: Seen) -> list[Metric]:
    return list(families.make(seen))
