"""A node is all that its program starts, whichever way: one cluster of servers behind all kinds of
wrappers, each of which was judged, stopped or counted wrongly in some way.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kit.desk import ROOT, Desk, begin_by_hand, wait_for

from harness.control.client import Client
from harness.kernel import accounts

pytestmark = pytest.mark.root
WRAPPED = ROOT / "tests" / "systems" / "wrapped"
KINDS = (
    "exec",  # the shell becomes the server
    "child",  # a shell that waits
    "session",  # a server in a session of its own
    "respawn",  # a supervisor, which starts it again
    "outlives",  # a child whose parent has gone
    "waits",  # a daemon, and a shell that waits for its pid file
    "prefork",  # workers that share memory
    "unwaited",  # children that end, and nobody waits for them
    "orphans",  # the same whose parents are gone before
    "jailed",  # a PID namespace of its own
    "apart",  # a network namespace too
)
OWN_NAMESPACES = ("jailed", "apart")
MADE_AGAIN_S = 20.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "wrapped")
    for file in WRAPPED.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    yield made
    made.close()


def topology(desk: Desk, kinds: tuple[str, ...]) -> str:
    nodes = "".join(f"[[node]]\nname = '{kind}'\n" for kind in kinds)
    return str(desk.write("kinds.toml", f"{nodes}[shape]\nkind = 'full-mesh'\n"))


def possible() -> tuple[str, ...]:
    """The kinds that this host can have: not every one lets a process make namespaces."""
    trial = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "true"]
    can = subprocess.run(trial, capture_output=True, check=False).returncode == 0
    return tuple(kind for kind in KINDS if can or kind not in OWN_NAMESPACES)


def of_node(desk: Desk, name: str) -> dict[int, str]:
    """The living processes that work in a node's directory, and their states, from /proc."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd").endswith(f"/nodes/{name}"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found[int(entry.name)] = state
        except OSError:
            pass
    return {pid: state for pid, state in found.items() if state not in "ZX"}


def sampled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """What a run of four seconds sampled, by node."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    with Client.connect(desk.cluster) as client:
        folder = begin_by_hand(client, desk.runs)
        time.sleep(4)
        client.end()
    names = [node["name"] for node in desk.status()["nodes"]]
    with pa.OSFile(f"{folder}/samples.arrow") as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    return {name: [row for row in rows if names[row["node"]] == name] for name in names}


def burnt_ns(desk: Desk, name: str) -> int:
    """What a node's children say that they used."""
    file = desk.state / desk.cluster / "nodes" / name / "burnt"
    return sum(map(int, file.read_text().split()))


def test_whatever_a_program_starts_is_its_node(desk, monkeypatch):
    kinds = possible()
    desk.ok("up", topology(desk, kinds), "--system", "wrapped.toml")
    for name in kinds:
        assert of_node(desk, name), name

    # Resources: memory that forks share once, CPU of those that came and went, all namespaces.
    spent = {name: burnt_ns(desk, name) for name in ("unwaited", "orphans")}
    rows = sampled(desk, monkeypatch)
    for name in kinds:
        cpu = [row["cpu_ns"] for row in rows[name]]
        assert cpu == sorted(cpu), name
        assert rows[name][-1]["cpu_ns"] >= 0.9 * spent.get(name, 0), name
        least = 8e6 if name != "prefork" else 40e6
        assert least < rows[name][-1]["rss_bytes"] < 100e6, name
    assert rows["prefork"][-1]["processes"] == 4
    assert rows["exec"][-1]["processes"] == 1

    # What a supervisor starts again is the same node, which lived on.
    [server] = [pid for pid in of_node(desk, "respawn") if "sh" not in desk.processes()[pid]]
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: server not in of_node(desk, "respawn") and len(of_node(desk, "respawn")) == 2)
    assert {node["condition"] for node in desk.status()["nodes"]} == {"running"}

    # Conditions reach every process.
    desk.ok("fault", "set", "all", "--condition", "paused", "--name", "p")
    for name in kinds:
        assert set(of_node(desk, name).values()) == {"T"}, name
    desk.ok("fault", "clear", "p")
    for name in kinds:
        wait_for(lambda name=name: "T" not in of_node(desk, name).values())
    for name in ("session", "waits", "outlives", "prefork", *(set(kinds) & {*OWN_NAMESPACES})):
        desk.ok("condition", name, "stopped")
        assert of_node(desk, name) == {}, name
    desk.ok("condition", "waits", "running")
    assert of_node(desk, "waits")

    # Nothing outlives the supervisor, however that ends.
    os.kill(desk.supervisor(), signal.SIGKILL)
    wait_for(lambda: not any(of_node(desk, name) for name in kinds))
    desk.ok("doctor")
    desk.assert_nothing_left()
    assert [one for one in accounts.owners() if one.startswith(desk.cluster)] == []


def test_a_daemon_is_refused_with_what_to_do(desk):
    """It was "ended while starting", with a log that says that it is ready."""
    done = desk.harness("up", topology(desk, ("leaves",)), "--system", "wrapped.toml")
    assert done.returncode == 69
    assert "node leaves ended while starting: exit code 0" in done.stderr
    assert "have a program that goes into the background stay in front" in done.stderr
    desk.assert_nothing_left()
