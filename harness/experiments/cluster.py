"""A cluster starts and ends, by the public API. What a run needs beyond it is not imported here:
`harness up` judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import runtimes
from harness.control import launcher, state
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.control.spec import Spec
from harness.scenario import files
from harness.systems import abilities, adapters
from harness.systems.adapter import BuiltAdapter
from harness.topology.topology import Topology


def up(
    topology: Topology | Path,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    system: str | None = None,
    progress: Progress = nobody,
    held: Hold | None = None,
    containers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Start a cluster in the background and wait until every node is ready; return its status.

    `system` puts another system under test than the topology names. `held`: the cluster ends when
    this closes, or this process ends, unless it is kept; None: it outlives both. `containers`:
    those that were brought as its nodes, by their names; they run already. Raises UsageError,
    BadFileError, NameTakenError, PreflightError, PermissionNeededError, UnavailableError,
    NodeStartError.
    """
    text = topology.read_text() if isinstance(topology, Path) and topology.is_file() else ""
    built = files.read_topology(topology) if isinstance(topology, Path) else topology
    built = adapters.with_system(built, system)
    adapter = adapters.named(built.adapter)
    abilities.require_start(built, brought=bool(containers))
    if isinstance(adapter, BuiltAdapter) and not containers:
        adapter.make(progress)
    spec = Spec(
        cluster=state.cluster_name(cluster),
        topology=built,
        topology_text=text,
        runtime=runtimes.BROUGHT if containers else runtimes.choose(runtime_name),
        containers=dict(containers or {}),
    )
    if held is not None:
        return launcher.start(spec, progress, held)
    with Hold() as ours:
        status = launcher.start(spec, progress, ours)
        ours.keep()
    return status


def down(cluster: str | None = None) -> bool:
    """Take a cluster down and wait until nothing of it is left; False where there was none."""
    return launcher.stop(state.cluster_name(cluster))
