"""Whether the links of a cluster's overlay stand, by what every node says of its own."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from harness.errors import NodeStartError
from harness.systems.adapter import Endpoint, NodeAdapter
from harness.topology import shapes
from harness.topology.topology import Topology

ASKED_AT_ONCE = 32


def check(adapter: NodeAdapter, endpoints: Mapping[str, Endpoint], topology: Topology) -> None:
    """Ask every node for the links that stand.

    They must make one component and be those of the topology; raises NodeStartError.
    """
    order = {endpoint.wire_id.hex(): index for index, endpoint in enumerate(endpoints.values())}
    names = list(endpoints)
    pairs: set[tuple[int, int]] = set()
    # Many at once: each may be busy for a while.
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        answers = pool.map(
            lambda endpoint: adapter.administer(endpoint).peers(), endpoints.values()
        )
        for index, peers in enumerate(answers):
            for other in (order[peer] for peer in peers if peer in order):
                pairs.add((min(index, other), max(index, other)))
    position = {name: index for index, name in enumerate(names)}
    wanted = {(position[a], position[b]) for a, b in topology.links}
    missing = [f"{names[a]} – {names[b]}" for a, b in sorted(wanted - pairs)]
    if missing:
        raise NodeStartError(
            f"all nodes say they are ready, but {len(missing)} links do not stand: "
            f"{', '.join(missing[:5])}"
        )
    if not shapes.is_connected(len(names), pairs):
        raise NodeStartError(
            "all nodes are ready, but the overlay is not one connected component: the "
            "topology has islands"
        )
