"""Where nodes live: bare processes in namespaces (netns), or containers (docker)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


BROUGHT = "brought"  # containers that a program brings: nobody chooses it by its name


def made(name: str, *, label: str, state: Path, containers: Mapping[str, str]) -> Runtime:
    """Make the runtime of a cluster; `containers` are those that were brought, by their node.
    Raises UsageError.
    """
    if containers:
        from harness.runtimes.docker.brought import BroughtRuntime  # the SDK only where it is used

        return BroughtRuntime(label=label, state=state, ids=containers)
    return named(name)(label=label, state=state)


def named(name: str) -> type[Runtime]:
    """Load the runtime of that name. Raises UsageError with the known names."""
    if name == BROUGHT:
        raise UsageError(
            "runtime brought: its nodes are containers that a Python program brings "
            "(`harness.up(nodes=[…])`), and nobody else has them; expected one of "
            f"{', '.join(TABLE)}, with a system that says how its nodes are started"
        )
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


def sweep(label: str, root: Path, *, of: str | None = None) -> list[str]:
    """Remove what a dead cluster below the state folder `root` left in any available runtime, or in
    `of` alone, which it is known to have lived in; returns it, a line each.
    """
    swept = [named(of)] if of in TABLE else _available()
    return [removed for runtime in swept for removed in runtime.sweep(label, root)]


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
