"""A fabric of some nodes and its network, without a cluster: what tests of faults measure by tools
that are not ours.
"""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import threading
import time
from ipaddress import IPv4Network
from typing import NamedTuple

import numpy as np

from harness.faults import partitions, spec
from harness.faults.fault import Fault, Verb
from harness.kernel.namespaces import open_socket, spawn_in
from harness.network.fabric import Fabric
from harness.network.network import Network
from harness.network.proof.datagrams import SO_TIMESTAMPNS
from harness.topology.impairment import Impairment
from harness.topology.topology import Node

BLOCK = IPv4Network("198.18.0.0/16")


class Pings(NamedTuple):
    """Round trips of one ping: times are 0 where nothing came back. A host that is busy delays some
    packets, which the median does not see."""

    received: int
    median_ms: float
    mean_ms: float
    deviation_ms: float


class Net:
    """A fabric of some nodes and its network, without a cluster."""

    def __init__(self, count: int, regions: int = 1, **settings) -> None:
        self.nodes = [
            Node(name=f"n{index}", region=f"r{index * regions // count}") for index in range(count)
        ]
        self.fabric = Fabric("test", BLOCK)
        self.wires = self.fabric.wire(self.nodes)
        self.addresses = {wire.node: wire.address for wire in self.wires}
        self.namespaces = {wire.node: wire.namespace for wire in self.wires}
        self.before = self.kernel()
        self.network = Network(
            self.fabric,
            self.nodes,
            seed=1,
            baseline=settings.get("baseline", {}),
            ports=settings.get("ports", ()),
        )

    def set(self, **words) -> None:
        self.network.set(spec.parse(words).resolve(self.nodes, 1))
        assert not any(self.network.drift().values())

    def walk(self, states: int) -> None:
        """Random faults come and go, and at last all go; after each step the kernel has what was
        asked.
        """
        chance = random.Random(11)
        for number in range(states):
            names = list(self.network.faults)
            if names and chance.random() < 0.4:
                verb, fault = Verb.CLEAR, self.network.faults[chance.choice(names)]
            else:
                verb, fault = Verb.SET, _random_fault(chance, self.nodes, number)
            if number % 3 == 1:  # made ready: this one, or one that is called off
                self.network.prepare(verb, fault)
            elif number % 3 == 2:
                self.network.prepare(Verb.SET, _random_fault(chance, self.nodes, -number))
                self.network.look_ahead()
            if verb is Verb.CLEAR:
                self.network.clear(fault.name)
            else:
                self.network.set(fault)
            assert not any(self.network.drift().values()), (
                number,
                self.network.drift(),
                self.network.rows(),
            )
        self.network.clear()

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
        return self.run(
            None,
            "sh",
            "-c",
            "nft list ruleset; tc qdisc; tc class; ip -o link; iptables-legacy -t mangle -S; ip "
            "rule",
        )

    def ping(self, source: str, target: str, count: int = 20, gap_s: float = 0.02) -> Pings:
        """What ping says of its round trips."""
        argv = ["ping", "-c", str(count), "-i", str(gap_s), "-W", "1", self.addresses[target]]
        said = self.run(source, *argv)
        received = int(re.search(r"(\d+) received", said)[1])
        times = [float(time_ms) for time_ms in re.findall(r"time=([\d.]+) ms", said)]
        summary = re.search(r"= [\d.]+/([\d.]+)/[\d.]+/([\d.]+)", said)
        if summary is None:
            return Pings(received, 0.0, 0.0, 0.0)
        return Pings(received, float(np.median(times)), float(summary[1]), float(summary[2]))

    def one_way(self, count: int, gap_s: float = 0.005) -> np.ndarray:
        """Numbered datagrams n0 → n1, sent on time: (number, delay in ms by kernel timestamps) of
        each that arrived, in order of arrival.
        """
        there = open_socket(self.namespaces["n1"], socket.AF_INET, socket.SOCK_DGRAM)
        here = open_socket(self.namespaces["n0"], socket.AF_INET, socket.SOCK_DGRAM)
        found: list[tuple[int, float]] = []
        with there, here:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            there.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            there.bind((self.addresses["n1"], 4000))
            there.settimeout(1.0)

            def receive() -> None:
                while True:
                    try:
                        data, ancillary, _, _ = there.recvmsg(64, 64)
                    except TimeoutError:
                        return
                    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                    number, sent_ns = struct.unpack("=IQ", data)
                    found.append((number, (seconds * 10**9 + nanoseconds - sent_ns) / 1e6))

            thread = threading.Thread(target=receive)
            thread.start()
            due_s = time.monotonic()
            for number in range(count):
                here.sendto(
                    struct.pack("=IQ", number, time.time_ns()), (self.addresses["n1"], 4000)
                )
                due_s += gap_s
                time.sleep(max(0.0, due_s - time.monotonic()))
            thread.join()
        return np.array(found).reshape(-1, 2)

    def close(self) -> None:
        self.network.close()
        self.fabric.close()


def _random_fault(chance: random.Random, nodes: list[Node], number: int) -> Fault:
    if chance.random() < 0.3:
        pattern = chance.choice(
            [name for name in partitions.PATTERNS if name not in ("isolate", "k-way", "by-region")]
        )
        return Fault(name=f"f{number % 7}", far=partitions.cut(pattern, [], nodes, number))
    some = frozenset(
        (a.name, b.name) for a in chance.sample(nodes, 3) for b in chance.sample(nodes, 3) if a != b
    )
    delay = chance.choice([0, 10, 50, 200])
    what = Impairment(
        delay_ms=delay,
        jitter_ms=chance.choice([0, delay / 5]),
        loss=chance.choice([0, 0.001, 0.05]),
        rate_bps=chance.choice([None, 10**6, 10**9]),
        refuses_new=chance.random() < 0.1,
        drops_established=chance.random() < 0.1,
    )
    rates = {chance.choice(nodes).name: chance.choice([10**6, 10**8])}
    return Fault(
        name=f"f{number % 7}",
        paths=some,
        impairment=what,
        up=rates if chance.random() < 0.3 else {},
        down=rates if chance.random() < 0.3 else {},
    )
