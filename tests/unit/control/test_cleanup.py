"""What is left where nobody could clean up any more, and what `harness doctor` does with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.control import cleanup, launcher, logs, scratch, state
from harness.errors import HarnessError, StorageError

# Holds what is named, and says so; then it waits to be killed.
HOLDER = """
import sys, time
from harness.control import logs, scratch, state
with {what} as held:
    print(held or "", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The folders of clusters, and of what is temporary."""
    for name, variable in (("state", "HARNESS_STATE"), ("tmp", "TMPDIR")):
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return SimpleNamespace(state=tmp_path / "state", tmp=tmp_path / "tmp")


@pytest.fixture
def holder():
    """Starts a process that holds something until it is killed; says what it said."""
    started = []

    def start(what: str):
        one = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(what=what)], stdout=subprocess.PIPE, text=True
        )
        started.append(one)
        return one, one.stdout.readline().strip()

    yield start
    for one in started:
        kill(one)
        one.stdout.close()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def log_of(cluster: str) -> None:
    with logs.kept(cluster):
        pass


def test_the_log_of_a_cluster_that_is_gone_is_removed(places):
    """It went down by itself, when whoever had started it, or asked it to, had been killed."""
    log_of("main")
    assert cleanup.doctor() == {"main": [f"log {places.state / 'main.log'}"]}
    assert cleanup.doctor() == {}
    assert list(places.state.iterdir()) == []


def test_with_the_folder_of_a_dead_cluster_its_log_goes(places):
    log_of("main")
    (places.state / "main").mkdir()
    (places.state / "main" / "lock").touch()
    (places.state / "main" / "node-0").mkdir()
    removed = cleanup.doctor()["main"]
    assert removed == [f"folder {places.state / 'main'}", f"log {places.state / 'main.log'}"]
    assert list(places.state.iterdir()) == []


def test_a_folder_that_was_not_there_is_not_said_to_be_removed(places):
    state.make_root()
    assert cleanup.sweep("main") == []


def test_the_log_of_a_living_cluster_stays(places, holder):
    log_of("main")
    process, _ = holder("__import__('contextlib').nullcontext(state.Lock('main').path)")
    assert cleanup.doctor() == {}
    assert (places.state / "main.log").exists()
    kill(process)
    assert len(cleanup.doctor()["main"]) == 2


def test_the_log_of_a_cluster_that_is_being_started_stays(places, holder):
    """Its supervisor has no lock yet; two may be starting one of a name."""
    process, _ = holder("logs.kept('main')")
    with logs.kept("main"):
        assert cleanup.doctor() == {}
    assert cleanup.doctor() == {}
    assert (places.state / "main.log").exists()
    kill(process)
    assert [*cleanup.doctor()] == ["main"]


def test_what_starts_a_cluster_keeps_its_log(places, monkeypatch):
    def spawn(spec, _):
        assert cleanup.doctor() == {}
        assert logs.path(spec.cluster).exists()
        raise HarnessError("enough")

    monkeypatch.setattr(launcher, "_spawn", spawn)
    with pytest.raises(HarnessError, match="enough"):
        launcher.start(SimpleNamespace(cluster="main"), lambda *_: None, launcher.Hold())
    assert list(places.state.iterdir()) == []


def test_a_log_that_no_cluster_made_is_nobodys_to_remove(places):
    """The state folder may be one of the user's own."""
    places.state.mkdir()
    for name in ("build.log", "Not A Cluster.log"):
        (places.state / name).write_text("mine")
    log_of("copied")
    (places.state / "copied.log").rename(places.state / "other.log")
    assert cleanup.doctor() == {}
    assert len(list(places.state.iterdir())) == 3


def test_a_log_that_begins_anew_is_still_the_clusters(places):
    log_of("main")
    with logs.path("main").open("ab", buffering=0) as log:
        log.write(b"of before\n")
        logs.begin(log.fileno(), "main")
        log.write(b"of now\n")
    mark, said = logs.path("main").read_text().splitlines()
    assert (mark, said) == (f"HARNESS_OWNER={places.state / 'main'}", "of now")
    assert launcher._tail(logs.path("main")) == "of now"


def test_a_temporary_folder_goes_with_what_needs_it(places):
    with scratch.folder() as made:
        (made / "file").write_text("much")
        assert made.parent == places.tmp
        assert scratch.sweep() == []
        assert made.exists()
    assert [*places.tmp.iterdir(), *places.state.iterdir()] == []


def test_the_temporary_folder_of_a_killed_command_is_removed(places, holder):
    """Wherever temporary folders are made when somebody cleans up."""
    process, made = holder("scratch.folder()")
    (places.tmp / made / "run").mkdir()
    assert scratch.sweep() == []
    kill(process)
    assert scratch.sweep() == [made]
    assert [*places.tmp.iterdir(), *places.state.iterdir()] == []


def test_of_a_note_nothing_is_removed_that_is_not_its_own(places):
    """As somebody wrote it, or as it was when a command was killed at the very beginning."""
    theirs = places.tmp / "theirs"
    theirs.mkdir()
    places.state.mkdir()
    (places.state / "mine.scratch").write_text(str(theirs))
    (places.state / "harness-1.scratch").write_text("")
    (places.state / "harness-2.scratch").write_text(str(places.tmp / "harness-2"))
    (places.tmp / "harness-2").symlink_to(theirs)
    assert scratch.sweep() == []
    assert theirs.exists()
    assert [one.name for one in places.state.iterdir()] == ["mine.scratch"]


def test_where_no_temporary_folder_can_be_made(places, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(places.tmp / "nowhere"))
    with (
        pytest.raises(StorageError, match=r"nowhere/harness-.* cannot be written"),
        scratch.folder(),
    ):
        pass
    assert list(places.state.iterdir()) == []


def test_doctor_says_what_it_removed(places, holder):
    log_of("main")
    process, made = holder("scratch.folder()")
    kill(process)
    said = CliRunner().invoke(main, ["doctor"]).output
    assert f"{made}: removed, of a command that was killed" in said
    assert f"main: removed log {places.state / 'main.log'}" in said
    assert said.endswith("1 dead clusters removed; running: none\n")
    said = CliRunner().invoke(main, ["doctor", "--json"]).output
    assert json.loads(said) == {"version": 1, "removed": {}, "scratch": [], "running": []}
