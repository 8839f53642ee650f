"""A fabric of some nodes and its network, without a cluster: what tests of faults measure by tools that are not ours."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Network

from harness import asked
from harness.fabric import Fabric
from harness.kernel.namespaces import spawn_in
from harness.network import Network
from harness.topology import Node

BLOCK = IPv4Network("198.18.0.0/16")


class Net:
    """A fabric of some nodes and its network, without a cluster."""

    def __init__(self, count: int, regions: int = 1, **settings) -> None:
        self.nodes = [Node(name=f"n{index}", region=f"r{index * regions // count}") for index in range(count)]
        self.fabric = Fabric("test", BLOCK)
        self.wires = self.fabric.wire(self.nodes)
        self.addresses = {wire.node: wire.address for wire in self.wires}
        self.namespaces = {wire.node: wire.namespace for wire in self.wires}
        self.before = self.kernel()
        self.network = Network(self.fabric, self.nodes, self.addresses, BLOCK, seed=1, baseline=settings.get("baseline", {}), ports=settings.get("ports", ()))

    def set(self, **words) -> None:
        self.network.set(asked.asked(words, self.nodes, 1))
        assert not any(self.network.agrees().values())

    def run(self, node: str | None, *argv: str) -> str:
        """A program in a node's namespace (None: the hub's); its output."""
        namespace = self.fabric.hub if node is None else self.namespaces[node]
        reading, writing = os.pipe()
        process = spawn_in(namespace, argv, stdio=(0, writing, writing))
        os.close(writing)
        with open(reading) as output:
            text = output.read()
        process.wait()
        return text

    def kernel(self) -> str:
        return self.run(None, "sh", "-c", "nft list ruleset; tc qdisc; tc class; ip -o link; iptables-legacy -t mangle -S; ip rule")

    def ping(self, source: str, target: str, count: int = 20, gap_s: float = 0.02) -> tuple[int, float, float]:
        """(received, mean ms, deviation ms) as ping says."""
        said = self.run(source, "ping", "-q", "-c", str(count), "-i", str(gap_s), "-W", "1", self.addresses[target])
        received = int(re.search(r"(\d+) received", said)[1])
        times = re.search(r"= [\d.]+/([\d.]+)/[\d.]+/([\d.]+)", said)
        return received, float(times[1]) if times else 0.0, float(times[2]) if times else 0.0

    def close(self) -> None:
        self.network.close()
        self.fabric.close()
