"""How a Python program comes to a cluster: it starts one (`up`), or uses one that is (`attach`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.control import state
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, InterruptedByUserError, UsageError
from harness.experiments import cluster as clusters
from harness.experiments import run
from harness.experiments.session import brought
from harness.experiments.session.session import NAME, Session
from harness.experiments.session.twins import entered
from harness.runtimes import AUTO
from harness.scenario import files, seeds, shipped
from harness.systems import adapters
from harness.topology.topology import Topology


def read_topology(topology: str | Path | Topology, system: str | Path | None) -> Topology:
    """Return the topology that is meant: a value, a file, or the name of a shipped one; with
    another system under test. Raises BadFileError.
    """
    if not isinstance(topology, Topology):
        topology = files.read_topology(shipped.find(str(topology), "topologies"))
    return adapters.with_system(topology, None if system is None else str(system))


def _wanted(
    topology: str | Path | Topology | None,
    system: str | Path | None,
    ids: Mapping[str, str] | None,
) -> tuple[Path | None, Topology]:
    """Return the topology that is meant, and its file. Raises BadFileError, UsageError."""
    if topology is None:
        if ids is None:
            raise UsageError("topology: expected one, or nodes=, containers that run; found none")
        topology = brought.mesh(ids)
    if isinstance(topology, Topology):
        return None, read_topology(topology, system)
    return shipped.find(str(topology), "topologies"), read_topology(topology, system)


def _require(name: str, workers: int, seed: int) -> None:
    """Raise UsageError for settings that no session has, before anything starts."""
    if name in ("", ".", "..") or Path(name).name != name:
        raise UsageError(f"name: expected that of a folder, found {name!r}")
    run.require_workers(workers)
    try:
        seeds.require(seed)
    except BadFileError as error:
        raise UsageError(str(error)) from None


def _runs(given: str | Path | None) -> Path:
    return Path(given or os.environ.get("HARNESS_RUNS") or "runs")


def up(
    topology: str | Path | Topology | None = None,
    *,
    nodes: brought.Given | None = None,
    system: str | Path | None = None,
    cluster: str | None = None,
    runtime_name: str | None = None,
    runs: str | Path | None = None,
    name: str = NAME,
    workers: int = 1,
    seed: int = 1,
    keep: bool = False,
    progress: Progress = nobody,
) -> Session:
    """Start a cluster and wait until every node is ready; `with` ends it.

    `topology`: a file, the name of a shipped one (`cluster-10`), or a Topology. `nodes`: containers
    that run already and become its nodes: several, or a mapping with their names; without a
    topology each is linked with each. `system`: the system under test, instead of the topology's:
    `meshnode`, `serf`, …, a command file, or `module:Class`. `cluster`: its name; None:
    $HARNESS_CLUSTER, else `main`. `runtime_name`: `auto`, `netns` or `docker`; None: $RUNTIME, else
    `auto`. `runs`: where run folders go; None: $HARNESS_RUNS, else `runs`. `name`: what the
    session's folder is called. `workers`: processes that send the load. `seed`: of the loads'
    schedules. `keep`: the cluster outlives this process.
    Raises BadFileError, UsageError, NameTakenError, PreflightError, PermissionNeededError,
    UnavailableError, NodeStartError; KeyboardInterrupt takes all back.
    """
    _require(name, workers, seed)
    ids = None if nodes is None else brought.identify(nodes, runtime_name)
    path, built = _wanted(topology, system, ids)
    if ids is not None and nodes is not None:
        path, ids = None, brought.fitted(ids, nodes, built)
    called = state.cluster_name(cluster)
    hold = Hold()
    try:
        clusters.up(
            built if path is None else path,
            cluster=called,
            runtime_name=runtime_name or os.environ.get("RUNTIME") or AUTO,
            system=None if system is None else str(system),
            progress=progress,
            held=hold,
            containers=ids,
        )
        hold.callback(clusters.down, called)
        session = Session(
            called, built, hold, runs=_runs(runs), name=name, workers=workers, seed=seed
        )
        if keep:
            session.keep()
    except BaseException as error:
        hold.close()
        if isinstance(error, InterruptedByUserError):
            raise KeyboardInterrupt(str(error)) from error
        raise
    return session


up_async = entered(up)


def attach(
    topology: str | Path | Topology,
    *,
    system: str | Path | None = None,
    cluster: str | None = None,
    runs: str | Path | None = None,
    name: str = NAME,
    workers: int = 1,
    seed: int = 1,
) -> Session:
    """Use a cluster of this topology that is up already, and leave it up; see `up`.

    Faults that were set here are taken back at the end. Raises UnavailableError where none is up,
    NameTakenError where it is another one.
    """
    _require(name, workers, seed)
    built, called = read_topology(topology, system), state.cluster_name(cluster)
    run.same(called, built, AUTO)
    return Session(called, built, None, runs=_runs(runs), name=name, workers=workers, seed=seed)
