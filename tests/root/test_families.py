"""A node is all its processes: a shell that starts the server and waits, and one whose server has a
session of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
from kit.desk import ROOT, Desk, begin_by_hand, wait_for

from harness.control.client import Client
from harness.kernel.families import Census, Family, family_of
from harness.kernel.proc import command_line

pytestmark = pytest.mark.root
TINY = ROOT / "tests" / "systems" / "tiny"
SERVER = "python3 {directory}/tinynode.py 0.0.0.0 {peers}"
SHELLS = {"child": f"{SERVER}; true", "session": f"setsid {SERVER} & wait"}
HEALTH = "import urllib.request as u; u.urlopen('http://127.0.0.1:7000/health', timeout=1)"


@pytest.fixture(params=SHELLS)
def desk(tmp_path, request):
    """Three nodes, each a shell with a server below it."""
    made = Desk(tmp_path)
    for name in ("tinynode.py", "tinynode-budget.toml"):
        shutil.copy(TINY / name, tmp_path)
    argv = 'argv = ["python3", "{directory}/tinynode.py", "0.0.0.0", "{peers}"]'
    text = (TINY / "tinynode.toml").read_text()
    assert argv in text
    made.write("shell.toml", text.replace(argv, f'argv = ["sh", "-c", "{SHELLS[request.param]}"]'))
    made.write("three.toml", "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n")
    made.ok("up", "three.toml", "--system", "shell.toml")
    yield made
    made.close()


def serves(desk: Desk) -> bool:
    """Whether somebody answers at node-0's port."""
    done = desk.harness("exec", "node-0", "--", "python3", "-c", HEALTH)
    return done.returncode == 0


def is_server(line: str) -> bool:
    return "tinynode.py" in line and "sh -c" not in line


def servers(desk: Desk) -> int:
    return sum(map(is_server, desk.processes().values()))


def cpu_ns(pid: int) -> float:
    """What one process has used, as the kernel tells it in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e9


def test_conditions_reach_every_process(desk):
    assert serves(desk)
    desk.ok("condition", "node-0", "paused")
    assert not serves(desk)
    desk.ok("condition", "node-0", "running")
    assert serves(desk)
    desk.ok("condition", "node-0", "stopped")
    assert not serves(desk)
    assert servers(desk) == 2
    desk.ok("condition", "node-0", "running")
    assert serves(desk)
    desk.ok("condition", "node-0", "paused")
    desk.ok("condition", "node-0", "stopped")  # what is paused is ended too
    assert servers(desk) == 2
    desk.ok("down")
    desk.assert_nothing_left()


def test_a_node_whose_first_process_dies_is_stopped_and_does_not_serve(desk):
    first = desk.status()["nodes"][0]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: desk.status()["nodes"][0]["condition"] == "stopped")
    wait_for(lambda: servers(desk) == 2)
    assert not serves(desk)


def test_resources_are_those_of_all(desk):
    """The shell has 1 to 2 MB, the server some 20; it took a tick of the kernel's clock or more."""
    least_ns = min(cpu_ns(pid) for pid, line in desk.processes().items() if is_server(line))
    assert least_ns >= 10e6
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_STATE", str(desk.state))
        with Client.connect(desk.cluster) as client:
            folder = begin_by_hand(client, desk.runs)
            time.sleep(3)
            client.end()
    with pa.OSFile(f"{folder}/samples.arrow") as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    assert {row["node"] for row in rows} == {0, 1, 2}
    assert min(row["rss_bytes"] for row in rows) > 10e6
    assert min(row["threads"] for row in rows) >= 2
    for node in range(3):
        spent = [row["cpu_ns"] for row in rows if row["node"] == node]
        assert spent == sorted(spent)
        assert spent[-1] >= least_ns


def test_a_command_beside_a_node_is_not_the_nodes(desk):
    beside = desk.start("exec", "node-0", "--", "sleep", "1000")
    wait_for(lambda: "sleep 1000 " in desk.processes().values())
    desk.ok("condition", "node-0", "stopped")
    assert beside.poll() is None
    assert "sleep 1000 " in desk.processes().values()


def test_a_census_sees_what_comes_and_goes(desk):
    [pid, *_] = [node["pid"] for node in desk.status()["nodes"]]
    family, census = family_of(pid), Census()
    assert family is not None
    assert pid in census.members(family)
    assert len(census.members(family)) >= 2
    assert census.members(Family(1, 2)) == []
    assert family_of(os.getpid()) not in census.families()
    census.signal(family, signal.SIGKILL)
    wait_for(lambda: not census.members(family))


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, children) for one in (child, *descendants(child))]


def test_a_pid_namespace_within_a_node_s_is_the_node_s():
    """A server behind a program that jails it was nobody's: "stopped", and serving."""
    jailed = "unshare --pid --fork --kill-child sleep 600; true"
    outer = subprocess.Popen(
        ["unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", jailed]
    )
    try:
        wait_for(lambda: len(descendants(outer.pid)) == 3)
        shell, _, sleeper = descendants(outer.pid)
        wait_for(lambda: command_line(sleeper)[0] == "sleep")
        family = family_of(shell)
        assert family is not None
        assert family_of(sleeper) == family
        assert os.stat(f"/proc/{sleeper}/ns/pid").st_ino != family.pids
        census = Census()
        assert {shell, sleeper} <= set(census.members(family))
        assert sleeper in census.signal(family, signal.SIGKILL, but=[shell])
    finally:
        outer.kill()
        outer.wait()
