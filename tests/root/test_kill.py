"""kill -9 at any moment: one clear sentence, nothing left after `harness doctor`, and never a PASS."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from cluster_helpers import TEN, Desk, small_scenario, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("ten.toml", TEN)
    yield made
    made.close()


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
    if code:                                              # 0: it was ready before the blow
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
    assert "desk: removed folder" in desk.ok("doctor")
    desk.assert_nothing_left()


def test_the_next_up_of_the_name_needs_no_doctor(desk):
    desk.ok("up", "ten.toml")
    os.kill(desk.status()["pid"], signal.SIGKILL)
    wait_for(lambda: not desk.processes(), desk.processes)
    desk.ok("up", "ten.toml")
    desk.ok("down")
    desk.assert_nothing_left()


def test_supervisor_killed_during_load(desk):
    run = desk.start("run", str(small_scenario(desk, 20)))
    pid = in_load(desk)
    os.kill(pid, signal.SIGKILL)
    code, errors = said(run)
    assert code in (69, 70), errors
    wait_for(lambda: not desk.processes(), desk.processes)
    cleaned(desk)
    assert desk.harness("judge", str(desk.runs / "latest")).returncode == 2


def in_load(desk: Desk) -> int:
    """Wait until the scenario's load is under way; the supervisor's pid."""
    wait_for(lambda: desk.harness("status", "--json").returncode == 0)
    wait_for(lambda: json.loads(desk.harness("status", "--json").stdout or "{}").get("phase") == "load")
    return desk.status()["pid"]


def test_supervisor_killed_during_down(desk):
    desk.ok("up", "ten.toml")
    pid = desk.status()["pid"]
    down = desk.start("down")
    time.sleep(0.55)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    said(down)
    cleaned(desk)


def test_the_waiting_client_killed_during_up(desk):
    """The supervisor notices that nobody waits any more and takes everything back by itself."""
    up = desk.start("up", "ten.toml")
    wait_for(desk.supervisor)
    up.kill()
    up.communicate(timeout=60)
    wait_for(lambda: not desk.processes() or desk.harness("status").returncode == 0)
    desk.harness("down")                                  # it may have been ready before the blow
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
    run = desk.start("run", str(small_scenario(desk, 20)))
    in_load(desk)
    run.send_signal(signal.SIGINT)
    code, errors = said(run)
    assert code == 130, errors
    desk.assert_nothing_left()
    assert desk.harness("judge", str(desk.runs / "latest")).returncode in (1, 2)


@pytest.mark.parametrize("worker", [False, True])
def test_a_load_generator_that_was_killed_is_never_pass(desk, worker):
    run = desk.start("run", str(small_scenario(desk, 20)))
    in_load(desk)
    pids = sorted(pid for pid, line in desk.processes().items() if "locust" in line)
    assert len(pids) >= 2
    os.kill(pids[1 if worker else 0], signal.SIGKILL)
    code, errors = said(run)
    assert code not in (0, 1), errors
    desk.assert_nothing_left()
    assert desk.harness("judge", str(desk.runs / "latest")).returncode in (1, 2)


def test_the_run_client_killed_during_load(desk):
    run = desk.start("run", str(small_scenario(desk, 8)))
    in_load(desk)
    run.kill()
    run.communicate(timeout=60)
    wait_for(lambda: not [line for line in desk.processes().values() if "locust" in line], desk.processes)
    desk.ok("down")
    desk.assert_nothing_left()
