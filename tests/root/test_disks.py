"""Disks of nodes' own: full for who writes to them, whole again afterwards, and never left."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
from kit.desk import PROMISES, Desk, wait_for

from harness.faults.limits import Disk
from harness.history import reader
from harness.history.proof import ProofAnswer
from harness.kernel import mounts
from harness.network.proof.limits import judge_disk
from harness.network.proof.verdicts import Look
from harness.runtimes.processes import log_of
from harness.runtimes.runtime import Place
from harness.supervisor.disks import Disks
from harness.topology.topology import Node

pytestmark = pytest.mark.root
FOUR = '[nodes]\ncount = 4\ndisk = "2mb"\n[shape]\nkind = "full-mesh"\n'


@pytest.fixture
def place(tmp_path):
    yield Place(
        node=Node(name="a", disk_bytes=1_000_000),
        index=0,
        address="198.18.0.1",
        directory=tmp_path / "nodes" / "a",
        namespace=-1,
    )
    mounts.remove_below(tmp_path)


def refused(file) -> int:
    try:
        file.write(bytes(2 * mounts.PAGE_BYTES))
    except OSError as error:
        return error.errno or 0
    return 0


def test_a_full_disk_takes_no_more_and_loses_nothing(place):
    """Also of a file that was open before."""
    disks = Disks([place])
    disks.mount()
    with (place.directory / "open").open("wb", buffering=0) as file:
        assert refused(file) == 0
        for _ in range(2):  # it may be said twice
            disks.limit("a", Disk.FULL)
            assert refused(file) == errno.ENOSPC
            room = disks.look("a")
            assert (room.free_bytes, room.error) == (0, "ENOSPC")
        disks.limit("a", None)
        assert disks.look("a").error == ""
        assert refused(file) == 0
    assert (place.directory / "open").stat().st_size == 4 * mounts.PAGE_BYTES
    assert sorted(path.name for path in place.directory.iterdir()) == ["log", "open"]


def test_a_full_disk_from_which_a_node_removed_something_is_not_full(place):
    """It writes again what it removed. A write of more than was free got ENOSPC: "in force"."""
    disks = Disks([place])
    disks.mount()
    (place.directory / "much").write_bytes(bytes(500_000))
    disks.limit("a", Disk.FULL)
    (place.directory / "much").unlink()
    room = disks.look("a")
    assert (room.error, room.free_bytes > 400_000) == ("", True)
    proof = judge_disk(Look(at_ns=7, fault="f"), "a", Disk.FULL, room)
    assert proof.answer is ProofAnswer.NOT_IN_FORCE


def test_a_log_that_grows_does_not_fill_the_disk(place):
    disks = Disks([place])
    disks.mount()
    log_of(place).write_bytes(bytes(2_000_000))
    assert disks.look("a").error == ""


def test_mounts_are_found_below_a_folder_of_any_name(tmp_path):
    """Of one that is not ASCII they stayed, after `down` too."""
    folder = tmp_path / "n\u00e9 \\ \u2603"
    (folder / "a b").mkdir(parents=True)
    mounts.make(folder / "a b", 100_000)
    assert mounts.below(folder) == [folder / "a b"]
    assert mounts.remove_below(folder) == [str(folder / "a b")]
    assert mounts.below(tmp_path) == []


def test_in_a_user_namespace_a_disk_is_refused():
    """Nobody outside would see what is on it."""
    code = (
        "from harness.kernel import mounts, namespaces; namespaces.enter_user_namespace(); "
        "mounts.require()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "a node's own disk needs root" in done.stderr


RUN = """
topology = "four.toml"
budget = "promises.toml"
[[phase]]
name = "quiet"
duration_s = 1
[[phase]]
name = "load"
duration_s = 9
[[phase.stream]]
operation = "dht_put"
rate_per_s = 20
[[phase.fault]]
name = "full"
where = "node-1,node-2"
disk = "full"
at_s = 1
for_s = 6
[[phase.fault]]
where = "node-2"
condition = "killed"
at_s = 2
for_s = 2
"""


def test_a_run_proves_it_also_of_a_node_that_is_down(tmp_path):
    made = Desk(tmp_path, "disks")
    try:
        made.write("four.toml", FOUR)
        made.write("promises.toml", PROMISES)
        verdict = json.loads(made.harness("run", str(made.write("run.toml", RUN)), "--json").stdout)
        found = {one["name"]: one for one in verdict["findings"]}
        proven = found["faults: proven in force, and gone"]
        assert proven["answer"] == "PASS", proven["sentence"]
        history = reader.read(made.runs / "latest")
        of_disks = [one for one in history.proofs if one.what == "disk"]
        # While a node is killed or starts nobody looks at its disk.
        assert {one.answer for one in of_disks} - {"amount not shown"} == {"in force", "gone"}
        assert len(of_disks) >= 8
        made.assert_nothing_left()
        assert mounts.below(made.state) == []
    finally:
        made.close()


def test_a_killed_supervisor_leaves_no_mount(tmp_path):
    made = Desk(tmp_path, "disks")
    try:
        made.ok("up", str(made.write("four.toml", FOUR)))
        made.ok("fault", "set", "all", "--disk", "full", "--name", "d")
        assert len(mounts.below(made.state)) == 4
        os.kill(made.status()["pid"], signal.SIGKILL)
        wait_for(lambda: not mounts.below(made.state))
        made.ok("up", "four.toml")
        [warden] = [pid for pid, line in made.processes().items() if "owner.py" in line]
        os.kill(warden, signal.SIGKILL)  # nobody is there to clean up
        os.kill(made.status()["pid"], signal.SIGKILL)
        wait_for(lambda: made.supervisor() is None)
        assert len(mounts.below(made.state)) == 4
        assert f"mount {made.state}" in made.ok("doctor")
        assert mounts.below(made.state) == []
        made.assert_nothing_left()
    finally:
        made.close()
