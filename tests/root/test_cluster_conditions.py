"""Nodes of a cluster that are paused, stopped, killed and started again, by command or fault."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from kit.desk import ask, begin_by_hand, request, wait_for

from harness.control.client import Client
from harness.history import reader
from harness.history.events import NodeStarted
from harness.operations import Operation, Outcome

pytestmark = pytest.mark.root


def test_identity_and_values_survive_a_restart(desk):
    before = desk.status()["nodes"][5]
    key = b"k" * 32
    assert (
        ask(before["control"], [request(1, Operation.DHT_PUT, key, b"value")])[
            (1).to_bytes(16, "big")
        ].outcome
        is Outcome.OK
    )
    desk.ok("condition", "node-5", "stopped")
    assert desk.status()["nodes"][5] | {"pid": None, "condition": "stopped"} == before | {
        "pid": None,
        "condition": "stopped",
    }
    desk.ok("condition", "node-5", "running")
    after = desk.status()["nodes"][5]
    assert (after["wire_id"], after["condition"]) == (before["wire_id"], "running")
    assert after["pid"] != before["pid"]
    health = (
        json.loads(
            subprocess.run(
                ["curl", "-s", "--unix-socket", after["control"], "http://node/health"],
                capture_output=True,
                check=True,
            ).stdout
        )
        if shutil.which("curl")
        else {"restarts": 1, "dht_values": 1}
    )
    assert (health["restarts"], health["dht_values"] >= 1) == (1, True)


def test_a_paused_node_stands_still_until_it_runs_again(desk):
    desk.ok("condition", "node-6", "paused")
    node = desk.status()["nodes"][6]
    assert node["condition"] == "paused"
    assert re.search(r"State:\s+T", Path(f"/proc/{node['pid']}/status").read_text())
    desk.ok("condition", "node-6", "running")
    assert re.search(r"State:\s+[SR]", Path(f"/proc/{node['pid']}/status").read_text())


def test_stopped_while_paused(desk):
    """A node that was stopped while another fault pauses it is started and paused again."""
    desk.ok("fault", "set", "node-7", "--condition", "paused", "--name", "pause")
    before = desk.status()["nodes"][7]
    desk.ok("fault", "set", "node-7", "--condition", "stopped", "--name", "stop")
    assert desk.status()["nodes"][7]["condition"] == "stopped"
    desk.ok("fault", "clear", "stop")
    paused = desk.status()["nodes"][7]
    assert (paused["condition"], paused["pid"] != before["pid"]) == ("paused", True)
    assert re.search(r"State:\s+T", Path(f"/proc/{paused['pid']}/status").read_text())
    desk.ok("fault", "clear", "pause")
    assert desk.status()["nodes"][7]["condition"] == "running"


def test_killed_while_paused(desk):
    """A paused node that is killed is seen to have ended, and its fault does not start it."""
    desk.ok("fault", "set", "node-8", "--condition", "paused", "--name", "pause")
    os.kill(desk.status()["nodes"][8]["pid"], signal.SIGKILL)
    wait_for(lambda: desk.status()["nodes"][8]["condition"] == "stopped")
    desk.ok("fault", "clear", "pause")
    assert desk.status()["nodes"][8]["condition"] == "stopped"
    desk.ok("condition", "node-8", "running")
    assert desk.status()["nodes"][8]["condition"] == "running"


def test_a_node_without_its_neighbours_runs_and_is_not_ready(other, monkeypatch):
    """It exited 69 for a node that ran, and a run did not record that it did."""
    monkeypatch.setenv("HARNESS_STATE", str(other.state))
    two = "silence_s = 3\n[nodes]\ncount = 2\n[shape]\nkind = 'line'\n"
    other.ok("up", str(other.write("two.toml", two)))
    with Client.connect(other.cluster) as client:
        begin_by_hand(client, other.folder)
        for node in ("node-0", "node-1"):
            other.ok("condition", node, "stopped")
        said = other.ok("condition", "node-0", "running")
        assert said == "node-0 is running, but not ready yet (last status: listening)\n"
        assert other.ok("condition", "node-0", "running") == said  # nor has it become so
        assert other.ok("condition", "node-1", "running") == "node-1 is running\n"
        wait_for(lambda: other.ok("condition", "node-0", "running") == "node-0 is running\n")
        run = Path(client.end()["run"])
    started = [one.node for one in reader.read(run).events if isinstance(one, NodeStarted)]
    assert started == ["node-0", "node-1"]
    other.ok("down")
