"""Bad input and bad days: one clear error each, its own exit code, nothing left behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from kit.desk import ROOT, TEN, Desk, small_scenario, wait_for

from harness.errors import NodeStartError
from harness.network.fabric import Fabric
from harness.runtimes.netns.runtime import NetnsRuntime
from harness.scenario import files
from harness.supervisor.cluster import Cluster
from harness.systems.adapters.meshnode import Meshnode

pytestmark = pytest.mark.root


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("ten.toml", TEN)
    yield made
    made.close()


def refused(desk: Desk, code: int, *argv: str, **changes: object) -> str:
    """The command fails with this code, one sentence that begins with our name, no traceback, and
    nothing is left.
    """
    done = desk.harness(*argv, **changes)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.startswith("harness: "), done.stderr
    assert "Traceback" not in done.stderr
    desk.assert_nothing_left()
    return done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[nodes]\ncuont = 10\n", "did you mean 'count'"),
        ("[[node]]\nname = 'a'\n[[node]]\nname = 'a'\n", "stands twice"),
        ("[[node]]\nname = 'a'\n[[link]]\nbetween = ['a', 'b']\n", "there is no node 'b'"),
        ("[nodes]\ncount = 0\n", "at least 1 node"),
        (
            "[nodes]\ncount = 3\noptions = { colour = 'red' }\n[shape]\nkind = 'ring'\n",
            "meshnode has no such option; possible: fanout",
        ),
        (
            "adapter = 'carrier-pigeon'\n[nodes]\ncount = 3\n[shape]\nkind = 'ring'\n",
            "expected one of meshnode",
        ),
    ],
)
def test_a_bad_topology(desk, text, words):
    code = 64 if "pigeon" in text else 65
    assert words in refused(desk, code, "up", str(desk.write("bad.toml", text)))


def test_a_name_that_nothing_has(desk):
    assert "there are cluster-10, cluster-100" in refused(desk, 65, "up", "cluster-11")
    there = len(list((ROOT / "scenarios").glob("*.toml")))
    assert f"there are {there}, such as bridge, churn" in refused(desk, 65, "run", "nothing")


def test_a_hundred_thousand_nodes(desk):
    """Preflight says which limits, what was found and needed, and the cure."""
    text = refused(
        desk,
        69,
        "up",
        str(desk.write("huge.toml", "[nodes]\ncount = 100000\n[shape]\nkind = 'ring'\n")),
    )
    assert "this host cannot hold 100,000 nodes on the netns runtime" in text
    assert "open files" in text
    assert "needed" in text


def test_islands(desk):
    text = (
        "[nodes]\ncount = 4\n[[link]]\nbetween = ['node-0', 'node-1']\n[[link]]\nbetween = "
        "['node-2', 'node-3']\n"
    )
    assert "not one connected component" in refused(
        desk, 69, "up", str(desk.write("islands.toml", text))
    )


class Refused(Meshnode):
    """Honest sabotage: node-7 is given a configuration that the real node refuses."""

    def prepare(self, topology, places, state):
        launches = super().prepare(topology, places, state)
        file = places[7].directory / "node.json"
        file.write_text(file.read_text().replace('"port": 7000', '"port": 99999', 1))
        return launches


def test_a_node_that_dies_while_starting(tmp_path):
    state = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    topology = files.topology_from(tomllib.loads(TEN), "ten", "ten")
    cluster = Cluster(
        topology,
        Refused(),
        NetnsRuntime(label="sick", state=state),
        Fabric("sick", topology.addresses),
        state,
    )
    try:
        with pytest.raises(NodeStartError, match=r"(?s)node-7.*last log lines.*port"):
            cluster.up(lambda *_: None)
        pids = [one.pid for one in cluster.running.values()]
    finally:
        cluster.close()
        shutil.rmtree(state)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def tiny(tmp_path):
    """A full file system."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    (folder / "filler").write_bytes(b"x" * 60_000)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_for_runs(desk, tiny):
    desk.environment["HARNESS_RUNS"] = str(tiny)
    done = desk.harness("run", str(small_scenario(desk, 2)), "--runs", str(tiny))
    assert done.returncode in (69, 74), (done.returncode, done.stderr)
    assert "MiB are free" in done.stderr
    assert "Traceback" not in done.stderr
    desk.assert_nothing_left()


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room enough to begin."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_during_a_run(desk, small_disk, monkeypatch):
    """Journals and samples are lost from then on: no row passes on what is left, and nothing else
    is.
    """
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    run = desk.start("run", str(small_scenario(desk, 8)), "--runs", str(small_disk))
    wait_for(lambda: desk.supervisor() and desk.doing() == "phase load")
    with (
        (small_disk / "filler").open("wb", buffering=0) as filler,
        pytest.raises(OSError, match="No space left"),
    ):
        while True:
            filler.write(bytes(1 << 20))
    output, errors = run.communicate(timeout=120)
    assert run.returncode == 74, (run.returncode, output, errors)
    assert "No space left" in output + errors, (run.returncode, output, errors)
    assert "Traceback" not in errors
    desk.ok("doctor")
    desk.assert_nothing_left()


def test_a_node_that_ends_while_nothing_can_be_written(desk):
    """The run says so, and the cluster stays: it ended with the first event that did not fit."""
    desk.ok("up", "ten.toml")
    run = desk.start("run", str(small_scenario(desk, 8)))
    wait_for(lambda: desk.doing() == "phase load", run.poll)
    status, supervisor = desk.status(), desk.supervisor()
    full = (Path(status["run"]) / "events.jsonl").stat().st_size
    was = resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    for node in (3, 4):  # one after the other: when the second is known, the first was dealt with
        os.kill(status["nodes"][node]["pid"], signal.SIGKILL)
        wait_for(lambda at=node: desk.status()["nodes"][at]["condition"] == "stopped")
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, was)
    output, errors = run.communicate(timeout=120)
    assert run.returncode in (1, 2), (output, errors)
    failures = json.loads((Path(status["run"]) / "metadata.json").read_text())["failures"]
    assert any("node-3 ended by itself, which could not be" in one for one in failures), failures
    assert (desk.supervisor(), desk.doing()) == (supervisor, "up")
    desk.ok("down")
    desk.assert_nothing_left()


def test_a_full_disk_for_the_clusters_state(desk, tiny):
    done = desk.harness("up", "ten.toml", env={**desk.environment, "HARNESS_STATE": str(tiny)})
    assert done.returncode == 74, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr
    assert [path.name for path in tiny.iterdir() if path.is_dir()] == []


def test_a_cluster_whose_supervisor_is_gone(desk):
    desk.ok("up", "ten.toml")
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes(), desk.processes)
    done = desk.harness("status")
    assert (done.returncode, "`harness doctor` removes what it left" in done.stderr) == (69, True)
    desk.ok("doctor")
    desk.assert_nothing_left()


def test_without_root_and_without_user_namespaces(tmp_path):
    """Without a capability, inside a user namespace that allows no further ones: one sentence says
    what is missing.
    """
    root = Path(__file__).parent.parent.parent
    script = tmp_path / "enter.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nfrom harness.kernel import "
        "namespaces\nfrom harness.errors import PermissionNeededError\n"
        "try:\n    namespaces.enter_user_namespace()\nexcept PermissionNeededError as error:\n   "
        " print(error)\n    sys.exit(error.exit_code)\n"
    )
    shell = (
        "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "
        f"--inh-caps=-all --no-new-privs {sys.executable} {script}"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", shell],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77, (done.stdout, done.stderr)
    assert "user namespace" in done.stdout
