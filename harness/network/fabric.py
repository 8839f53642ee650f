"""The fabric joins the nodes' namespaces: one hub that routes, one veth and one /32 a node.

    node-0  eth0 198.18.0.1/32 ─── veth ─── n0 ┐
                                               hub: forwards, no conntrack, default route blackhole
    node-1  eth0 198.18.0.2/32 ─── veth ─── n1 ┘

It is the same for every runtime; of nodes that were brought it leaves all as it was that they had
before (brought.py). Nothing has a name on the host: descriptors hold the namespaces,
and each link ends with its namespace. Nothing uses ARP: neighbour entries are permanent on both
ends, because the kernel's neighbour table is one for all namespaces and holds 1,024 entries. The
hub has no way out: it drops in silence what is sent to anyone else.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from harness.errors import BadFileError, HarnessError, UsageError
from harness.kernel import netlink, wiring
from harness.kernel.namespaces import create, create_many, inside, read_sysctl, write_sysctl
from harness.kernel.netlink import LinkCounters, Message, Netlink
from harness.kernel.wiring import Entry, Wiring
from harness.network import brought
from harness.runtimes.runtime import GROUND_IFINDEX, GROUND_LINK, Ground
from harness.topology.topology import Node

# Nodes route to this address, which nobody has: the neighbour entry answers for it.
_GATEWAY = "169.254.1.1"
_GATEWAY_MAC = "02:00:00:00:00:01"
_NODE_LINK, _NODE_IFINDEX = "eth0", 2
HUB_IFINDEX_FIRST = 1000  # a node's link in the hub is this + its index
_LOOPBACK_IFINDEX = 1
_TOGETHER = 50  # nodes wired in one go, between two calls of `progress`
_HUB_SYSCTLS = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
)
_CONGESTION_CONTROL = "net/ipv4/tcp_congestion_control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A node's place in the network."""

    node: str
    address: str  # IPv4, dotted
    namespace: int  # descriptor; the fabric closes it
    ifindex: int  # of the node's link, in the hub
    is_brought: bool = False  # it has its address, and other links, from elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPlan:
    """Which address each node has, in the order given, and which aligned block each region has."""

    nodes: tuple[IPv4Address, ...]
    regions: Mapping[str, IPv4Network]


def plan_addresses(nodes: Sequence[Node], block: IPv4Network) -> AddressPlan:
    """Give each region the next aligned block that holds it, in the order of its first node.

    Nodes take the addresses of their region's block in order. A region of n nodes gets the smallest
    power of two ≥ n + 2: the first and last address of a block are left out, because other tools
    read them as network and broadcast although every node has a /32. Raises BadFileError where
    `block` is too small.
    """
    sizes: dict[str, int] = {}
    for node in nodes:
        sizes[node.region] = sizes.get(node.region, 0) + 1
    offsets: dict[str, tuple[int, int]] = {}
    end = 0
    for region, size in sizes.items():
        room = 1 << (size + 1).bit_length()
        start = -(-end // room) * room
        offsets[region] = (start, room)
        end = start + room
    if end > block.num_addresses:
        found = ", ".join(f"{region} ({size:,} nodes)" for region, size in sizes.items())
        raise BadFileError(
            f"addresses: expected a block of at least /{32 - (end - 1).bit_length()} for the "
            f"regions {found}; "
            f"found {block} with {block.num_addresses:,} addresses"
        )
    base = int(block.network_address)
    following = {region: base + start + 1 for region, (start, _) in offsets.items()}
    addresses = []
    for node in nodes:
        addresses.append(IPv4Address(following[node.region]))
        following[node.region] += 1
    return AddressPlan(
        nodes=tuple(addresses),
        regions={
            region: IPv4Network((base + start, 33 - room.bit_length()))
            for region, (start, room) in offsets.items()
        },
    )


class Fabric:
    """The routed hub of one cluster, and the namespaces of its nodes.

    `label` names the cluster in errors. `congestion_control` is TCP's in every node (None: the
    host's default, which may be one that ignores loss, like bbr). `gso_max_segs` 1 makes every TCP
    packet one segment, so that a lost packet is 1,448 bytes and not up to 64 kB, at a tenth of the
    throughput (None: the kernel's default). `facts` says what is in force.
    """

    def __init__(
        self,
        label: str,
        addresses: IPv4Network,
        *,
        congestion_control: str | None = None,
        gso_max_segs: int | None = None,
    ) -> None:
        self._label = label
        self._addresses = addresses
        self._congestion_control = congestion_control
        self._gso_max_segs = gso_max_segs
        self._wires: list[Wire] = []
        self._open: list[int] = []
        self._netlink: Netlink | None = None
        self._facts: dict[str, str] = {}
        self.regions: Mapping[str, IPv4Network] = {}  # each with a block that has all its addresses
        self._wiring: frozenset[Entry] = frozenset()  # of the hub, as it was made

    def wire(
        self, nodes: Sequence[Node], progress: Callable[[int], None] = lambda _: None
    ) -> list[Wire]:
        """Make the namespaces of all nodes and join them to the hub, as `make` and `join` do."""
        wires = self.make(nodes)
        for _ in self.join(progress):
            pass
        return wires

    def make(
        self, nodes: Sequence[Node], grounds: Mapping[str, Ground] | None = None
    ) -> list[Wire]:
        """Make the hub, and the namespaces of all nodes, which `join` has to follow; called once.

        `grounds`: where each of them stands already. Raises BadFileError (too few addresses),
        PermissionNeededError, HarnessError; the caller
        then closes the fabric, as always.
        """
        if self._open:
            raise HarnessError(f"fabric {self._label}: wired already")
        if grounds:
            found = [grounds[node.name] for node in nodes]
            addresses = [IPv4Address(one.address) for one in found]
            plan = AddressPlan(
                nodes=tuple(addresses),
                regions=brought.regions([node.region for node in nodes], addresses),
            )
        else:
            plan = plan_addresses(nodes, self._addresses)
        self._make_hub()
        namespaces = [one.namespace for one in found] if grounds else create_many(len(nodes))
        self._open += namespaces
        self.regions = plan.regions
        self._wires = [
            Wire(
                node=node.name,
                address=str(plan.nodes[index]),
                namespace=namespace,
                ifindex=HUB_IFINDEX_FIRST + index,
                is_brought=bool(grounds),
            )
            for index, (node, namespace) in enumerate(zip(nodes, namespaces, strict=True))
        ]
        return list(self._wires)

    def join(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[Wire]:
        """Join the namespaces to the hub, and yield each that is, some at a time; all are once it
        has ended.

        `progress` is told how many are done. Raises UsageError (congestion control), and as `make`.
        """
        hub = self._netlink
        if hub is None:
            raise HarnessError(f"fabric {self._label}: not made yet")
        for start in range(0, len(self._wires), _TOGETHER):
            wires = self._wires[start : start + _TOGETHER]
            hub.do(
                [message for wire in wires for message in _hub_side(wire)],
                where=f"the hub of {self._label}",
            )
            self._finish(wires)
            progress(start + len(wires))
            yield from wires
        self._reader = Wiring(hub)
        self._wiring = self._reader.read()
        with inside(self._wires[0].namespace):
            self._facts = {
                "fabric": "routed hub",
                "tcp_congestion_control": read_sysctl(_CONGESTION_CONTROL),
                "gso_max_segs": str(self._gso_max_segs or "default"),
            }

    def _make_hub(self) -> Netlink:
        namespace = create()
        self._open.append(namespace)
        with inside(namespace):
            for name, value in _HUB_SYSCTLS:
                try:
                    write_sysctl(name, value)
                except OSError as error:
                    raise HarnessError(
                        f"the hub of {self._label}: sysctl {name} could not be set: "
                        f"{error.strerror} "
                        "(in a container /proc/sys must be writable)"
                    ) from error
        self._netlink = Netlink(namespace)
        self._netlink.do(
            [netlink.set_up(_LOOPBACK_IFINDEX), netlink.blackhole()],
            where=f"the hub of {self._label}",
        )
        return self._netlink

    def _finish(self, wires: Iterable[Wire]) -> None:
        up = [netlink.set_up(_LOOPBACK_IFINDEX)]
        joined = [
            netlink.set_up(_NODE_IFINDEX, gso_max_segs=self._gso_max_segs),
            netlink.neighbour(_NODE_IFINDEX, _GATEWAY, _GATEWAY_MAC),
            netlink.default_route(_GATEWAY, _NODE_IFINDEX),
        ]
        for wire in wires:
            if wire.is_brought:
                self._lead(wire)
                continue
            if self._congestion_control is not None:
                with inside(wire.namespace):
                    _set_congestion_control(self._congestion_control)
            with contextlib.closing(Netlink(wire.namespace)) as node:
                node.do(
                    [*up, netlink.address(_NODE_IFINDEX, wire.address), *joined],
                    where=f"the namespace of {wire.node}",
                )

    def _lead(self, wire: Wire) -> None:
        """Have what a node that was brought says to each other node go over the hub."""
        others = [other.address for other in self._wires if other != wire]
        router = (_GATEWAY, _GATEWAY_MAC)
        brought.lead(wire.namespace, wire.address, others, router, self._gso_max_segs)

    def move(self, node: str, namespace: int) -> None:
        """Follow a node that was brought into another namespace, where it runs anew: the descriptor
        of its wire is of that one from now on. Takes the descriptor. Raises HarnessError.
        """
        wire = next(wire for wire in self._wires if wire.node == node)
        try:
            with contextlib.closing(Netlink(wire.namespace)) as before:
                before.do(
                    [netlink.move_link(GROUND_IFINDEX, namespace)], where=f"the link of {node}"
                )
            os.dup2(namespace, wire.namespace, inheritable=False)
        finally:
            os.close(namespace)
        self._lead(wire)

    @property
    def wires(self) -> Sequence[Wire]:
        """The wire of every node, in the topology's order."""
        return self._wires

    def attach(self, link: str, address: str, namespace: int) -> int:
        """Join a namespace that is no node's to the hub, for proxies; return its link's index in
        the hub.

        `detach` takes the link away again.
        """
        if self._netlink is None:
            raise HarnessError(f"fabric {self._label}: not wired")
        wire = Wire(node=link, address=address, namespace=namespace, ifindex=HUB_IFINDEX_FIRST - 1)
        self._netlink.do(_hub_side(wire, link), where=f"the hub of {self._label}")
        self._finish([wire])
        return wire.ifindex

    def detach(self, link: str) -> None:
        """Take a link that `attach` made away, with the route to it."""
        if self._netlink is not None:
            self._netlink.do(
                [netlink.remove_link(HUB_IFINDEX_FIRST - 1, link)],
                where=f"the hub of {self._label}",
            )

    @property
    def hub(self) -> int:
        """The descriptor of the hub's namespace, for injectors; the fabric closes it.

        Raises HarnessError before `wire`.
        """
        if not self._open:
            raise HarnessError(f"fabric {self._label}: not wired")
        return self._open[0]

    def drift(self) -> str | None:
        """Say which link, address, route, neighbour or rule of the hub is not as it was made; None
        where all are. Raises HarnessError.
        """
        if self._netlink is None:
            raise HarnessError(f"fabric {self._label}: not wired")
        with inside(self.hub):
            for name, value in _HUB_SYSCTLS:
                if (found := read_sysctl(name)) != value:
                    return f"sysctl {name} of the hub: asked {value}, the kernel has {found}"
        return wiring.difference(self._wiring, self._reader.read())

    @contextlib.contextmanager
    def rewiring(self) -> Iterator[set[Entry]]:
        """Take what the body makes or removes in the hub as ours; what it made is in the set that
        it is given, once it has ended. Raises HarnessError.
        """
        made: set[Entry] = set()
        before = self._reader.read()
        try:
            yield made
        finally:
            after = self._reader.read()
            made |= after - before
            self._wiring = (self._wiring - (before - after)) | made

    def forget(self, made: Iterable[Entry]) -> None:
        """Expect these no more: who made them took them away, or found them gone."""
        self._wiring -= frozenset(made)

    def counters(self) -> dict[int, LinkCounters]:
        """Read each node's traffic as the node sees it (rx: received by the node), by position."""
        if self._netlink is None:
            raise HarnessError(f"fabric {self._label}: not wired")
        found = self._netlink.counters()
        return {
            index: found[wire.ifindex].of_other_end()
            for index, wire in enumerate(self._wires)
            if wire.ifindex in found
        }

    def facts(self) -> Mapping[str, str]:
        """Say what is in force in the nodes, read back: for a run's metadata."""
        return dict(self._facts)

    def close(self) -> None:
        """Let go of every namespace; the kernel ends each once no process is left in it. What
        nodes that were brought say to each other goes as before.

        May be called twice.
        """
        if self._netlink is not None:
            for wire in (one for one in self._wires if one.is_brought):
                with contextlib.suppress(HarnessError):  # it was not joined yet
                    self._netlink.do(
                        [netlink.remove_link(wire.ifindex, wire.node)], where="the hub"
                    )
            self._netlink.close()
            self._netlink = None
        self._wires.clear()
        while self._open:
            os.close(self._open.pop())


def _hub_side(wire: Wire, link: str | None = None) -> list[Message]:
    index = wire.ifindex - HUB_IFINDEX_FIRST
    mac = "02:01:" + ":".join(f"{byte:02x}" for byte in (index & 0xFFFFFFFF).to_bytes(4, "big"))
    return [
        netlink.veth(
            ifindex=wire.ifindex,
            name=link or f"n{index}",
            mac=_GATEWAY_MAC,
            peer_name=GROUND_LINK if wire.is_brought else _NODE_LINK,
            peer_ifindex=GROUND_IFINDEX if wire.is_brought else _NODE_IFINDEX,
            peer_mac=mac,
            peer_namespace=wire.namespace,
        ),
        netlink.route_to(wire.address, wire.ifindex),
        netlink.neighbour(wire.ifindex, wire.address, mac),
    ]


def _set_congestion_control(name: str) -> None:
    try:
        write_sysctl(_CONGESTION_CONTROL, name)
    except OSError as error:
        available = read_sysctl("net/ipv4/tcp_available_congestion_control")
        if error.errno == errno.EPERM:
            raise UsageError(
                f"congestion control {name!r}: this kernel permits it in no namespace but the "
                "host's own; "
                "`sysctl -w net.ipv4.tcp_allowed_congestion_control=…` on the host can add it "
                "(reno always works)"
            ) from error
        raise UsageError(f"congestion control {name!r}: expected one of {available}") from error
