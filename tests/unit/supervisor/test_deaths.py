"""Nodes that end by themselves just before they are changed, and nodes that nobody waits for; they
are plain processes.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import NodeStartError
from harness.faults.fault import Condition, Fault
from harness.kernel.proc import is_readable
from harness.network.fabric import Fabric
from harness.network.network import Network
from harness.runtimes.runtime import Ending, Place, Running, Runtime
from harness.supervisor.cluster import Cluster
from harness.supervisor.deaths import Deaths
from harness.supervisor.faults import NOBODY, Faults
from harness.systems.adapter import NodeAdapter
from harness.topology.topology import Node, Topology


class Sleepers:
    """A runtime of processes that sleep; how one ended is known of the one that runs last."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> Running:
        made = subprocess.Popen(["sleep", "600"])
        self.processes.append(made)
        return Running(node="a", pid=made.pid, pidfd=os.pidfd_open(made.pid))

    def set_condition(self, _: str, condition: Condition) -> Running | None:
        if condition is Condition.RUNNING:
            return self.start()
        self.processes[-1].kill()
        self.processes[-1].wait()
        return None

    def ending(self, _: str) -> Ending:
        return Ending(signal=-(self.processes[-1].poll() or 0))

    def members(self, _: str) -> list[int]:
        return []

    def is_held(self, _: str) -> bool:
        return False

    def clear(self, _: str) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    runtime = Sleepers()
    topology = Topology(name="one", nodes=(Node(name="a"),), links=frozenset(), silence_s=0.1)
    made = Cluster(
        topology,
        cast("NodeAdapter", None),
        cast("Runtime", runtime),
        cast("Fabric", None),
        tmp_path,
    )
    place = Place(
        node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
    )
    made.places = {"a": place}
    made.running, made.conditions = {"a": runtime.start()}, {"a": Condition.RUNNING}
    yield made
    for one in runtime.processes:
        one.kill()
        one.wait()


@pytest.mark.parametrize("condition", [Condition.RESTARTED, Condition.KILLED])
def test_an_end_just_before_a_fault_is_told(cluster, condition):
    """It was lost where the node was started again before anybody had looked: a node that crashes
    as it is restarted was "alive throughout".
    """
    network = SimpleNamespace(seed=1, faults={}, held=nullcontext)
    faults = Faults(cluster, cast("Network", network))
    deaths = Deaths(cluster, faults, lambda _: None, lambda _: None)
    told: list[Any] = []
    faults.listen(
        replace(
            NOBODY,
            nodes_ended=lambda how, _: told.append(how),
            node_changed=lambda node, condition, _: told.append((node, condition)),
        )
    )
    first = cluster.running["a"]
    cluster.runtime.processes[0].terminate()
    assert is_readable(first.pidfd, 60.0)
    fault = Fault(name="f", nodes=("a",), condition=condition)
    faults.set(fault)
    faults.clear_this(fault)
    deaths.settle()
    assert told == [{"a": Ending(signal=15)}, ("a", Condition.RUNNING)]
    assert cluster.ended == {}
    assert cluster.running["a"].pid != first.pid


def test_a_node_that_ended_while_it_started_did_not_start(cluster):
    """Where that was noted before, it was silent for as long as may be, and "started" then: it ran
    in the record from its end on.
    """
    cluster.topology = replace(cluster.topology, silence_s=1e9)
    cluster.readiness.expect("a")
    cluster.runtime.processes[0].terminate()
    assert is_readable(cluster.running["a"].pidfd, 60.0)
    assert cluster.note_ended(["a"]) == ["a"]
    with pytest.raises(NodeStartError, match="node a ended while starting"):
        cluster.await_ready("a")


def test_in_haste_nobody_waits_for_a_node(cluster):
    """`down`, and the end of a run that was cut, waited until a node was ready that was not to be:
    as long as it was silent, and its like talked.
    """
    patient = replace(cluster.topology, silence_s=1e9)
    cluster.topology = patient
    cluster.readiness.expect("a")
    waiting = threading.Thread(target=cluster.await_ready, args=("a",), daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    cluster.haste.add("all go down")
    waiting.join(60.0)
    assert not waiting.is_alive()
    assert cluster.readiness.hurried == {"a"}
