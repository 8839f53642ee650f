"""A replay plays a run again, as it was executed: the same topology, system, runtime and seed, the
same schedule of operations, each fault at its moment, judged by the same budget.

1. read the original (original.py); refuse what cannot be played before anything starts
2. play it as any run is played (run.py), into a run folder that says of which run it is a replay
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checks import rows as budget_rows
from harness.control import state
from harness.control.client import Client
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, UsageError
from harness.experiments import original, run
from harness.experiments.judge import Judged
from harness.experiments.original import Original
from harness.experiments.run import Play
from harness.history import manifest
from harness.scenario import files, workload
from harness.systems import abilities


def replay(
    source: Path,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    system: str | None = None,
    runs: Path = Path("runs"),
    progress: Progress = nobody,
) -> Judged:
    """Play a run again and judge it. `source`: its folder, or the ``latest`` in a folder of runs.

    `runtime_name` auto: the original's. `system` says where the system under test is now. Raises
    BadFileError, UsageError before anything starts where it cannot be played, and what a run
    raises.
    """
    first = _checked(original.read(original.find(source)), system)
    _require_quiet(cluster)
    return run.play(
        made(first),
        cluster=cluster,
        runtime_name=first.runtime if runtime_name == "auto" else runtime_name,
        runs=runs,
        workers=first.workers,
        progress=progress,
    )


def made(of: Original) -> Play:
    """Make what is played of an original."""
    load = json.dumps(of.workload.as_json(), indent=1) + "\n"
    return Play(
        scenario=of.scenario,
        timeline=of.timeline,
        source=of.folder,
        files={**of.files, workload.FILE: load},
        facts={"replay": {"of": identity(of)}},
    )


def identity(of: Original) -> dict[str, Any]:
    """Say which run an original is, also where its folder is not: when it began, and the hash of
    its manifest, which holds those of all its files.
    """
    sealed = of.folder / manifest.FILE
    return {
        "run": str(of.folder),
        "name": of.facts["name"],
        "started": of.facts.get("started", ""),
        "t0_ns": of.facts["t0_ns"],
        "manifest_sha256": hashlib.sha256(sealed.read_bytes()).hexdigest()
        if sealed.is_file()
        else None,
    }


def _checked(of: Original, system: str | None) -> Original:
    """Return the original on the system that is there now.

    Raises BadFileError where the system's file is gone, or the budget cannot be measured, and
    UsageError where the system cannot do what is asked.
    """
    topology = run.with_system(of.scenario.topology, system)
    adapter = Path(topology.adapter)
    if adapter.suffix == ".toml" and not adapter.is_file():
        raise BadFileError(
            f"the system under test was {adapter}, which is gone; expected it there, or --system "
            f"FILE, where it is now{_kept_as(of)}"
        )
    abilities.require(replace(of.scenario, topology=topology))
    if of.scenario.budget is not None:
        budget_rows.validate(files.read_budget(of.scenario.budget).rows)
    return replace(of, scenario=replace(of.scenario, topology=topology))


def _kept_as(of: Original) -> str:
    kept = of.folder / "system.toml"
    return f" (the run kept its text as {kept})" if kept.is_file() else ""


def _require_quiet(cluster: str | None) -> None:
    """Raise UsageError where the cluster that is up has faults that are none of the replay's."""
    name = state.cluster_name(cluster)
    if not state.is_alive(name):
        return
    with Client.connect(name) as client:
        status: Mapping[str, Any] = client.status()
    if status["faults"]:
        raise UsageError(
            f"cluster {name!r} is up with faults in force ({', '.join(status['faults'])}), which "
            "no replay has; expected none: `harness fault clear`, or another cluster (--cluster)"
        )
