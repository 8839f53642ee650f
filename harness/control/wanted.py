"""Whether the cluster that is up is the one that a scenario wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import NameTakenError
from harness.topology.topology import Topology

OTHER_NAME = "`harness down` first, or choose another name (--cluster)"


def require(
    status: Mapping[str, Any],
    topology: Topology,
    runtime_name: str = "auto",
    instead: str = OTHER_NAME,
) -> None:
    """Raise NameTakenError where a cluster of this status is another one than is wanted.

    `instead`: what people are told to do about it.
    """
    name = status.get("cluster")
    if status["adapter"] != topology.adapter:
        raise NameTakenError(
            f"cluster {name!r} is up with {status['adapter']}, the scenario wants "
            f"{topology.adapter}: {instead}"
        )
    if status["topology"] != topology.name:
        raise NameTakenError(
            f"cluster {name!r} is up with topology {status['topology']!r}, the scenario wants "
            f"{topology.name!r}: {instead}"
        )
    if status.get("topology_digest") != topology.digest():
        raise NameTakenError(
            f"cluster {name!r} is up with {len(status['nodes'])} nodes of a topology "
            f"{topology.name!r} that differs from the file's, which has {len(topology.nodes)} now: "
            f"{instead}"
        )
    if runtime_name not in ("auto", status["runtime"]):
        raise NameTakenError(
            f"cluster {name!r} is up on {status['runtime']}, {runtime_name} was asked for: "
            "`harness down` first"
        )
