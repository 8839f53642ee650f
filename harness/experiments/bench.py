"""A bench is a run folder too, so its numbers are judged, kept and told like those of every run."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.experiments.judge import Judged, judge
from harness.history import history
from harness.history.events import PhaseBegan, PhasesOver, RunBegan, RunEnded
from harness.history.folder import VERSION, RunFolder
from harness.host.facts import host_facts
from harness.kernel import proc

PHASE = "bench"
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def host_use() -> dict[str, Any]:
    """Read how the host is used now, and what of it this process and its children took, as a row of
    history.HOST. A child counts once it was waited for, with those that it waited for.
    """
    busy, steal = proc.cpu_ticks(Path("/proc/stat").read_bytes())
    own_s = sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return {
        "at_ns": time.monotonic_ns(),
        "cpu_busy_ns": busy * TICK_NS,
        "cpu_steal_ns": steal * TICK_NS,
        "memory_available_bytes": proc.memory_available_bytes(Path("/proc/meminfo").read_bytes()),
        "load_cpu_ns": [(PHASE, round(own_s * 1e9))],
    }


def record(
    name: str,
    measurements: Mapping[str, Sequence[float]],
    *,
    budget: Path,
    runs: Path,
    begun_ns: int,
    runtime: Mapping[str, str],
    host: Sequence[Mapping[str, Any]] = (),
) -> Judged:
    """Write what was measured since `begun_ns` (CLOCK_MONOTONIC) as a run folder, and judge it.

    `measurements`: names of checks/measurements.py → values in base units. `host`: what `host_use`
    said meanwhile; a time that is missed while other processes had the host is UNKNOWN.
    """
    folder = RunFolder(runs, name)
    folder.write_text("budget.toml", budget.read_text())
    folder.write_json(
        "metadata.json",
        {
            "version": VERSION,
            "started": datetime.now(UTC).isoformat(),
            "t0_ns": begun_ns,
            "name": name,
            "plan": [],
            "host": host_facts(),
            "cluster": None,
            "topology": "no cluster",
            "adapter": "meshnode",
            "seed": 0,
            "load": {},
            "runtime": dict(runtime),
            "network": {},
            "nodes": [],
            "failures": [],
            "manifest": True,
        },
    )
    folder.write_json(
        "measurements.json", {key: list(values) for key, values in measurements.items()}
    )
    if host:
        rows = pa.RecordBatch.from_pylist([*host], schema=history.HOST)
        folder.append("host.arrow", rows)
    folder.event(RunBegan(at_ns=begun_ns))
    folder.event(PhaseBegan(phase=PHASE, planned_ns=begun_ns, at_ns=begun_ns))
    folder.event(PhasesOver())
    folder.event(RunEnded())
    folder.seal()
    return judge(folder.path)
