"""What measures goes before what is measured, as the kernel says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit.desk import wait_for

from harness.kernel import namespaces, priority
from harness.kernel.nft import Nft
from harness.runtimes.netns.runtime import NetnsRuntime
from harness.runtimes.runtime import Image, Place, Process
from harness.topology.topology import Node

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

LEADER = """
import os, subprocess, sys
from harness.kernel import priority
priority.lead_session()
print(os.getpriority(os.PRIO_PROCESS, 0), priority.of_nodes(), flush=True)
if os.path.exists("/proc/self/autogroup"):
    print(open("/proc/self/autogroup").read().split()[-1], flush=True)
"""
PROMPT = """
import os, subprocess, sys
from harness.kernel import priority
CHILD = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
priority.be_prompt()
subprocess.run(CHILD)
priority.be_ordinary()
subprocess.run(CHILD)
"""
FOR_A_WHILE = """
import os, subprocess, sys, threading
from harness.kernel import priority
priority.lead_session()
CHILD = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
with priority.prompt():
    with priority.prompt():
        pass
    print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK, flush=True)
    subprocess.run(CHILD)
print(os.sched_getscheduler(0), priority.of_nodes(), flush=True)
"""


def said(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    return done.stdout.split()


def test_the_leader_of_a_session_goes_before_all_others():
    assert set(said(LEADER)) == {"-20", "0"}
    assert said(LEADER)[-1] == "-20"  # of its session, where sessions are scheduled


def test_who_is_prompt_is_so_with_its_children_until_it_is_ordinary():
    assert said(PROMPT) == [str(os.SCHED_RR), str(os.SCHED_OTHER)]


def test_who_is_prompt_for_a_while_is_so_alone_and_goes_back_to_where_it_was():
    ordinary = str(os.SCHED_OTHER)
    assert said(FOR_A_WHILE) == [str(os.SCHED_RR), ordinary, ordinary, "0"]


def test_who_carries_out_a_change_is_prompt_before_it_is_handed_over(monkeypatch):
    """It waited for a core first, to become prompt: 22 ms of each first change."""
    [namespace] = namespaces.create_many(1)
    try:
        with contextlib.closing(Nft(namespace)) as nft:
            submit, found = nft._thread.submit, []

            def handed_over(*words):
                found.append(policy(nft._number))
                return submit(*words)

            monkeypatch.setattr(nft._thread, "submit", handed_over)
            nft.run("add table ip t")
            nft.json("list tables")
            assert found == [os.SCHED_RR, os.SCHED_OTHER]
    finally:
        os.close(namespace)


def policy(thread: int) -> int:
    return os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no sessions are scheduled")
@pytest.mark.parametrize("zygote", [(), ("meshnode", "zygote")])
def test_what_forks_nodes_goes_before_them(tmp_path, zygote):
    runtime = NetnsRuntime(label="t-lead", state=tmp_path)
    [namespace] = namespaces.create_many(1)
    place = Place(
        node=Node(name="n0"), index=0, address="198.18.0.1", directory=tmp_path, namespace=namespace
    )
    found = []
    try:
        runtime.start(
            [(place, Process(argv=("sleep", "1000"), image=Image("none"), zygote=zygote))],
            found.append,
        )
        node = found[0].pid
        parent = int(Path(f"/proc/{node}/stat").read_text().rpartition(")")[2].split()[1])
        assert session(parent) == -20
        assert session(node) == os.getpriority(os.PRIO_PROCESS, node) == priority.of_nodes()
    finally:
        runtime.close()
        os.close(namespace)


def session(pid: int) -> int:
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


@pytest.mark.parametrize("zygote", [(), ("meshnode", "zygote")])
def test_nodes_and_commands_beside_them_go_behind_us(tmp_path, zygote):
    runtime = NetnsRuntime(label="t-nice", state=tmp_path)
    [namespace] = namespaces.create_many(1)
    place = Place(
        node=Node(name="n0"), index=0, address="198.18.0.1", directory=tmp_path, namespace=namespace
    )
    sleeper = Process(argv=("sh", "-c", "sleep 1000; true"), image=Image("none"), zygote=zygote)
    found = []
    try:
        runtime.start([(place, sleeper)], found.append)
        command = runtime.execute("n0", ["sleep", "1"], (0, 1, 2))
        node = found[0].pid
        children = Path(f"/proc/{node}/task/{node}/children")
        [child] = wait_for(lambda: children.read_text().split())  # it is as nice as the node
        pids = [node, command, int(child)]
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [priority.of_nodes()] * 3
        os.waitpid(command, 0)
    finally:
        runtime.close()
        os.close(namespace)
