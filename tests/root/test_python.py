"""The Python API and the pytest plugin in real namespaces: what docs/python.md shows, word by word;
what ends with the program; and that nothing untrue is said.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit.desk import ROOT, Desk, once_in_three, wait_for

pytestmark = pytest.mark.root

FENCE = re.compile(r"^```(\w+)\n(?:# (\S+)\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)
THREE = "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n"
HELD = """
import os, sys, time
import harness
with harness.up("three.toml", runtime_name="netns", runs="runs") as cluster:
    if os.fork() == 0:
        sys.exit()  # a child that leaves by the same `with` ends nothing
    os.wait()
    cluster.status()
    print("up", flush=True)
    cluster.load("private_message", rate_per_s=20, seconds=600)
"""
HONEST = """
import asyncio, json, pathlib, subprocess, sys, time
import harness

BUDGET = '''
[[row]]
name = "delivered"
metric = "private_message.delivered"
statistic = "mean"
comparison = ">="
bound = 1
unit = "%"
phase = "cut"
'''

async def cancelled(cluster):
    load = asyncio.create_task(
        cluster.load_async("private_message", rate_per_s=20, seconds=600)
    )
    while cluster.status()["phase"] is None:
        await asyncio.sleep(0.1)
    load.cancel()
    try:
        await load
    except asyncio.CancelledError:
        return cluster.status()["run"]

def said(judged):
    again = subprocess.run(
        [sys.executable, "-m", "harness", "judge", judged.run, "--json"],
        stdout=subprocess.PIPE, check=False,
    )
    assert again.returncode == judged.exit_code
    findings = [one["answer"] for one in json.loads(again.stdout)["findings"]]
    assert findings == [str(one.answer) for one in judged.verdict.findings]
    return {one.name: one.sentence for one in judged.verdict.findings if one.cause is not None}

told = {}
with harness.up("three.toml", runtime_name="netns", runs="runs") as cluster:
    try:
        cluster.verdict()
    except harness.HarnessError as error:
        told["nothing ran"] = str(error)
    with cluster.fault(cut="isolate", of="node-0", name="alone"):
        pass
    cluster.load({"private_message": 20}, seconds=2, phase="cut")
    pathlib.Path("mine.toml").write_text(BUDGET)
    told["once"] = said(cluster.verdict(budget="mine.toml"))
    with cluster.fault(cut="isolate", of="node-0"):
        try:
            cluster.fault(cut="isolate", of="node-0")
        except harness.HarnessError as error:
            told["twice"] = str(error)
        try:
            cluster.wait_for("broadcast.coverage", seconds=4)
        except harness.NotReachedError as error:
            told["waited"] = str(error)
    pathlib.Path("other.toml").write_text(BUDGET.replace('"cut"', '"cutt"'))
    told["no such phase"] = said(cluster.verdict(budget="other.toml"))
    told["under way"] = asyncio.run(cancelled(cluster))
    told["cut short"] = said(cluster.verdict(budget="mine.toml"))
print(json.dumps(told))
"""
SHARED = """
import pytest
pytestmark = pytest.mark.topology("three.toml", scope="module")
pids = []

def test_leaves_a_node_stopped(cluster, network):
    pids.append(cluster.status()["pid"])
    cluster.fault(where="node-1", condition="restarted")
    cluster.load({"private_message": 20}, seconds=1)
    assert cluster.verdict().passed

def test_another_cluster(cluster, network):
    pids.append(cluster.status()["pid"])
    assert not network.faults and pids[0] != pids[1]
    network.cut("halves")

def test_the_same_cluster(cluster, network):
    assert cluster.status()["pid"] == pids[1] and not network.faults
"""
LONG = """
import pytest
@pytest.mark.topology("three.toml")
@pytest.mark.parametrize("time", (1, 2))
def test_long(cluster, time):
    cluster.load("private_message", rate_per_s=20, seconds=600)
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("three.toml", THREE)
    yield made
    made.close()


def python(desk, *argv, **settings):
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=desk.folder,
        env=desk.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        **settings,
    )
    print(done.stdout, done.stderr)
    return done


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_cluster_ends_with_its_program(desk, number):
    """In the middle of a load, and with a child forked before."""
    desk.write("held.py", HELD)
    program = subprocess.Popen(
        [sys.executable, "held.py"],
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout.readline() == "up\n", program.stderr.read()
        wait_for(lambda: desk.doing() == "phase load")
        program.send_signal(number)
        _, raised = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == -number
    assert ("KeyboardInterrupt: interrupted; " in raised) == (number == signal.SIGINT)
    desk.assert_nothing_left()


def test_nothing_untrue_is_said(desk):
    """Each verdict is also the command line's, by its exit code and each answer."""
    desk.write("honest.py", HONEST)
    done = python(desk, "honest.py")
    assert done.returncode == 0
    told = json.loads(done.stdout.splitlines()[-1])
    assert "nothing was recorded" in told["nothing ran"]
    assert "stood while nothing was recorded" in str(told["once"])
    assert "'cut isolate node-0' is in force already" in told["twice"]
    assert "coverage of the last second >= 100 %" in told["waited"]
    assert "has a phase 'cutt'" in told["no such phase"]["delivered"]
    assert told["under way"] is None
    assert "GivenUpError: it was cancelled" in str(told["cut short"])
    desk.assert_nothing_left()


def shown(desk):
    """What docs/python.md shows, each fence as the file that its first line names."""
    page = (ROOT / "docs" / "python.md").read_text()
    for _, name, text in FENCE.findall(page):
        if name:
            desk.write(name, text)
    for name, mine in (("tinynode.toml", "mine.toml"), ("tinynode.py", "tinynode.py")):
        desk.write(mine, (ROOT / "tests" / "systems" / "tiny" / name).read_text())


@pytest.mark.quiet
def test_the_tour_is_as_the_page_shows_it(desk):
    shown(desk)

    def played():
        done = python(desk, "tour.py")
        return done.returncode == 0, done.stderr

    once_in_three(played)
    desk.assert_nothing_left()


def pytest_on(desk, *argv):
    return python(desk, "-m", "pytest", "--p2p-runtime", "netns", "--junitxml=junit.xml", *argv)


def test_the_tests_of_the_page_and_shared_clusters(desk):
    """What fails links its run and its report; a cluster is shared as long as it is as it was."""
    shown(desk)
    desk.write("test_shared.py", SHARED)
    said = pytest_on(desk, "test_mine.py", "test_shared.py").stdout
    assert " 1 failed, 3 passed" in said
    assert "AssertionError: assert False" in said
    assert "stood while nothing was recorded" in said
    [run] = re.findall(r"^test_shared.py::test_leaves_a_node_stopped: (\S+)$", said, re.MULTILINE)
    [report] = re.findall(r"^  report: file://(\S+)$", said, re.MULTILINE)
    assert "<html" in Path(report).read_text()
    told = (desk.folder / "junit.xml").read_text()
    assert f'<property name="p2p_run" value="{run}"' in told
    assert f'<property name="p2p_report" value="{report}"' in told
    assert desk.harness("judge", run).returncode == 2
    desk.assert_nothing_left()


def test_an_interrupted_session_leaves_nothing_and_begins_no_other_test(desk):
    desk.write("three.toml", THREE)
    desk.write("test_long.py", LONG)
    program = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--p2p-runtime", "netns", "test_long.py"],
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: any("locust" in line for line in desk.processes().values()))
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=120)
    finally:
        program.kill()
    assert program.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "no tests ran" in said
    desk.assert_nothing_left()
