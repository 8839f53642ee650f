"""Flows are the connections that exist now between nodes, as their kernels tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.faults.fault import Flow
from harness.kernel import inet_diag
from harness.network.fabric import Wire


def established(wires: Mapping[str, Wire], paths: Collection[tuple[str, str]]) -> frozenset[Flow]:
    """List the connections that exist now on these paths; `wires` by the names of their nodes.

    Both ends are asked: a proxy between them makes two connections of one. Raises HarnessError.
    """
    names = {wire.address: name for name, wire in wires.items()}
    found: set[Flow] = set()
    for name in {end for path in paths for end in path}:
        for _, port, peer, peer_port in inet_diag.established(wires[name].namespace):
            if peer in names:
                here, there = (name, port), (names[peer], peer_port)
                found |= {
                    (*a, *b) for a, b in ((here, there), (there, here)) if (a[0], b[0]) in paths
                }
    return frozenset(found)
