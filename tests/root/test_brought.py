"""Namespaces that stood before the fabric came, joined by a cable of somebody's: two that speak by
it speak over the hub from then on, and by the cable again afterwards.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from ipaddress import IPv4Network

import pytest

from harness.kernel.frames import Counter
from harness.kernel.namespaces import create, create_many
from harness.network.fabric import Fabric
from harness.runtimes.runtime import Ground
from harness.topology.topology import Node

pytestmark = pytest.mark.root
BLOCK = IPv4Network("198.18.0.0/15")
MACS = ("02:00:00:00:0a:01", "02:00:00:00:0a:02")


def run(namespace, *argv):
    """A command in a namespace, and what it said."""
    inside = ["nsenter", f"--net=/proc/self/fd/{namespace}", *argv]
    done = subprocess.run(inside, pass_fds=[namespace], capture_output=True, text=True, check=False)
    return done.stdout


def shown(namespace):
    return [run(namespace, *f"ip {what}".split()) for what in ("address", "route", "rule")]


@pytest.fixture
def pair():
    """Two namespaces with a cable between them."""
    with ExitStack() as stack:
        made = create_many(2)
        for one in made:
            stack.callback(os.close, one)
        cable = f"ip link add eth0 address {MACS[0]} type veth peer name cable"
        run(made[0], *cable.split())
        other = f"/proc/{os.getpid()}/fd/{made[1]}"
        run(made[0], "ip", "link", "set", "cable", "netns", other)
        run(made[1], "ip", "link", "set", "cable", "address", MACS[1], "name", "eth0")
        for number, one in enumerate(made, 1):
            for words in (f"addr add 10.9.0.{number}/24 dev eth0", "link set eth0 up"):
                run(one, "ip", *words.split())
            run(one, "ip", "link", "set", "lo", "up")
        yield made


def ping(namespace, address):
    return "1 received" in run(namespace, "ping", "-c1", "-W2", address)


def test_they_speak_over_the_hub_and_are_left_as_they_were(pair):
    before = [shown(one) for one in pair]
    past = Counter(pair[1], MACS[:1])
    fabric = Fabric("test", BLOCK)
    nodes = [Node(name="a"), Node(name="b")]
    grounds = {
        node.name: Ground(namespace=os.dup(one), address=f"10.9.0.{number}", container=node.name)
        for number, (node, one) in enumerate(zip(nodes, pair, strict=True), 1)
    }
    try:
        assert ping(pair[0], "10.9.0.2")
        assert past.count() == 1  # by the cable: ARP is not counted, nor is what is sent
        fabric.make(nodes, grounds)
        assert [wire.address for wire in fabric.join()] == ["10.9.0.1", "10.9.0.2"]
        assert ping(pair[0], "10.9.0.2")
        assert past.count() == 0
        assert {index: one.rx_packets > 0 for index, one in fabric.counters().items()} == {
            0: True,
            1: True,
        }
        assert fabric.drift() is None

        fabric.move("b", namespace := create_with("10.9.0.2"))
        assert not os.path.samestat(os.fstat(fabric.wires[1].namespace), os.fstat(pair[1]))
        assert namespace
        assert ping(pair[0], "10.9.0.2")
        assert fabric.drift() is None
    finally:
        fabric.close()
        past.close()
    assert [shown(one) for one in pair] == before


def create_with(address):
    """A namespace that has this address already, as a container that starts anew."""
    made = create()
    run(made, "ip", "address", "add", f"{address}/24", "dev", "lo")
    run(made, "ip", "link", "set", "lo", "up")
    return made
