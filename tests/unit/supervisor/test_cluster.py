"""When a cluster's nodes are asked for, and what stands by then."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from harness.control.progress import nobody
from harness.errors import HarnessError
from harness.network.fabric import Wire
from harness.runtimes.runtime import Image, Process
from harness.supervisor.cluster import Cluster
from harness.topology.topology import Node, Topology

NODES = [Node(name=f"n{index}") for index in range(4)]


class Fabric:
    """Joins one node after another; `breaks`: all but the first two."""

    def __init__(self, *, breaks=False):
        self.breaks, self.joined, self.wires, self.regions = breaks, [], [], {}

    def make(self, nodes, grounds):
        assert not grounds
        self.regions = {"default": IPv4Network("198.18.0.0/29")}
        self.wires = [
            Wire(node=node.name, address=f"198.18.0.{index + 1}", namespace=-1, ifindex=index)
            for index, node in enumerate(nodes)
        ]
        return self.wires

    def join(self, progress):
        for wire in self.wires:
            if self.breaks and len(self.joined) == 2:
                raise HarnessError("no room for a link")
            self.joined.append(wire.node)
            progress(len(self.joined))
            yield wire
        self.joined.append("all")


class Runtime:
    """Notes, of each node that it is to start, what was joined by then."""

    def __init__(self):
        self.found, self.network = {}, None

    def ground(self, _moved):
        return {}

    def warm(self, zygotes, _nodes):
        self.warmed = [*zygotes, *self.cluster.fabric.wires]

    def start(self, launches, *_):
        for place, _ in launches:
            self.found[place.node.name] = list(self.cluster.fabric.joined)
        self.network = self.cluster.network
        raise KeyboardInterrupt  # no more is wanted


def asked_for(folder, zygotes, **how):
    """What `Runtime` notes of nodes with these zygotes, listed in another order than theirs."""

    class Adapter:
        name, ports, keeps_links, wipes = "none", (), False, False
        zygotes = (("z",),)

        def prepare(self, _topology, places, _state):
            image = Image("none")
            for place in places:
                place.directory.mkdir(parents=True)
            return [
                (place, Process(argv=("none",), image=image, zygote=zygotes[place.index]))
                for place in reversed(places)
            ]

        def endpoints(self, _places):
            return []

    runtime, fabric = Runtime(), Fabric(**how)
    topology = Topology(name="t", nodes=tuple(NODES), links=())
    runtime.cluster = Cluster(topology, Adapter(), runtime, fabric, folder)
    try:
        with pytest.raises((KeyboardInterrupt, HarnessError)):
            runtime.cluster.up(nobody)
    finally:
        runtime.cluster.readiness.close()
    return runtime


def test_what_a_zygote_holds_is_asked_for_once_it_is_joined_itself(tmp_path):
    runtime = asked_for(tmp_path, [("z",)] * 4)
    assert runtime.found == {
        "n0": ["n0"],
        "n1": ["n0", "n1"],
        "n2": ["n0", "n1", "n2"],
        "n3": ["n0", "n1", "n2", "n3"],
    }
    assert runtime.network is not None  # before what is held may begin
    assert runtime.warmed == [("z",)], "the zygote, and no namespace yet"


def test_what_runs_at_once_is_asked_for_when_the_network_stands(tmp_path):
    runtime = asked_for(tmp_path, [("z",), ("z",), ("z",), ()])
    assert set(runtime.found) == {"n0", "n1", "n2", "n3"}
    assert all(joined[-1] == "all" for joined in runtime.found.values())


def test_a_network_that_cannot_be_made_is_an_error_among_the_launches(tmp_path):
    runtime = asked_for(tmp_path, [("z",)] * 4, breaks=True)
    assert (set(runtime.found), runtime.network) == ({"n0", "n1"}, None)
