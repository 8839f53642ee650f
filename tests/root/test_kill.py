"""kill -9 at any moment: one clear sentence, nothing left after `harness doctor`, and never a
PASS.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kit.desk import PROMISES, ROOT, TEN, Desk, wait_for

pytestmark = pytest.mark.root
LOADED = """
topology = "ten.toml"
budget = "promises.toml"
[[phase]]
name = "load"
duration_s = {seconds}
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
[[phase.stream]]
operation = "broadcast"
rate_per_s = 5
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("ten.toml", TEN)
    yield made
    made.close()


def loaded(desk: Desk, seconds: int) -> Path:
    """A scenario that is under load from its first moment on."""
    desk.write("promises.toml", PROMISES)
    return desk.write("loaded.toml", LOADED.format(seconds=seconds))


def cleaned(desk: Desk) -> None:
    """Doctor removes what is left; what other processes were told ends by itself first."""
    desk.ok("doctor")
    desk.assert_nothing_left()


def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and stderr of a client; there is never a traceback."""
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return process.returncode, errors


@pytest.mark.parametrize("seed", [1, 2])
def test_supervisor_killed_during_up(desk, seed):
    up = desk.start("up", "ten.toml")
    pid = wait_for(desk.supervisor)
    time.sleep(random.Random(seed).uniform(0, 0.6))
    os.kill(pid, signal.SIGKILL)
    code, errors = said(up)
    if code:  # 0: it was ready before the blow
        assert code in (69, 70)
        assert errors.startswith("harness: ")
    else:
        assert desk.harness("status").returncode == 69
    cleaned(desk)


def test_supervisor_killed_while_up_takes_every_node_with_it(desk):
    desk.ok("up", "ten.toml")
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes(), desk.processes)
    done = desk.harness("status")
    assert (done.returncode, "is gone: `harness doctor`" in done.stderr) == (69, True)
    assert f"{desk.cluster}: removed folder" in desk.ok("doctor")
    desk.assert_nothing_left()


def test_the_next_up_of_the_name_needs_no_doctor(desk):
    desk.ok("up", "ten.toml")
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes(), desk.processes)
    desk.ok("up", "ten.toml")
    desk.ok("down")
    desk.assert_nothing_left()


PROCESS = re.compile(r"\bprocess \d+")  # that doctor says it has removed


def plain(desk: Desk) -> subprocess.Popen[str]:
    """Bring up three plain programs, with a delay and a toxic between them; a running
    `harness exec`.
    """
    for name in ("tinynode.py", "tinynode-budget.toml"):
        shutil.copy(ROOT / "tests" / "systems" / "tiny" / name, desk.folder)
    text = (ROOT / "tests" / "systems" / "tiny" / "tinynode.toml").read_text()
    desk.write("tinynode.toml", text.replace("[start]\n", "[start]\nports = [7000]\n"))
    desk.write("three.toml", "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n")
    desk.ok("up", "three.toml", "--system", "tinynode.toml")
    desk.ok("fault", "set", "node-0 -> node-1", "--delay", "5ms")
    desk.ok("fault", "set", "node-1 -> node-2", "--toxic", "latency latency=5")
    beside = desk.start("exec", "node-0", "--", "sleep", "1000")
    wait_for(lambda: [line for line in desk.processes().values() if line == "sleep 1000 "])
    return beside


def descendants(pid: int) -> dict[int, str]:
    """Everything below a process: pid → command line."""
    found = {}
    for child in Path(f"/proc/{pid}/task").glob("*/children"):
        for below in map(int, child.read_text().split()):
            line = Path(f"/proc/{below}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found |= {below: line} | descendants(below)
    return found


@pytest.mark.toxiproxy
def test_every_process_of_a_cluster_carries_its_mark(desk):
    """Nodes of a plain program, their spawner, the gateway, Toxiproxy's server, the delay engine
    where the kernel has no netem, and a command of `harness exec`.
    """
    plain(desk)
    mark = f"HARNESS_OWNER={desk.state / desk.cluster}".encode()
    found = descendants(desk.status()["pid"])
    for what in (
        "tinynode.py",
        "spawner.py",
        "systems.gateway",
        "toxiproxy-server",
        "owner.py",
        "sleep 1000",
    ):
        assert [line for line in found.values() if what in line], (what, found)
    assert [
        line
        for pid, line in found.items()
        if mark not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    ] == []
    desk.ok("down")
    desk.assert_nothing_left()


@pytest.mark.toxiproxy
@pytest.mark.parametrize("warden", ["lives", "is killed too"])
def test_nothing_outlives_a_killed_supervisor(desk, warden):
    """A command of `harness exec` knows nothing of the cluster, its children even less, and what
    was stopped sees no pipe close: the warden ends them, or else doctor does.
    """
    beside = plain(desk)
    desk.start("exec", "node-1", "--", "sh", "-c", "sleep 2000; true")
    wait_for(lambda: "sleep 2000 " in desk.processes().values())
    pid = desk.status()["pid"]
    for below, line in descendants(pid).items():
        if "delay_engine" in line or "toxiproxy-server" in line:
            os.kill(below, signal.SIGSTOP)
        if "owner.py" in line and warden != "lives":
            os.kill(below, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert beside.wait(60) == 69
    if warden == "lives":
        wait_for(lambda: not desk.processes(), desk.processes)
        assert not PROCESS.search(desk.ok("doctor"))
    else:
        assert {"sleep 1000 ", "sleep 2000 "} <= set(desk.processes().values())
        assert PROCESS.search(desk.ok("doctor"))
    desk.assert_nothing_left()


@pytest.mark.parametrize("seed", [5])
def test_supervisor_killed_during_load(desk, seed):
    run = desk.start("run", str(loaded(desk, 20)))
    pid = in_load(desk, run)
    time.sleep(random.Random(seed).uniform(0, 3))
    os.kill(pid, signal.SIGKILL)
    code, errors = said(run)
    assert code in (69, 70), errors
    wait_for(lambda: not desk.processes(), desk.processes)
    cleaned(desk)
    assert judged(desk) == "UNKNOWN"


def in_load(desk: Desk, run: subprocess.Popen[str]) -> int:
    """Wait until the load of this run is under way; the supervisor's pid."""
    wait_for(lambda: run.poll() is not None or desk.doing() == "phase load", desk.doing)
    assert run.poll() is None, run.communicate()
    return desk.status()["pid"]


def judged(desk: Desk) -> str:
    """The verdict of the last run folder; exit code and words agree."""
    done = desk.harness("judge", str(desk.runs / "latest"), "--json")
    answer = json.loads(done.stdout)["answer"]
    assert done.returncode == {"PASS": 0, "FAIL": 1, "UNKNOWN": 2}[answer], (
        done.returncode,
        done.stdout,
    )
    return answer


@pytest.mark.parametrize("seed", [6, 7])
def test_supervisor_killed_during_down(desk, seed):
    """`down` waits for the supervisor's end, however it ends, and removes what is left: it never
    says it is done when it is not.
    """
    desk.ok("up", "ten.toml")
    pid = desk.status()["pid"]
    down = desk.start("down")
    time.sleep(random.Random(seed).uniform(0.1, 0.5))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    code, errors = said(down)
    if code == 0:
        desk.assert_nothing_left()
    else:  # killed before `down` had asked
        assert code == 69, errors
        cleaned(desk)


def test_the_waiting_client_killed_during_up(desk):
    """The supervisor notices that nobody waits any more and takes everything back by itself."""
    up = desk.start("up", "ten.toml")
    wait_for(desk.supervisor)
    up.kill()
    up.communicate(timeout=60)
    wait_for(lambda: not desk.processes() or desk.doing() == "up", desk.doing)
    desk.harness("down")  # it may have been ready before the blow
    desk.assert_nothing_left()


@pytest.mark.parametrize("seed", [3, 4])
def test_ctrl_c_during_up(desk, seed):
    up = desk.start("up", "ten.toml")
    wait_for(desk.supervisor)
    time.sleep(random.Random(seed).uniform(0, 0.4))
    up.send_signal(signal.SIGINT)
    code, errors = said(up)
    assert code in (0, 130), errors
    if code == 0:
        desk.ok("down")
    desk.assert_nothing_left()


def test_ctrl_c_during_load(desk):
    run = desk.start("run", str(loaded(desk, 20)))
    in_load(desk, run)
    run.send_signal(signal.SIGINT)
    code, errors = said(run)
    assert code == 130, errors
    desk.assert_nothing_left()
    assert judged(desk) == "UNKNOWN"


@pytest.mark.parametrize("worker", [False, True])
def test_a_load_generator_that_was_killed_is_never_pass(desk, worker):
    run = desk.start("run", str(loaded(desk, 20)))
    in_load(desk, run)
    pids = sorted(pid for pid, line in desk.processes().items() if "locust" in line)
    assert len(pids) >= 2
    os.kill(pids[1 if worker else 0], signal.SIGKILL)
    code, errors = said(run)
    assert code not in (0, 1), errors
    desk.assert_nothing_left()
    assert judged(desk) == "UNKNOWN"
    if worker:
        found = json.loads((desk.runs / "latest" / "verdict.json").read_text())["findings"]
        sentences = " ".join(finding["sentence"] for finding in found)
        assert "load worker" in sentences
        assert "planned operations are not in the record" in sentences


def test_down_during_load_is_a_run_cut_short(desk):
    """What was under way was lost with the cluster: it was FAIL."""
    run = desk.start("run", str(loaded(desk, 20)))
    in_load(desk, run)
    time.sleep(2)
    desk.ok("down")
    code, errors = said(run)
    assert code in (69, 70), errors
    desk.assert_nothing_left()
    assert judged(desk) == "UNKNOWN"


def test_the_run_client_killed_during_load(desk):
    """Its load ends with it, long before the phases are over; the cluster stays up until somebody
    takes it down.
    """
    run = desk.start("run", str(loaded(desk, 600)))
    in_load(desk, run)
    run.kill()
    run.communicate(timeout=60)
    wait_for(
        lambda: not [line for line in desk.processes().values() if "locust" in line], desk.processes
    )
    desk.ok("down")
    desk.assert_nothing_left()
    assert judged(desk) == "UNKNOWN"


def test_the_census_sees_what_is_left(desk):
    """The counting itself: a cluster that is up, and a stranger's file, link and table, are not
    nothing.
    """
    desk.ok("up", "ten.toml")
    now = desk.census()
    assert {what for what in now if now[what] != desk.census_before[what]} >= {"processes", "files"}
    assert len(now["processes"]) >= 11
    desk.ok("down")
    (desk.state / "stray").touch()
    stray = f"stray_{desk.token}"
    subprocess.run(["ip", "link", "add", stray, "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "inet", stray], check=True)
    try:
        now = desk.census()
    finally:
        subprocess.run(["ip", "link", "del", stray], check=True)
        subprocess.run(["nft", "delete", "table", "inet", stray], check=True)
        (desk.state / "stray").unlink()
    assert "stray" in now["files"]
    assert stray in now["links"]
    assert f"table inet {stray}" in now["tables"]
    desk.assert_nothing_left()


CUT = """
topology = "ten.toml"
[[phase]]
name = "load"
duration_s = 120
[[phase.stream]]
operation = "private_message"
rate_per_s = 10
[[phase.fault]]
cut = "halves"
"""


def playing(desk: Desk, *options: str) -> subprocess.Popen[str]:
    """`harness run` of a long scenario, its cut in force."""
    run = desk.start("run", str(desk.write("cut.toml", CUT)), *options)

    def cut() -> bool:
        return desk.doing() == "phase load" and bool(desk.ask("fault-list")["faults"])

    wait_for(cut, desk.doing)
    return run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_a_cluster_that_a_run_started_ends_with_it(desk, number):
    """Whatever ends the run: its cut is in force, and nobody would clear it."""
    run = playing(desk)
    os.kill(run.pid, number)
    code, errors = said(run)
    if number is not signal.SIGKILL:
        assert (code, "interrupted" in errors) == (130, True)
    desk.assert_nothing_left()
    assert desk.harness("status").returncode == 69


def test_a_cluster_that_is_to_be_kept_outlives_its_run(desk):
    run = playing(desk, "--keep")
    os.kill(run.pid, signal.SIGKILL)
    said(run)
    assert desk.status()["stage"] == "up"
    wait_for(lambda: not any("locust" in line for line in desk.processes().values()))
    assert desk.status()["stage"] == "up"
    desk.ok("down")
    desk.assert_nothing_left()


def test_a_run_leaves_a_cluster_that_was_up(desk):
    desk.ok("up", "ten.toml")
    run = playing(desk)
    os.kill(run.pid, signal.SIGKILL)
    said(run)
    time.sleep(1)
    assert desk.status()["stage"] == "up"
    desk.ok("down")
    desk.assert_nothing_left()
