"""A bench is a run folder too, so its numbers are judged, kept and told like those of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.experiments.judge import Judged, judge
from harness.history.events import PhaseBegan, PhasesOver, RunBegan, RunEnded
from harness.history.folder import VERSION, RunFolder
from harness.host.facts import host_facts

PHASE = "bench"


def record(
    name: str,
    measurements: Mapping[str, Sequence[float]],
    *,
    budget: Path,
    runs: Path,
    begun_ns: int,
    runtime: Mapping[str, str],
) -> Judged:
    """Write what was measured since `begun_ns` (CLOCK_MONOTONIC) as a run folder, and judge it.

    `measurements`: names of checks/measurements.py → values in base units.
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
    folder.event(RunBegan(at_ns=begun_ns))
    folder.event(PhaseBegan(phase=PHASE, planned_ns=begun_ns, at_ns=begun_ns))
    folder.event(PhasesOver())
    folder.event(RunEnded())
    folder.seal()
    return judge(folder.path)
