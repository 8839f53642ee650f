"""Where nodes live: bare processes in namespaces (netns), or containers (docker)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness import plugin
from harness.errors import UsageError
from harness.runtimes.runtime import Runtime

AUTO = "auto"
# Name → class. `auto` takes the first that is available, so the one that always is stands last.
TABLE = {
    "docker": "harness.runtimes.docker.runtime:DockerRuntime",
    "netns": "harness.runtimes.netns.runtime:NetnsRuntime",
}


def named(name: str) -> type[Runtime]:
    """The runtime of that name. Raises UsageError with the known names."""
    runtime: type[Runtime] = plugin.load("runtime", TABLE, name)
    return runtime


def choose(name: str) -> str:
    """The runtime that is meant: ``auto`` is the first of the table that is available. Raises
    UsageError.
    """
    if name == AUTO:
        return next(_available()).name
    named(name)
    return name


def sweep(label: str) -> list[str]:
    """Remove what a cluster whose supervisor is gone left in any available runtime; returns what
    was removed, a line each.
    """
    return [removed for runtime in _available() for removed in runtime.sweep(label)]


def orphans(root: Path) -> list[str]:
    """Labels of the clusters below the state folder `root` that have something to sweep, living or
    dead, in any available runtime.
    """
    return [label for runtime in _available() for label in runtime.orphans(root)]


def _available() -> Iterator[type[Runtime]]:
    for name in TABLE:
        try:
            runtime = named(name)
        except UsageError:  # installed without what it needs, such as the Docker SDK
            continue
        if runtime.is_available():
            yield runtime
