"""Where nodes live: bare processes in namespaces (netns), or containers (docker)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from harness import plugin
from harness.errors import HarnessError
from harness.runtimes.runtime import Runtime

AUTO = "auto"
TABLE = {
    "docker": "harness.runtimes.docker.runtime:DockerRuntime",
    "netns": "harness.runtimes.netns.runtime:NetnsRuntime",
}


def named(name: str) -> Callable[..., Runtime]:
    """The runtime of that name, to be called with ``label=…, state=…``. Raises UsageError with the
    known names.
    """
    runtime: Callable[..., Runtime] = plugin.load("runtime", TABLE, name)
    return runtime


def choose(name: str) -> str:
    """The runtime that is meant: ``auto`` is docker where a local engine answers, else netns.
    Raises UsageError.
    """
    if name == AUTO:
        return "docker" if _engine() else "netns"
    named(name)
    return name


def nodes_per_container(name: str, nodes: int) -> int:
    """How many nodes share a container on this runtime; 1 where there are no containers, or each
    node has its own.
    """
    if name != "docker":
        return 1
    module = importlib.import_module("harness.runtimes.docker.runtime")
    return int(module.NODES_A_CONTAINER) if nodes > module.PACKED_ABOVE else 1


def sweep(label: str) -> list[str]:
    """Remove the containers of a cluster whose supervisor is gone; returns their names, none where
    no engine answers.

    netns leaves nothing to remove: its processes die with the supervisor.
    """
    engine = _engine()
    return list(engine.sweep(label)) if engine else []


def orphans(root: Path) -> list[str]:
    """Labels of clusters below the state folder `root` that have containers, living or dead; none
    where no engine answers.
    """
    engine = _engine()
    return list(engine.orphans(root)) if engine else []


def _engine() -> ModuleType | None:
    """The docker runtime's module where an engine of this host answers."""
    try:
        module = importlib.import_module("harness.runtimes.docker.runtime")
        module.connect().close()
    except (HarnessError, ImportError):  # ImportError: installed without the Docker SDK
        return None
    return module
