"""Profiles of real nodes under load: the hot function is found by its name, the run says that it
was profiled, and whoever ends a profiler leaves its target running.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from kit.desk import TEN, Desk, wait_for

from harness.kernel.proc import is_stopped

pytestmark = [pytest.mark.root, pytest.mark.slow]

BUSY = """
topology = "ten"
[[phase]]
name = "active"
duration_s = {seconds}
[[phase.stream]]
operation = "private_message"
rate_per_s = 100
payload_bytes = 65536
target = "node-3"
"""
ASKED = """
[[phase.profile]]
who = "node-3"
at_s = 1
for_s = 12
"""
FAILS = """
topology = "four.toml"
budget = "few.toml"
[[phase]]
name = "active"
duration_s = 300
[[phase.stream]]
operation = "private_message"
rate_per_s = 40
target = "node-3"
[[phase.profile]]
who = "node-3"
start = "row-fails"
for_s = 2
"""
FEW = """
[[row]]
name = "few descriptors"
metric = "fds"
statistic = "max"
bound = 200
unit = "1"
phase = "active"
"""
# What a node does with each byte of a message that it receives: it takes it from a link, with the
# interpreter's lock, and decrypts it, without.
HOT = "_push (meshnode/link.py"
NATIVE = "nacl/bindings/"


def busy(desk: Desk, seconds: float, more: str = "") -> str:
    return str(desk.write("busy.toml", BUSY.format(seconds=seconds) + more))


def events(desk: Desk, word: str) -> list[dict]:
    lines = (desk.runs / "latest" / "events.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["event"] == word]


def profilers(desk: Desk) -> list[int]:
    return [pid for pid, line in desk.processes().items() if "py-spy" in line.split(" ")[0]]


@pytest.mark.py_spy
def test_a_scenario_that_asks_finds_the_hot_function(desk):
    said = desk.harness("run", busy(desk, 16, ASKED), "--json").stdout
    [ended] = events(desk, "profile-ended")
    assert (ended["who"], ended["tool"], ended["error"]) == ("node-3", "py-spy", "")
    assert HOT in (desk.runs / "latest" / ended["file"]).read_text()
    assert HOT in (desk.runs / "latest" / ended["graph"]).read_text()
    assert ended["graph"] in (desk.runs / "latest" / "report.html").read_text()
    findings = {one["name"]: one for one in json.loads(said)["findings"]}
    finding = findings["profile of node-3, by py-spy"]
    assert finding["answer"] == "MEASURED"
    assert "asked for by phase active" in finding["sentence"]
    assert profilers(desk) == []


@pytest.mark.py_spy
def test_a_row_that_fails_while_it_runs_has_its_cause_profiled(other):
    """The node is sound when the phase begins. It is ended once the profile is there: the judge
    that sees the row fail yields to everything else on a busy host.
    """
    systems = Path(__file__).parent.parent / "systems"
    other.environment["PYTHONPATH"] = f"{systems}:{systems.parent.parent}"
    other.write("four.toml", "adapter = 'bad_node:Burns'\n[nodes]\ncount = 4\n")
    other.write("few.toml", FEW)
    run = other.start("run", str(other.write("burns.toml", FAILS)), "--json")
    wait_for((other.runs / "latest" / "events.jsonl").exists)
    wait_for(lambda: events(other, "profile-ended"), seconds=200)
    os.kill(run.pid, signal.SIGINT)
    run.communicate()
    said = other.harness("judge", str(other.runs / "latest"), "--json").stdout
    [began], [ended] = events(other, "profile-began"), events(other, "profile-ended")
    assert began["why"] == "asked for by phase active, as few descriptors failed"
    assert (ended["who"], ended["error"]) == ("node-3", "")
    assert "burn (bad_node.py" in (other.runs / "latest" / ended["file"]).read_text()
    sentences = [one["sentence"] for one in json.loads(said)["findings"]]
    assert any(began["why"] in one for one in sentences)
    other.assert_nothing_left()


@pytest.mark.py_spy
def test_one_by_hand_goes_into_the_run_that_is_under_way(desk):
    run = desk.start("run", busy(desk, 14), "--json")
    wait_for(lambda: desk.doing() == "phase active")
    found = json.loads(desk.ok("profile", "worker", "--for", "4s", "--json"))
    assert found["run"] == str((desk.runs / "latest").resolve())
    assert Path(found["svg"]).is_relative_to(found["run"])
    assert "harness/load/" in Path(found["folded"]).read_text()
    said, _ = run.communicate()
    assert "profile of worker, by py-spy" in said
    manifest = json.loads((desk.runs / "latest" / "manifest.json").read_text())
    assert "profiles/1-worker-py-spy.svg" in manifest["files"]


@pytest.mark.py_spy
def test_a_killed_profiler_leaves_its_target_running(desk):
    """While it looks, which it does by stopping the target."""
    node = next(row for row in desk.status()["nodes"] if row["name"] == "node-3")
    for _ in range(3):
        asked = desk.start("profile", "node-3", "--for", "60s", "--json")
        wait_for(lambda: profilers(desk))
        time.sleep(1)
        for pid in profilers(desk):
            os.kill(pid, signal.SIGKILL)
        _, told = asked.communicate()
        assert asked.returncode == 69, told
        time.sleep(0.2)
        wait_for(lambda: not is_stopped(node["pid"]))
    status = {row["name"]: row for row in desk.status()["nodes"]}
    assert status["node-3"]["pid"] == node["pid"]
    assert status["node-3"]["condition"] == "running"


@pytest.mark.py_spy
def test_ctrl_c_keeps_what_there_is_and_leaves_no_profiler(desk):
    run = desk.start("run", busy(desk, 25), "--json")
    wait_for(lambda: desk.doing() == "phase active")
    asked = desk.start("profile", "node-3", "--for", "60s")
    wait_for(lambda: profilers(desk))
    time.sleep(4)
    os.kill(asked.pid, signal.SIGINT)
    _, told = asked.communicate()
    assert (asked.returncode, "interrupted" in told) == (130, True)
    wait_for(lambda: events(desk, "profile-ended"))
    assert profilers(desk) == []
    [ended] = events(desk, "profile-ended")
    assert ended["count"] > 0
    run.communicate()
    node = next(row for row in desk.status()["nodes"] if row["name"] == "node-3")
    assert not is_stopped(node["pid"])


@pytest.mark.py_spy
def test_the_end_of_the_run_ends_a_profile(desk):
    run = desk.start("run", busy(desk, 12), "--json")
    wait_for(lambda: desk.doing() == "phase active")
    found = json.loads(desk.ok("profile", "node-3", "--for", "300s", "--json"))
    assert found["early"]
    said, _ = run.communicate()
    assert "profile of node-3, by py-spy" in said


@pytest.mark.py_spy
def test_without_a_run_it_has_a_folder_of_its_own(desk):
    found = json.loads(desk.ok("profile", "supervisor", "--for", "2s", "--json"))
    assert found["run"] is None
    assert Path(found["svg"]).is_relative_to(desk.runs / "profiles")
    assert Path(found["folded"]).exists()


@pytest.mark.py_spy
def test_a_look_at_all_threads_sees_what_lets_go_of_the_lock_and_what_waits(desk):
    run = desk.start("run", busy(desk, 20), "--json")
    wait_for(lambda: desk.doing() == "phase active")
    argv = ("profile", "node-3", "--with", "py-spy-wall", "--for", "12s", "--json")
    found = json.loads(desk.ok(*argv))
    stacks = Path(found["folded"]).read_text()
    assert NATIVE in stacks
    assert "Runner.run (asyncio/runners.py" in stacks
    run.communicate()


@pytest.mark.perf
def test_perf_sees_native_code_of_a_node(desk):
    run = desk.start("run", busy(desk, 16), "--json")
    wait_for(lambda: desk.doing() == "phase active")
    found = json.loads(desk.ok("profile", "node-3", "--with", "perf", "--for", "6s", "--json"))
    assert "libpython" in Path(found["folded"]).read_text()
    run.communicate()


def test_what_tasks_of_the_gateway_wait_for(other):
    """A driver that waits for its node is on no thread; a look at the tasks names where."""
    system = Path(__file__).parent.parent / "systems" / "tiny" / "tinynode.toml"
    other.ok("up", str(other.write("ten.toml", TEN)), "--system", str(system))
    argv = ("profile", "gateway", "--with", "tasks", "--json")
    found = json.loads(other.ok(*argv))
    lives = [
        int(line.rpartition(" ")[2])
        for line in Path(found["folded"]).read_text().splitlines()
        if "GatewayNode._live" in line and "observe" in line
    ]
    assert (sum(lives), found["unit"]) == (10, "tasks")
    assert "one look" in Path(found["svg"]).read_text()
    other.ok("down")
    other.assert_nothing_left()


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["nod-3"], 64, "did you mean 'node-3'"),
        (["gateway"], 64, "without a gateway"),
        (["node-3", "--with", "tasks"], 64, "a profile by tasks: expected gateway; found node-3"),
        (["worker"], 69, "no run is under way"),
        (["node-3", "--for", "0s"], 64, "--for: expected 1 s to a day"),
        (["node-3", "--run", "nowhere"], 64, "expected it to be, found no run"),
    ],
)
def test_what_cannot_be_is_said_before_anything_changes(desk, argv, code, says):
    done = desk.harness("profile", *argv)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
