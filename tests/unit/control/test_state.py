"""The lock of a cluster: one holder at a time, and asking takes nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from harness.control import cleanup, state
from harness.errors import NameTakenError, StorageError

# Takes and gives the lock for a second; whoever holds it beside somebody else says so. Then tells
# how often it was the holder.
HOLDER = """
import os, sys, time
from harness.control import state
from harness.errors import NameTakenError, StorageError
end, held = time.monotonic() + 1.5, 0
while time.monotonic() < end:
    try:
        lock = state.Lock("main")
    except NameTakenError:
        continue
    os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
    (lock.path / "something").write_text("")
    assert (lock.path / "something").exists()
    held += 1
    os.unlink(sys.argv[1])
    lock.remove()
print(held)
"""
# Asks for two seconds; tells the answers that it got.
ASKER = """
import time
from harness.control import state
end, answers = time.monotonic() + 2, set()
while time.monotonic() < end:
    answers.add(state.is_alive("main"))
print(*sorted(answers))
"""


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Runs Python beside the test, in a state folder of the test's own."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    started = []

    def run(code: str, *arguments: str):
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for one in started:
        one.kill()
        one.communicate()


def answer(process) -> str:
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    return said.strip()


def test_a_lock_has_one_holder(python, tmp_path):
    """Also while the folder goes away and comes back under others that open it."""
    holders = [python(HOLDER, str(tmp_path / "held")) for _ in range(4)]
    assert sum(int(answer(one)) for one in holders) > 10
    assert not state.folder("main").exists()


def test_asking_takes_nothing(python):
    """Two ask about a dead cluster all the while: neither sees the other, and the name is free."""
    state.folder("main").mkdir(parents=True)
    (state.folder("main") / "lock").touch()
    askers = [python(ASKER), python(ASKER)]
    taken = 0
    while any(one.poll() is None for one in askers):
        assert not state.is_alive("main")
        time.sleep(0.001)
        taken += 1
    assert [answer(one) for one in askers] == ["False", "False"]
    assert taken > 10


def test_a_free_name_is_never_taken_by_those_who_ask(python):
    askers = [python(ASKER), python(ASKER)]
    while any(one.poll() is None for one in askers):
        state.Lock("main").remove()
    for one in askers:
        answer(one)


def test_a_living_one_is_seen_and_a_killed_one_is_not(python):
    code = (
        "import time; from harness.control import state; l = state.Lock('main'); print(flush=True)"
    )
    holder = python(code + "; time.sleep(60)")
    holder.stdout.readline()
    assert state.is_alive("main")
    with pytest.raises(NameTakenError):
        state.Lock("main")
    holder.kill()
    holder.wait()
    assert not state.is_alive("main")
    assert cleanup.doctor()["main"]


def test_a_lock_is_not_inherited(tmp_path, monkeypatch):
    """What a supervisor starts must not keep its cluster's name."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    lock = state.Lock("main")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    lock.remove()
    assert not state.is_alive("main")
    state.Lock("main").remove()
    child.kill()
    child.wait()


def test_a_folder_that_no_cluster_made_is_nobodys_to_remove(tmp_path, monkeypatch):
    """Whatever lies in the state folder was a dead cluster, and doctor removed it."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    theirs = tmp_path / "runs" / "verdict.json"
    theirs.parent.mkdir()
    theirs.write_text("{}")
    (tmp_path / "left").mkdir()
    assert list(state.clusters()) == ["left"]
    assert list(cleanup.doctor()) == ["left"]
    with pytest.raises(StorageError, match="not made by a cluster"):
        state.Lock("runs")
    assert theirs.exists()
