"""Beforehand it is seen what would keep runs from being played here: before any cluster starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness import runtimes
from harness.control import state
from harness.errors import UnavailableError
from harness.history.folder import require_writable
from harness.scenario.timeline import Timeline


def require(
    played: Iterable[Timeline], *, cluster: str | None, runtime_name: str, runs: Path
) -> None:
    """Raise UnavailableError as `require_programs`, and StorageError where no run can be written in
    `runs`, which is made.
    """
    require_programs(played, cluster=cluster, runtime_name=runtime_name)
    require_writable(runs)


def require_programs(played: Iterable[Timeline], *, cluster: str | None, runtime_name: str) -> None:
    """Raise UnavailableError for a fault whose nodes cannot start with the program that it names,
    as far as the runtime knows that before it has nodes. Of a cluster that is up its supervisor
    knows it, and says it before a run begins.
    """
    faults = [(one.name, one.program) for each in played for one in each.faults]
    asked = [(name, program) for name, program in faults if program is not None]
    if not asked or state.is_alive(state.cluster_name(cluster)):
        return
    runtime = runtimes.named(runtimes.choose(runtime_name))
    for name, program in asked:
        try:
            runtime.require_program(program)
        except UnavailableError as error:
            raise UnavailableError(f"fault {name!r}: {error}") from None
