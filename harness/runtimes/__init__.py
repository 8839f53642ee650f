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
    """Load the runtime of that name. Raises UsageError with the known names."""
    runtime: type[Runtime] = plugin.load("runtime", TABLE, name)
    return runtime


def choose(name: str) -> str:
    """Resolve ``auto`` to the first runtime of the table that is available; another name stays.
    Raises UsageError.
    """
    if name == AUTO:
        return next(_available()).name
    named(name)
    return name


def sweep(label: str, root: Path) -> list[str]:
    """Remove what a dead cluster below the state folder `root` left in any available runtime;
    returns it, a line each.
    """
    return [removed for runtime in _available() for removed in runtime.sweep(label, root)]


def orphans(root: Path) -> list[str]:
    """List the clusters below the state folder `root`, living or dead, of which `sweep` would
    remove something.
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
