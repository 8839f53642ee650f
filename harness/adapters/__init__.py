"""Which system is under test: one adapter a file."""

from __future__ import annotations

from pathlib import Path

from harness import plugin
from harness.ports import NodeAdapter

TABLE = {
    "meshnode": "harness.adapters.meshnode:Meshnode",
    "opendht": "harness.adapters.opendht:OpenDht",
    "serf": "harness.adapters.serf:Serf",
}


def named(name: str) -> NodeAdapter:
    """The adapter of that name, or the one that a command file (``PATH.toml``) describes. Raises UsageError, BadFileError."""
    if name.endswith(".toml"):
        from harness.adapters.command import (
            Command,  # late: load workers of other systems need no regular expressions of it
        )

        return Command(Path(name))
    adapter: NodeAdapter = plugin.load("adapter, or a command file (.toml)", TABLE, name)()
    return adapter
