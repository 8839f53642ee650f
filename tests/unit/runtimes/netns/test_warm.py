"""A zygote that is up before any node is asked for."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from meshnode import zygote

from harness.kernel import priority
from harness.runtimes.netns import runtime as runtime_module
from harness.runtimes.netns.runtime import MANY, REHEARSAL, NetnsRuntime
from harness.runtimes.runtime import Image, Place, Process
from harness.systems.adapters.meshnode import Meshnode
from harness.topology.topology import Node, Topology


def place(folder: Path) -> Place:
    return Place(
        node=Node(name="n0"),
        index=0,
        address="198.18.0.1",
        directory=folder / "n0",
        namespace=-1,
    )


def test_a_warm_zygote_is_the_one_that_nodes_are_asked_of(tmp_path, monkeypatch):
    made = []

    def make(_runtime, command):
        made.append(command)
        return SimpleNamespace(zygote=object(), guard=SimpleNamespace(pid=0))

    monkeypatch.setattr(NetnsRuntime, "_make_zygote", make)
    monkeypatch.setattr(priority, "lead", lambda _pid: None)
    runtime = NetnsRuntime(label="warm", state=tmp_path)
    runtime.warm([("z",), ("z",)])
    assert made == [("z",)]
    process = Process(argv=("n",), image=Image("none"), zygote=("z",))
    warm = runtime._zygotes["z",].zygote
    assert runtime._zygote_for(place(tmp_path), process) is warm
    assert made == [("z",)]


@pytest.mark.parametrize(("nodes", "rehearses"), [(0, False), (MANY - 1, False), (MANY, True)])
def test_a_zygote_of_many_is_given_a_folder_to_rehearse_in(nodes, rehearses, tmp_path, monkeypatch):
    """It is the cluster's, so that nothing is left where the zygote is killed meanwhile; nodes do
    not get the variable.
    """
    found = {}

    def start(argv, **options):
        found.update(options["env"], argv=argv)
        return SimpleNamespace(pid=0, wait=lambda _: 0)

    monkeypatch.setattr(runtime_module.subprocess, "Popen", start)
    monkeypatch.setattr(priority, "lead", lambda _pid: None)
    runtime = NetnsRuntime(label="warm", state=tmp_path)
    runtime.warm([("true",)], nodes)
    assert (found.get(REHEARSAL) == str(tmp_path)) == rehearses
    assert (REHEARSAL in found) == rehearses
    assert REHEARSAL not in runtime._zygotes["true",].zygote._environment
    runtime.close()


def test_the_variable_is_the_one_that_meshnode_reads():
    assert zygote.REHEARSAL == REHEARSAL


def test_meshnode_names_the_zygote_that_its_nodes_have(tmp_path):
    """Another one would be warm for nothing."""
    topology = Topology(name="t", nodes=(Node(name="n0"),), links=())
    [(_, process)] = Meshnode().prepare(topology, [place(tmp_path)], tmp_path)
    assert list(Meshnode.zygotes) == [process.zygote]
