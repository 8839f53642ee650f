"""Nodes that end, are stopped or are paused around a run: what the run says of them is so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kit.desk import ROOT, TEN, Desk, ask, begin_by_hand, request, small_scenario, wait_for

from harness.control.client import Client
from harness.history import reader
from harness.history.events import GatewayStalled, NodeEnded
from harness.operations import Operation
from harness.runtimes.resident import TERMINATE_GRACE_S

pytestmark = pytest.mark.root
TINY = ROOT / "tests" / "systems" / "tiny"
THREE = "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n"
FIVE = THREE.replace("3", "5")
DEAF = """
import signal, subprocess, sys, time

CHILD = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
subprocess.Popen([sys.executable, "-c", CHILD + "time.sleep(1000)"])
time.sleep(1000)
"""
DEAF_FILE = """
name = "deaf"
[start]
argv = ["python3", "{directory}/deaf.py"]
files = ["deaf.py"]
[ready]
log = "^up"
[send.dht_put]
exec = ["true"]
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    made = Desk(tmp_path, "deaths")
    monkeypatch.setenv("HARNESS_STATE", str(made.state))
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def tiny(desk: Desk) -> None:
    for file in TINY.iterdir():
        if file.is_file():
            shutil.copy(file, desk.folder)


def opened(pid: int) -> set[str]:
    """The files that a process holds open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(entry))
    return found


def test_deaths_at_once_are_stamped_at_once(desk):
    """Each left a child that ignores SIGTERM: the fifth was stamped 8 s after it died."""
    desk.write("deaf.py", DEAF)
    desk.write("deaf.toml", DEAF_FILE)
    desk.ok("up", str(desk.write("five.toml", FIVE)), "--system", "deaf.toml")
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, desk.runs)
        for node in desk.status()["nodes"]:
            os.kill(node["pid"], signal.SIGKILL)
        wait_for(lambda: {one["condition"] for one in desk.status()["nodes"]} == {"stopped"})
        run = Path(client.end()["run"])
    ended = [one for one in reader.read(run).events if isinstance(one, NodeEnded)]
    assert sorted(one.node for one in ended) == [f"node-{index}" for index in range(5)]
    assert {one.signal for one in ended} == {signal.SIGKILL}
    stamps = [one.at_ns for one in ended]
    assert max(stamps) - min(stamps) < TERMINATE_GRACE_S * 1e9
    wait_for(lambda: not [line for line in desk.processes().values() if "SIG_IGN" in line])


def test_a_zygote_that_ends_is_ours_and_not_the_nodes_end(desk):
    """It took all its nodes along, and each of them was FAIL."""
    running = desk.start("run", str(small_scenario(desk, 20)), "--json")
    wait_for(lambda: running.poll() is not None or desk.doing() == "phase load", desk.doing)
    [zygote] = [pid for pid in desk.processes() if is_first(pid)]
    os.kill(zygote, signal.SIGKILL)
    said, told = running.communicate(timeout=120)
    verdict = json.loads(said)
    found = {one["name"]: one for one in verdict["findings"]}
    assert verdict["answer"] == "UNKNOWN", (verdict, told)
    assert found["nodes: alive throughout"]["answer"] == "PASS"
    assert "ended and took its nodes along" in found["record complete"]["sentence"]


def is_first(pid: int) -> bool:
    """Whether a process is the first of a PID namespace below ours."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) > 2 and line.split()[-1] == "1"
    return False


def test_a_node_that_was_paused_as_the_run_ended_adds_nothing_to_it(desk):
    """What it read after that stood in the run before, which was "not as it was" then."""
    desk.ok("up", str(desk.write("ten.toml", TEN)))
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, desk.runs)
        nodes = desk.status()["nodes"]
        desk.ok("condition", "node-1", "paused")
        ask(nodes[0]["control"], [request(1, Operation.BROADCAST, None, b"x")])
        run = Path(client.end()["run"])
    sealed = (run / "journal" / "node-1.bin").read_bytes()
    desk.ok("condition", "node-1", "running")
    # Its answer comes after what it read before.
    ask(nodes[1]["control"], [request(2, Operation.BROADCAST, None, b"y")])
    assert (run / "journal" / "node-1.bin").read_bytes() == sealed
    assert not [gap for gap in reader.read(run).gaps if "not as it was" in str(gap)]
    assert not any(str(run) in file for file in opened(nodes[2]["pid"]))


def test_the_gateway_ends_the_journals_of_stopped_nodes_too(desk):
    tiny(desk)
    desk.ok("up", str(desk.write("three.toml", THREE)), "--system", "tinynode.toml")
    [gateway] = [pid for pid, line in desk.processes().items() if "harness.systems.gateway" in line]
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, desk.runs)
        assert sum(file.endswith(".bin") for file in opened(gateway)) == 3
        desk.ok("condition", "node-1", "stopped")
        desk.ok("condition", "node-2", "paused")
        client.end()
    assert not any(file.endswith(".bin") for file in opened(gateway))


def test_a_stall_of_the_last_moment_is_of_its_own_run(desk):
    """It was told to the next run, and this one said that the system was slow."""
    tiny(desk)
    desk.ok("up", str(desk.write("three.toml", THREE)), "--system", "tinynode.toml")
    [gateway] = [pid for pid, line in desk.processes().items() if "harness.systems.gateway" in line]
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, desk.runs)
        os.kill(gateway, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(gateway, signal.SIGCONT)
        run = Path(client.end()["run"])
    stalls = [one for one in reader.read(run).events if isinstance(one, GatewayStalled)]
    assert max(one.until_ns - one.since_ns for one in stalls) >= 0.3e9
