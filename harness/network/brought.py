"""Nodes that stood before the fabric came: containers that a program brings.

    node-0  eth0 172.17.0.2 ─── Docker's network, as before: whoever is no node
            p2p0 ────── veth ── n0 ┐
                                  hub
    node-1  p2p0 ────── veth ── n1 ┘

A node keeps its namespace, its address and its other links. One link is added, with the same
address, which Docker takes from one that has ended, and with a route to each other node. It goes
with the hub, however that ends. A route to one address is closer than Docker's to its whole
network, so what nodes say to each other passes the hub, also on connections that stood before. What
goes past it all the same is counted by the runtime (kernel/frames.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from ipaddress import IPv4Address, IPv4Network

from harness.kernel import netlink
from harness.kernel.namespaces import inside, write_sysctl
from harness.kernel.netlink import Netlink
from harness.runtimes.runtime import GROUND_IFINDEX, GROUND_LINK


def regions(names: Sequence[str], addresses: Sequence[IPv4Address]) -> dict[str, IPv4Network]:
    """Return, for each region, the smallest block that has all its addresses; of two regions these
    may overlap. `names`: the region of each address.
    """
    found: dict[str, IPv4Network] = {}
    for name, address in zip(names, addresses, strict=True):
        block = found.setdefault(name, IPv4Network(address))
        while address not in block:
            block = block.supernet()
        found[name] = block
    return found


def lead(
    namespace: int,
    address: str,
    others: Iterable[str],
    router: tuple[str, str],
    gso_max_segs: int | None,
) -> None:
    """Lead what goes to these other nodes over our link. `router`: an address that nobody has, and
    its MAC. Raises HarnessError.
    """
    with inside(namespace), suppress(OSError):  # where there is no IPv6, nothing has to be off
        write_sysctl(f"net/ipv6/conf/{GROUND_LINK}/disable_ipv6", "1")
    with closing(Netlink(namespace)) as node:
        node.do(
            [
                netlink.address(GROUND_IFINDEX, address),
                netlink.set_up(GROUND_IFINDEX, gso_max_segs=gso_max_segs),
                netlink.neighbour(GROUND_IFINDEX, *router),
                *(netlink.route_by(other, router[0], GROUND_IFINDEX, address) for other in others),
            ],
            where=f"the namespace of the container with {address}",
        )
