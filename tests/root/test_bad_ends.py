"""Faults of nodes at their worst: two of them on one node, on one that is dead, and all of them in
force when the supervisor is killed.
"""

from __future__ import annotations

import os
import signal
import sys

import pytest
from kit.desk import Desk, wait_for

from harness.kernel import cgroups, mounts
from harness.kernel.proc import is_stopped

pytestmark = pytest.mark.root
OWN = (
    '[nodes]\ncount = 8\ndisk = "2mb"\nown_clock = true\n[shape]\nkind = "full-mesh"\n'
    '[[node]]\nname = "plain"\nown_clock = false\n'
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = Desk(tmp_path_factory.mktemp("ends"), "ends")
    made.ok("up", str(made.write("own.toml", OWN)))
    try:
        yield made
        made.assert_nothing_left()
    finally:
        made.close()


def node(desk: Desk, index: int) -> dict:
    return desk.status()["nodes"][index]


def set_(desk: Desk, index: int, name: str, *words: str) -> None:
    desk.ok("fault", "set", f"node-{index}", *words, "--name", name)


def clear(desk: Desk, *names: str) -> None:
    for name in names:
        desk.ok("fault", "clear", name)


def room(desk: Desk, index: int) -> tuple[int, int]:
    return mounts.room(desk.state / desk.cluster / "nodes" / f"node-{index}")


def test_a_node_that_was_killed_while_it_was_paused_comes_back_paused(desk):
    set_(desk, 1, "p", "--condition", "paused")
    before = node(desk, 1)["pid"]
    set_(desk, 1, "k", "--condition", "killed")
    assert node(desk, 1)["condition"] == "killed"
    clear(desk, "k")
    now = node(desk, 1)
    assert (now["condition"], is_stopped(now["pid"]), now["pid"] != before) == (
        "paused",
        True,
        True,
    )
    clear(desk, "p")
    wait_for(lambda: not is_stopped(now["pid"]))


def test_a_node_that_restarts_while_it_is_slowed_is_slowed(desk):
    set_(desk, 2, "s", "--cpu", "10%")
    set_(desk, 2, "r", "--condition", "restarted")
    pid = node(desk, 2)["pid"]
    assert cgroups.found(pid).quota() == 0.1
    clear(desk, "s")
    assert cgroups.found(pid).quota() is None


def test_of_two_faults_of_one_disk_the_other_stays(desk):
    set_(desk, 3, "a", "--disk", "full")
    set_(desk, 3, "b", "--disk", "full", "--fds", "512")
    clear(desk, "a")
    assert room(desk, 3)[1] == 0
    clear(desk, "b")
    assert room(desk, 3)[1] > 1_000_000


def test_a_full_disk_is_full_without_what_was_wiped(desk):
    set_(desk, 4, "d", "--disk", "full")
    set_(desk, 4, "k", "--condition", "killed", "--state", "wipe")
    assert room(desk, 4)[1] == 0
    clear(desk, "k")
    wait_for(lambda: "No space left on device" in desk.ok("logs", "node-4"))
    clear(desk, "d")


def test_limits_of_a_node_that_is_dead_hold_when_it_starts(desk):
    os.kill(node(desk, 5)["pid"], signal.SIGKILL)
    wait_for(lambda: node(desk, 5)["pid"] is None)
    refused = desk.harness("fault", "set", "node-5", "--condition", "paused")
    assert refused.returncode == 69
    assert "node-5 has ended and cannot be paused" in refused.stderr
    set_(desk, 5, "x", "--cpu", "20%", "--disk", "full", "--clock", "+9s")
    desk.ok("condition", "node-5", "running")
    assert cgroups.found(node(desk, 5)["pid"]).quota() == 0.2
    assert room(desk, 5)[1] == 0
    clear(desk, "x")
    assert cgroups.found(node(desk, 5)["pid"]).quota() is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plain", "--clock", "+9s"], "clock: plain has no clock of its own"),
        (["all", "--clock", "+9s"], "clock: plain has no clock of its own"),
        (["node-1", "--disk", "slow"], "disk: slow cannot be shown"),
        (["node-1", "--disk", "full", "--condition", "paused"], "stands alone"),
        (["node-1", "--condition", "paused", "--command", "x"], "of nodes that start again"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(desk, words, says):
    before = desk.status()["nodes"]
    done = desk.harness("fault", "set", *words)
    assert done.returncode == 64
    assert says in done.stderr
    assert (desk.status()["nodes"], desk.ask("fault-list")["faults"]) == (before, [])


def test_a_killed_supervisor_leaves_nothing_of_any_fault(desk):
    """The last: it takes the cluster away."""
    groups = set(cgroups.owners())
    set_(desk, 0, "paused", "--condition", "paused")
    set_(desk, 1, "crashed", "--condition", "crashed", "--state", "wipe")
    command = f"{sys.executable} -m meshnode.cli {{arguments}}"
    set_(desk, 2, "other", "--condition", "restarted", "--command", command)
    set_(desk, 2, "slow", "--cpu", "20%", "--fds", "512", "--memory", "4gb")
    set_(desk, 3, "full", "--disk", "full", "--clock", "-45s")
    set_(desk, 4, "stopped", "--condition", "stopped")
    assert len(desk.ask("fault-list")["faults"]) == 5
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes())
    wait_for(lambda: not mounts.below(desk.state))
    desk.ok("doctor")
    assert set(cgroups.owners()) <= groups
    desk.assert_nothing_left()
