"""A cluster of containers from end to end: the same commands, the same rows, and nothing left after
kill -9.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess

import pytest
from kit.desk import TEN, Desk, small_scenario, wait_for
from kit.verdicts import DOUBTS

from harness.kernel import cgroups, mounts
from harness.runtimes.docker.labels import container_name
from harness.systems.adapter import Endpoint
from harness.systems.protocol import NodeSocket

pytestmark = [pytest.mark.docker, pytest.mark.root]


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "dockerdesk", "docker")
    made.write("ten.toml", TEN)
    yield made
    made.close()


def inspected(desk: Desk) -> list[dict]:
    ids = subprocess.run(
        ["docker", "ps", "-q", "--filter", f"label=p2p-harness.cluster={desk.cluster}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return json.loads(
        subprocess.run(
            ["docker", "inspect", *ids], capture_output=True, text=True, check=True
        ).stdout
    )


def test_containers_are_nodes_with_namespaces_of_their_own(desk):
    desk.ok("up", "ten.toml")
    nodes = desk.status()["nodes"]
    assert desk.status()["runtime"] == "docker"
    containers = inspected(desk)
    assert {container["State"]["Pid"] for container in containers} == {
        node["pid"] for node in nodes
    }
    assert {container["Name"] for container in containers} == {
        f"/{container_name(desk.cluster, desk.state, node['name'])}" for node in nodes
    }
    inodes = {os.stat(f"/proc/{node['pid']}/ns/net").st_ino for node in nodes} | {
        os.stat("/proc/self/ns/net").st_ino
    }
    assert len(inodes) == 11
    assert " 0% packet loss" in desk.ok(
        "exec", "node-2", "--", "ping", "-c", "2", "-i", "0.2", nodes[8]["address"]
    )
    desk.ok("condition", "node-3", "stopped")
    desk.ok("condition", "node-3", "running")
    assert desk.status()["nodes"][3]["wire_id"] == nodes[3]["wire_id"]
    assert "ready" in desk.ok("logs", "node-3")
    desk.ok("down")
    desk.assert_nothing_left()


def test_a_container_crashes_and_comes_back_with_what_it_may_keep(desk):
    """It was given a quota in its own control group, and has it again after a restart."""
    desk.ok("up", "ten.toml")
    first = desk.status()["nodes"][3]
    desk.ok("fault", "set", "node-3", "--cpu", "30%", "--fds", "512", "--name", "slow")
    for condition, state, restarts in (("crashed", "keep", 1), ("killed", "wipe", 0)):
        words = ("--condition", condition, "--state", state, "--name", "x")
        desk.ok("fault", "set", "node-3", *words)
        assert desk.status()["nodes"][3]["pid"] is None
        desk.ok("fault", "clear", "x")
        now = desk.status()["nodes"][3]
        found = NodeSocket(endpoint(now)).health()
        assert (found["restarts"], found["id"]) == (restarts, first["wire_id"])
        assert resource.prlimit(now["pid"], resource.RLIMIT_NOFILE)[0] == 512
        group = cgroups.found(now["pid"])
        assert (group.quota(), group.pids()) == (0.3, {now["pid"]})
    desk.ok("fault", "clear", "slow")
    assert group.quota() is None
    assert resource.prlimit(now["pid"], resource.RLIMIT_NOFILE)[0] > 512
    desk.ok("down")
    desk.assert_nothing_left()


def test_a_node_comes_back_from_another_image_as_another_command(desk, sdk, image):
    """In another container, which has its limits too; the one before is gone."""
    sdk.images.get(image).tag("meshnode-v2", "test")
    try:
        desk.ok("up", "ten.toml")
        desk.ok("fault", "set", "node-3", "--cpu", "30%", "--name", "slow")
        words = ("--condition", "restarted", "--image", "meshnode-v2:test")
        command = ("--command", "{program} run --config {directory}/node.json")
        desk.ok("fault", "set", "node-3", *words, *command)
        now = desk.status()["nodes"][3]
        assert NodeSocket(endpoint(now)).health()["restarts"] == 1
        group = cgroups.found(now["pid"])
        assert (group.quota(), group.pids()) == (0.3, {now["pid"]})
        assert {one["State"]["Pid"] for one in inspected(desk)} == {
            node["pid"] for node in desk.status()["nodes"]
        }
        refused = desk.harness("fault", "set", "node-4", "--condition", "killed", "--image", "no:1")
        assert refused.returncode == 69
        assert "the image no:1 is not on this host" in refused.stderr
        assert desk.status()["nodes"][4]["condition"] == "running"
        desk.ok("down")
        desk.assert_nothing_left()
    finally:
        sdk.images.remove("meshnode-v2:test", noprune=True)


def test_a_container_has_a_disk_and_a_clock_of_its_own(desk):
    own = '[nodes]\ncount = 3\ndisk = "2mb"\nown_clock = true\n[shape]\nkind = "full-mesh"\n'
    desk.write("own.toml", own)
    desk.ok("up", "own.toml")
    desk.ok("fault", "set", "node-1", "--disk", "full", "--clock", "-45s", "--name", "x")
    desk.ok("fault", "set", "node-1", "--condition", "killed", "--name", "k")
    desk.ok("fault", "clear", "k")
    wait_for(lambda: "No space left on device" in desk.ok("logs", "node-1"))
    desk.ok("fault", "clear", "x")
    wait_for(lambda: NodeSocket(endpoint(desk.status()["nodes"][1])).health()["ready"])
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not mounts.below(desk.state))
    desk.ok("doctor")
    desk.assert_nothing_left()


def endpoint(node: dict) -> Endpoint:
    return Endpoint(node=node["name"], address="", control=node["control"], wire_id=b"")


@pytest.mark.quiet
def test_the_same_scenario_gives_the_same_rows_on_both_runtimes(desk):
    rows = {}
    for runtime in ("docker", "netns"):
        done = desk.harness("run", str(small_scenario(desk)), "--runtime", runtime, "--json")
        assert done.returncode == 0, (runtime, done.stdout, done.stderr)
        rows[runtime] = [
            (finding["name"], finding["phase"], finding["promised"], finding["answer"])
            for finding in json.loads(done.stdout)["findings"]
            if (finding["name"], finding["answer"]) != DOUBTS
        ]
        desk.assert_nothing_left()
    assert rows["docker"] == rows["netns"]


def test_down_after_a_kill_removes_own_containers_only(desk):
    """Containers of a killed supervisor go by their label; those of another cluster stay."""
    foreign = subprocess.run(
        [
            "docker",
            "create",
            "--label",
            "p2p-harness.cluster=somebody-else",
            image(desk),
            "meshnode",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    try:
        desk.ok("up", "ten.toml")
        os.kill(desk.status()["pid"], signal.SIGKILL)
        wait_for(lambda: desk.doing() == "gone", desk.doing)
        assert desk.harness("status").returncode == 69
        assert len(desk.census()["containers"]) == 10
        desk.ok("down")  # of a dead cluster: removes what it left, by label
        desk.assert_nothing_left()
        assert (
            subprocess.run(
                ["docker", "inspect", foreign], capture_output=True, check=False
            ).returncode
            == 0
        )
    finally:
        subprocess.run(["docker", "rm", foreign], capture_output=True, check=True)


def test_down_in_another_state_folder_leaves_a_namesake_alone(desk, tmp_path):
    desk.ok("up", "ten.toml")
    before = desk.census()["containers"]
    other = {**desk.environment, "HARNESS_STATE": str(tmp_path / "other")}
    desk.harness("down", env=other)
    assert desk.census()["containers"] == before
    desk.ok("down")
    desk.assert_nothing_left()


def image(desk: Desk) -> str:
    desk.ok("up", "ten.toml")
    found = inspected(desk)[0]["Image"]
    desk.ok("down")
    return found
