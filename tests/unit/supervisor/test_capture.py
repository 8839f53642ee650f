"""A capture of a real process by programs that stand for profilers: whatever becomes of these, the
target goes on, and nothing is left.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from kit.desk import wait_for

from harness.errors import UnavailableError, UsageError
from harness.faults.fault import Condition
from harness.kernel.proc import is_stopped
from harness.profiles.profiler import Profiler, Tool
from harness.profiles.stacks import parse
from harness.supervisor.capture import Capture, Target, target

WRITES = "echo 'main;hot 3' > $FILE"
WAITS = f'trap "{WRITES}; exit 0" INT; echo $$ > {{}}/pid; while :; do sleep 0.05; done'


def profiler(script: str, **changes) -> Profiler:
    """`PID` and `FILE` are the target's and the file that is to be written."""

    def command(pids, seconds, file):
        named = {"PID": str(pids[0]), "FILE": str(file), "SECONDS": str(seconds)}
        return ["env", *(f"{key}={value}" for key, value in named.items()), "sh", "-c", script]

    return replace(
        Profiler(
            name="py-spy",  # as which what it writes is read
            shows="something",
            unit="samples",
            tools=(Tool(program="sh", get="a shell"),),
            command=command,
            read=lambda file: parse(file.read_text(), "samples"),
            grace_s=2.0,
        ),
        **changes,
    )


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", "while True: sum(range(1000))"]) as made:
        os.setpriority(os.PRIO_PROCESS, made.pid, 19)
        yield made
        made.kill()


@pytest.fixture
def over():
    made = os.eventfd(0)
    yield made
    os.close(made)


def cluster(condition=Condition.RUNNING, *, is_held=False):
    return SimpleNamespace(
        places={"node-0": None},
        conditions={"node-0": condition},
        runtime=SimpleNamespace(is_held=lambda _: is_held, members=lambda _: []),
        gateway=None,
        adapter=SimpleNamespace(name="meshnode"),
        require=lambda _: None,
    )


def capture(process, over, script, beside=None, **changes):
    seconds = changes.pop("seconds", 30.0)
    client = changes.pop("client", None)
    found = Target(who="node-0", pids=(process.pid,), node="node-0")
    return Capture(beside or cluster(), found, profiler(script, **changes), seconds, over, client)


def test_what_was_recorded_is_drawn(process, over, tmp_path):
    taken = capture(process, over, WRITES).take(tmp_path / "1")
    assert (taken.rendered.count, taken.early) == (3, False)
    assert taken.rendered.hottest == {"hot": 1.0}
    assert (tmp_path / "1.folded").read_text() == "main;hot 3\n"
    assert "hot: 3 samples" in (tmp_path / "1.svg").read_text()
    assert taken.cpu_ns > 0


@pytest.mark.parametrize("ends", ["exit 1", "kill -KILL $$"])
def test_a_profiler_that_dies_leaves_its_target_running(process, over, tmp_path, ends):
    """As one does that ends while it has the target stopped; on a busy host that is not stopped
    before it gets a core.
    """
    with pytest.raises(UnavailableError):
        capture(process, over, f"kill -STOP $PID; {ends}").take(tmp_path / "1")
    time.sleep(0.5)
    wait_for(lambda: not is_stopped(process.pid))
    assert process.poll() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "beside", [cluster(Condition.PAUSED), cluster(is_held=True)], ids=["paused", "held"]
)
def test_a_target_that_a_fault_stops_stays_stopped(process, over, tmp_path, beside):
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(process.pid))
    capture(process, over, WRITES, beside).take(tmp_path / "1")
    assert is_stopped(process.pid)


def test_the_end_of_the_run_ends_it_with_what_it_has(process, over, tmp_path):
    script = WAITS.format(tmp_path)
    threading.Timer(0.0, _when_there, (tmp_path / "pid", lambda: os.eventfd_write(over, 1))).start()
    taken = capture(process, over, script).take(tmp_path / "1")
    assert (taken.early, taken.rendered.count) == (True, 3)


def test_a_client_that_is_gone_ends_it(process, over, tmp_path):
    ours, theirs = socket.socketpair()
    script = WAITS.format(tmp_path)
    threading.Timer(0.0, _when_there, (tmp_path / "pid", theirs.close)).start()
    with ours:
        taken = capture(process, over, script, client=ours).take(tmp_path / "1")
    assert taken.early


def _when_there(path, act):
    wait_for(lambda: path.exists() and path.read_text().strip())
    act()


def test_one_that_does_not_end_is_killed(process, over, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.supervisor.capture.START_S", 0.0)
    monkeypatch.setattr("harness.supervisor.capture.KILLED_S", 0.2)
    script = f"trap '' INT TERM; echo $$ > {tmp_path}/pid; exec sleep 1000"
    with pytest.raises(UnavailableError):
        capture(process, over, script, seconds=1.0, grace_s=1.0).take(tmp_path / "1")
    assert not os.path.exists(f"/proc/{int((tmp_path / 'pid').read_text())}")
    assert process.poll() is None


def test_what_a_profiler_says_is_told(process, over, tmp_path):
    script = "echo working; echo 'Error: Permission denied' >&2; echo bye; exit 1"
    with pytest.raises(UnavailableError, match="Error: Permission denied"):
        capture(process, over, script).take(tmp_path / "1")


def test_a_target_that_has_ended_is_said(over, tmp_path):
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    with pytest.raises(UnavailableError, match="has just ended"):
        capture(ended, over, WRITES).take(tmp_path / "1")


def test_a_target_that_ends_meanwhile_is_left_alone(process, over, tmp_path):
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        capture(process, over, "kill -KILL $PID; exit 1").take(tmp_path / "1")
    assert process.wait() == -signal.SIGKILL
    assert time.monotonic() - began < 60


def test_a_paused_node_has_nothing_to_profile():
    paused = cluster(Condition.PAUSED)
    paused.runtime.members = lambda _: [1]
    with pytest.raises(UnavailableError, match="node node-0 is paused"):
        target(paused, "node-0", [])


@pytest.mark.parametrize(
    ("who", "load_pids", "says"),
    [
        ("node-0", [], "does not run"),
        ("gateway", [], "without a gateway"),
        ("worker", [], "no run is under way"),
        ("worker-3", [1, 2, 3], "has 2 workers"),
    ],
)
def test_who_cannot_be_profiled_now(who, load_pids, says):
    with pytest.raises((UnavailableError, UsageError), match=says):
        target(cluster(), who, load_pids)


def test_which_process_a_worker_is():
    """The master comes first; one that is alone is its own worker."""
    assert target(cluster(), "worker", [7]).pids == (7,)
    assert target(cluster(), "worker", [7, 8, 9]).pids == (8,)
    assert target(cluster(), "worker-2", [7, 8, 9]).pids == (9,)
    assert target(cluster(), "supervisor", []).pids == (os.getpid(),)
