"""The cuts around crashed machines, on a network that only notes what it is told."""

from __future__ import annotations

from typing import cast

import pytest

from harness.faults.fault import Fault, Verb
from harness.faults.spec import parse
from harness.network.network import Network
from harness.supervisor.crashes import Crashes
from harness.topology.topology import Node


class Noted:
    """What would be changed."""

    def __init__(self) -> None:
        self.nodes = [Node(name=f"node-{number}") for number in range(5)]
        self.ready: list[Fault] = []
        self.was_set: list[Fault] = []
        self.called_off = 0

    def prepare(self, verb: Verb, fault: Fault) -> None:
        assert verb is Verb.SET
        self.ready.append(fault)

    def set(self, fault: Fault) -> None:
        self.was_set.append(fault)

    def call_off(self) -> None:
        self.called_off += 1


@pytest.fixture
def network() -> Noted:
    return Noted()


@pytest.fixture
def crashes(network: Noted) -> Crashes:
    found = Crashes(cast("Network", network))
    words = {"where": "node-1, node-2", "condition": "crashed", "name": "storm"}
    found.make_ready(parse(words).resolve(network.nodes, 1))
    return found


def test_the_cut_that_was_made_ready_comes(network: Noted, crashes: Crashes) -> None:
    """Among 300 nodes it was compiled when it was due: half a second late."""
    crashes.cut_off("storm", ["node-1", "node-2"])
    assert network.was_set[0] is network.ready[0]
    assert crashes.cuts == {"storm: cut": frozenset({"node-1", "node-2"})}
    crashes.cut_off("storm", ["node-3"])
    assert network.was_set[1].far["node-3"] == frozenset({f"node-{n}" for n in (0, 1, 2, 4)})


def test_it_is_of_those_who_crash_and_of_no_others(network: Noted, crashes: Crashes) -> None:
    """A node that was stopped meanwhile is not cut off, for it does not crash."""
    crashes.cut_off("storm", ["node-2"])
    (cut,) = network.was_set
    assert cut is not network.ready[0]
    assert cut.words == "cut isolate node-2"


def test_another_faults_cut_is_not_it(network: Noted, crashes: Crashes) -> None:
    crashes.cut_off("other", ["node-1", "node-2"])
    assert network.was_set[0].name == "other: cut"


def test_where_nobody_is_left_to_crash_it_is_called_off(network: Noted, crashes: Crashes) -> None:
    crashes.cut_off("other", [])
    assert not network.called_off
    crashes.cut_off("storm", [])
    assert (network.called_off, network.was_set) == (1, [])
