"""Ctrl-C at any moment of `up`, `run` and `down`: nothing is left, and what is said of it is true.

Moments are seeded in two ways: by the clock, and by the calls of our own functions that start and
end things, so that windows of microseconds are met too.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest
from kit.desk import PROMISES, TEN, Desk, wait_for

pytestmark = pytest.mark.root
# In a client: SIGINT to itself at the N-th call or return of our functions that start and end
# things.
STRIKER = """
import os, signal, sys
left = int(os.environ.get("INTERRUPT_AT", "0"))
PLACES = ("/harness/control/", "/harness/experiments/run.py", "/harness/cli/cluster.py")
def strike(frame, event, _):
    global left
    name = frame.f_code.co_filename
    if event in ("call", "return") and any(place in name for place in PLACES):
        left -= 1
        if left == 0:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)
if left and "harness" in sys.orig_argv:
    sys.setprofile(strike)
"""
RUN = """
topology = "ten.toml"
budget = "promises.toml"
[[phase]]
name = "load"
duration_s = 1
[[phase.stream]]
operation = "private_message"
rate_per_s = 20
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("ten.toml", TEN)
    made.write("promises.toml", PROMISES)
    made.write("run.toml", RUN)
    made.write("sitecustomize.py", STRIKER)
    made.environment["PYTHONPATH"] = str(tmp_path)
    yield made
    made.close()


def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def struck(desk: Desk, event: int, *argv: str) -> tuple[int, str]:
    """Run a command that interrupts itself at an event; there is never a traceback."""
    done = desk.harness(*argv, env={**desk.environment, "INTERRUPT_AT": str(event)})
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def interrupted(desk: Desk, after_s: float, *argv: str) -> tuple[int, str]:
    process = desk.start(*argv)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    code, errors = said(process)
    if code != -signal.SIGINT:  # Python itself was starting, and knows nothing of us yet
        assert "Traceback" not in errors, errors
    return code, errors


def assert_up_or_nothing(desk: Desk, code: int, errors: str) -> None:
    """A cluster that `up` says is up is up; else nothing is left of it."""
    assert code in (0, 130, -signal.SIGINT), (code, errors)
    if code == 0:
        assert desk.status()["stage"] == "up"
        desk.ok("down")
    desk.assert_nothing_left()
    assert list(desk.state.iterdir()) == [], "a log was left"


# How many moments of each kind; `make evidence` tries ten.
seeded = pytest.mark.parametrize("seed", range(int(os.environ.get("HARNESS_INTERRUPTS", "2"))))


@seeded
def test_up_interrupted_early(desk, seed):
    after_s = random.Random(f"up {seed}").uniform(0, 1.5)
    assert_up_or_nothing(desk, *interrupted(desk, after_s, "up", "ten.toml"))


@seeded
def test_up_interrupted_between_two_calls(desk, seed):
    event = random.Random(f"calls of up {seed}").randrange(1, 116)
    assert_up_or_nothing(desk, *struck(desk, event, "up", "ten.toml"))


@seeded
def test_run_interrupted_early(desk, seed):
    after_s = random.Random(f"run {seed}").uniform(0, 4)
    code, errors = interrupted(desk, after_s, "run", "run.toml")
    assert code in (130, -signal.SIGINT), (code, errors)
    desk.assert_nothing_left()


@seeded
def test_run_interrupted_between_two_calls(desk, seed):
    """A run that was over before has its verdict; one that was not says so, and none is made up."""
    event = random.Random(f"calls of run {seed}").randrange(1, 400)
    code, errors = struck(desk, event, "run", "run.toml")
    assert code in (0, 2, 130), (code, errors)
    desk.assert_nothing_left()
    if "nothing was recorded" in errors:
        assert not [path for path in desk.runs.glob("*/*") if not path.is_symlink()]


@seeded
def test_a_run_on_a_cluster_that_was_up_leaves_only_that(desk, seed):
    desk.ok("up", "ten.toml")
    before = desk.census()
    event = random.Random(f"calls of a run beside {seed}").randrange(20, 160)
    code, errors = struck(desk, event, "run", "run.toml")
    assert code in (0, 2, 130), (code, errors)
    wait_for(lambda: desk.census()["processes"] == before["processes"], desk.processes)
    assert desk.status()["run"] is None
    desk.ok("down")
    desk.assert_nothing_left()


@seeded
def test_down_interrupted_between_two_calls(desk, seed):
    """Before it has asked, the cluster is up as it was; afterwards it goes down by itself."""
    desk.ok("up", "ten.toml")
    event = random.Random(f"calls of down {seed}").randrange(1, 101)
    code, errors = struck(desk, event, "down")
    assert code in (0, 130), (code, errors)
    if code == 130 and "goes down" not in errors and "does so by itself" not in errors:
        wait_for(lambda: desk.doing() == "up" or not desk.processes(), desk.doing)
        desk.harness("down")
    desk.assert_nothing_left()


def test_a_killed_up_leaves_nothing_at_its_last_moment(desk):
    """The cluster is ready and its client has not said that it is to stay."""
    code = (
        "import os, signal, sys\n"
        "from harness.control import launcher\n"
        "launcher.Hold.keep = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from harness.cli import main\n"
        "sys.argv = ['harness', 'up', 'ten.toml']\n"
        "main()\n"
    )
    killed = subprocess.run(
        [desk.command()[0], "-c", code], env=desk.environment, cwd=desk.folder, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    desk.assert_nothing_left()


def test_the_striker_strikes(desk):
    """A test of the tests: the first event interrupts, and one that is never come to does not."""
    assert struck(desk, 1, "clusters")[0] == 130
    assert struck(desk, 10**9, "clusters")[0] == 0
    assert os.environ.get("INTERRUPT_AT") is None
