"""Adapters are the systems under test: a class in a file here, or a shipped command file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness import plugin
from harness.runtimes import compiled
from harness.systems.adapter import NodeAdapter
from harness.topology.topology import Topology

TABLE = {
    "meshnode": "harness.systems.adapters.meshnode:Meshnode",
    "opendht": "harness.systems.adapters.opendht:OpenDht",
    "serf": "harness.systems.adapters.serf:Serf",
    "libp2p": "systems/libp2p.toml",
    "nats": "systems/nats.toml",
    "redis": "systems/redis.toml",
}


def is_foreign(name: str) -> bool:
    """Whether the adapter is Python of the user's own, which `named` would run: ``module:Class``.

    A command file is only read.
    """
    return ":" in name and not name.endswith(".toml") and name not in TABLE


def shown(name: str) -> str:
    """Show a system by its own name; one that is Python of the user's own as it was given: it is
    not imported for that.
    """
    return name if is_foreign(name) else named(name).name


def named(name: str) -> NodeAdapter:
    """Return the adapter of that name, or the one that a command file (``PATH.toml``) describes.

    Raises UsageError, BadFileError.
    """
    shipped = TABLE.get(name, "")
    if name.endswith(".toml") or shipped.endswith(".toml"):
        from harness.systems.adapters.command import Command

        return Command(compiled.shipped(shipped) if shipped else Path(name))
    adapter: NodeAdapter = plugin.load("adapter, or a command file (.toml)", TABLE, name)()
    return adapter


def with_system(topology: Topology, system: str | None) -> Topology:
    """Put another system under test; a command file is named relative to the working directory."""
    if not system:
        return topology
    return replace(
        topology, adapter=str(Path(system).resolve()) if system.endswith(".toml") else system
    )
