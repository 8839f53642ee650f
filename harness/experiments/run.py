"""An experiment runs from file to verdict.

1. read: the scenario, its topology and its budget; refuse what cannot be before anything starts,
   also what cannot be here (beforehand.py)
2. up: start the cluster, unless one of the same topology is up under that name
3. begin: hand the compiled timeline to the supervisor, which opens the run folder
4. load: start Locust as a child; it starts the clock, drives the phases, drains, and ends the run
5. down: take the cluster down, if step 2 started it
6. judge the run folder
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checks import rows as budget_rows
from harness.checks import selection
from harness.choices import one_of
from harness.control import state, wanted
from harness.control.client import Client
from harness.control.interrupts import held_back
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.errors import (
    BadFileError,
    HarnessError,
    InterruptedByUserError,
    StorageError,
    UnavailableError,
    UsageError,
)
from harness.experiments import beforehand, judge
from harness.experiments.cluster import down, up
from harness.experiments.judge import Judged
from harness.network import injectors
from harness.scenario import files, shipped, timeline
from harness.scenario.scenario import Scenario
from harness.scenario.timeline import PlannedPhase, Timeline
from harness.systems import abilities, adapters
from harness.systems.adapter import NodeAdapter
from harness.topology.topology import Topology

WORKERS_MOST = 64  # that send the load of a run
LOAD_GRACE_S = 120.0  # beyond the phases: Locust's start, the drain, the writing
POLL_S = 0.25
Began = Callable[[Path], None]  # told where a run is recorded, once it has begun


def untold(folder: Path) -> None:
    """Nobody asked where the run is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What is to be played: the load of a scenario, and a timeline, which is compiled from its
    words or comes from elsewhere.

    `source`: the scenario's file, as the load generator is told; `files`: what the run folder keeps
    of it, by name; `facts`: what its metadata say besides.
    """

    scenario: Scenario
    timeline: Timeline
    source: Path
    files: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def run(
    scenario: Path,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    runs: Path = Path("runs"),
    workers: int = 1,
    system: str | None = None,
    keep: bool = False,
    progress: Progress = nobody,
    began: Began = untold,
) -> Judged:
    """Play a scenario and judge it, in the steps that this file's docstring lists.

    A cluster that was up before stays up. One that this starts ends with the run, and with this
    process however it ends, unless `keep` says that it stays. `system` puts another system under
    test than the scenario names, and asks it for what it can do of it.
    """
    planned = abilities.fitted(files.read_scenario(scenario, system), system)
    asked = Play(
        scenario=planned,
        timeline=check(planned),
        source=scenario,
        files={
            "scenario.toml": scenario.read_text(),
            "topology.toml": files.topology_of(scenario).read_text(),
        },
    )
    return play(
        asked,
        cluster=cluster,
        runtime_name=runtime_name,
        runs=runs,
        workers=workers,
        keep=keep,
        progress=progress,
        began=began,
    )


def require_workers(workers: int) -> None:
    """Raise UsageError for a number of load workers that no run has."""
    if (
        isinstance(workers, bool)
        or not isinstance(workers, int)
        or not 1 <= workers <= WORKERS_MOST
    ):
        raise UsageError(f"workers: expected 1 to {WORKERS_MOST}, found {workers!r}")


def play(
    asked: Play,
    *,
    cluster: str | None,
    runtime_name: str,
    runs: Path,
    workers: int,
    keep: bool = False,
    progress: Progress = nobody,
    began: Began = untold,
) -> Judged:
    """Play what was read and checked, and judge it; see `run`."""
    require_workers(workers)
    beforehand.require([asked.timeline], cluster=cluster, runtime_name=runtime_name, runs=runs)
    name, topology = state.cluster_name(cluster), asked.scenario.topology
    ours = not state.is_alive(name)
    with Hold() as held:
        if ours:
            up(topology, cluster=name, runtime_name=runtime_name, progress=progress, held=held)
            if keep:
                held.keep()
            else:
                held.callback(down, name)
        else:
            same(name, topology, runtime_name)
        folder = record(asked, name, runs, workers, progress, began=began)
    progress("judge", 0, 1)
    judged = judge.judge(folder)
    progress("judge", 1, 1)
    return judged


def check(planned: Scenario, *, imports: bool = True) -> Timeline:
    """Return the timeline of a scenario that can be run.

    `imports`: whether a system, or a check, that is Python of the user's own may be imported; it is
    not looked at otherwise. Raises UsageError for what its system cannot do and for a check that
    cannot be had, BadFileError for faults that name what is not there and a budget that cannot be
    measured, UnavailableError for a fault of streams where its nodes dial none.
    """
    abilities.require(planned, imports=imports)
    selection.require(planned.checks, imports=imports)
    if planned.budget is not None:
        rows = files.read_budget(planned.budget).rows
        budget_rows.validate_for(rows, abilities.own_metrics_of(planned, imports=imports))
        phases = [phase.name for phase in planned.phases]
        for row in rows:
            of = row.conditions
            if of.scenario in (None, planned.name) and of.phase not in phases:
                raise BadFileError(
                    f"{planned.budget}: row {row.name}: phase: {one_of(of.phase, phases)}"
                )
    played = timeline.compile(planned)
    if imports or not adapters.is_foreign(planned.topology.adapter):
        _require_streams(played, adapters.named(planned.topology.adapter))
    return played


def _require_streams(played: Timeline, adapter: NodeAdapter) -> None:
    for fault in played.faults:
        if "toxic" in fault.impairment.kinds and not adapter.ports:
            why = injectors.BACKENDS["toxiproxy"].absent
            raise UnavailableError(f"fault {fault.name}: toxic: {adapter.name}: {why}")


def same(cluster: str, topology: Topology, runtime_name: str) -> None:
    """Raise NameTakenError where the cluster that is up is another one than is wanted."""
    with Client.connect(cluster) as client:
        wanted.require(client.status(), topology, runtime_name)


def _begin(asked: Play, cluster: str, runs: Path) -> Path:
    """Have the supervisor open a run folder for this timeline; the load starts its clock."""
    budget = asked.scenario.budget
    with Client.connect(cluster) as client:
        begun = client.begin(
            scenario=asked.scenario.name,
            timeline=asked.timeline.as_json(),
            budget=None if budget is None else str(budget.resolve()),
            runs=str(runs.resolve()),
            files=dict(asked.files),
            facts={**asked.facts, "checks": asked.scenario.checks},
        )
    return Path(begun["run"])


def record(
    asked: Play,
    cluster: str,
    runs: Path,
    workers: int,
    progress: Progress,
    *,
    began: Began = untold,
) -> Path:
    """Open a run, and run Locust as a child until the scenario is over; return the run's folder.

    Whatever ends it, Ctrl-C at any moment too, the run is closed and Locust has ended.
    """
    log = state.folder(cluster) / "load.log"
    folder: Path | None = None
    child: subprocess.Popen[bytes] | None = None
    try:
        with held_back():
            folder = _begin(asked, cluster, runs)
            began(folder)
        with held_back():
            child = _locust(asked.source, folder, cluster, workers, log)
        code = _wait(child, cluster, asked.scenario, asked.timeline.phases, progress)
    except BaseException as error:
        if child is not None:
            _end(child)
        if folder is not None:
            _end_run(cluster, folder)
        if not isinstance(error, KeyboardInterrupt):
            raise
        recorded = folder is not None and folder.exists()
        what = f"{folder} ends where it was cut" if recorded else "nothing was recorded"
        raise InterruptedByUserError(f"interrupted; {what}") from None
    if _end_run(cluster, folder) or code not in (0, 1, 2):
        kind = StorageError if code == StorageError.exit_code else UnavailableError
        raise kind(f"the load generator ended with code {code}. It said:\n{_said(log)}")
    return folder


def _locust(
    source: Path, folder: Path, cluster: str, workers: int, log: Path
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HARNESS_CLUSTER": cluster,
        "HARNESS_SCENARIO": str(source.resolve()),
        "HARNESS_RUN": str(folder),
        "HARNESS_JUDGE": "never",  # this process judges, when the cluster is down
    }
    command = [
        *(sys.executable, "-m", "locust", "--headless", "--only-summary"),
        *("--processes", str(workers), "--loglevel", "WARNING"),
        *("-f", str(shipped.root() / "locustfiles" / "p2p.py")),
    ]
    with log.open("wb") as output:
        # Its own session, so that Ctrl-C reaches this process alone, which then ends it in order.
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=state.folder(cluster),
        )


def allowed_s(planned: Scenario) -> float:
    """Return how long the load may go on after the phases: until its last operation is over, and
    what does not count in seconds of the scenario.
    """
    timeouts = [one.timeout_ms for phase in planned.phases for one in phase.streams]
    return max(timeouts, default=0) / 1e3 + LOAD_GRACE_S


def _wait(
    child: subprocess.Popen[bytes],
    cluster: str,
    planned: Scenario,
    phases: Sequence[PlannedPhase],
    progress: Progress,
) -> int:
    seconds = max((phase.end_s or 0.0 for phase in phases), default=0.0)
    deadline = time.monotonic() + seconds + allowed_s(planned)
    begun: float | None = None
    while child.poll() is None:
        if time.monotonic() > deadline:
            raise HarnessError(
                f"the load generator did not end within {allowed_s(planned):.0f} s after the phases"
            )
        if begun is None:
            with Client.connect(cluster) as client:
                if client.status()["phase"] is not None:
                    begun = time.monotonic()
        if begun is not None:
            begun -= _early_s(phases, time.monotonic() - begun, cluster)
            _tell(phases, time.monotonic() - begun, progress)
        time.sleep(POLL_S)
    return child.returncode


def _early_s(phases: Sequence[PlannedPhase], at_s: float, cluster: str) -> float:
    """Return by how much a phase is over earlier that a condition ends; 0.0: nothing says it is."""
    now = next((one for one in phases if one.begin_s <= at_s < (one.end_s or 0.0)), None)
    if now is None or now.until is None:
        return 0.0
    begins = {one.name: one.begin_s for one in phases[phases.index(now) + 1 :]}
    with suppress(HarnessError), Client.connect(cluster) as client:  # the load tells if it is gone
        return begins.get(client.status()["phase"], at_s) - at_s
    return 0.0


def _tell(phases: Sequence[PlannedPhase], at_s: float, progress: Progress) -> None:
    """Say how far each phase is that has begun, in seconds. No supervisor is asked for it: a
    status of a thousand nodes costs them time.
    """
    for phase in phases:
        if at_s >= phase.begin_s:
            lasts_s = (phase.end_s or at_s) - phase.begin_s
            done_s = min(at_s - phase.begin_s, lasts_s)
            progress(f"phase {phase.name}", int(done_s), round(lasts_s))


def _end_run(cluster: str, folder: Path) -> bool:
    """Close a run that the load did not close; return whether there was one."""
    with suppress(HarnessError), Client.connect(cluster) as client:
        if client.status()["run"] != str(folder):
            return False
        client.end(run=str(folder), load={"interrupted": True})
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the generator and its workers, which are one session of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(5)


def _said(log: Path) -> str:
    """Return the generator's own sentences on what went wrong, without Locust's tables.

    Where it said none, its last lines.
    """
    with suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.startswith("locust: ")] or lines[-12:])
    return "(no log)"
