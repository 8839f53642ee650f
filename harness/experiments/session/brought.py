"""Containers that a program brings become the nodes of a topology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.runtimes import AUTO
from harness.topology import shapes
from harness.topology.topology import Node, Topology

NAME = "brought"  # of the topology, where nobody gives one
Given = Mapping[str, object] | Sequence[object]


def identify(given: Given, runtime_name: str | None) -> dict[str, str]:
    """Return the id of each container that is given, by its node. Raises UsageError,
    UnavailableError, PermissionNeededError.
    """
    if runtime_name not in (None, AUTO):
        raise UsageError(
            f"runtime_name: {runtime_name} would start nodes, and those of nodes= run already; "
            "expected one of the two"
        )
    from harness.runtimes.docker import containers  # the SDK only where it is used

    return containers.identify(given)


def mesh(ids: Mapping[str, str]) -> Topology:
    """Return the topology of containers for which nobody gives one: everybody with everybody."""
    links = shapes.links("full-mesh", list(ids), {}, 1)
    return Topology(name=NAME, nodes=tuple(Node(name=name) for name in ids), links=links)


def fitted(ids: Mapping[str, str], given: Given, topology: Topology) -> dict[str, str]:
    """Return the containers by the nodes of a topology: by their names where they are given any,
    else in its order. Raises UsageError where they do not fit.
    """
    names = [node.name for node in topology.nodes]
    has_names = isinstance(given, Mapping)
    if len(ids) != len(names) or (has_names and set(ids) != set(names)):
        found = ", ".join(ids) if has_names else f"{len(ids)}"
        raise UsageError(
            f"nodes: expected one container for each of the {len(names)} nodes of topology "
            f"{topology.name!r} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''}); found "
            f"{found}"
        )
    return dict(ids) if has_names else dict(zip(names, ids.values(), strict=True))
