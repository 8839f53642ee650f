"""Which system is under test: one adapter a file."""

from __future__ import annotations

from harness import plugin
from harness.ports import NodeAdapter

TABLE = {
    "meshnode": "harness.adapters.meshnode:Meshnode",
    "opendht": "harness.adapters.opendht:OpenDht",
    "serf": "harness.adapters.serf:Serf",
}


def named(name: str) -> NodeAdapter:
    """The adapter of that name. Raises UsageError with the known names."""
    adapter: NodeAdapter = plugin.load("adapter", TABLE, name)()
    return adapter
