"""What would keep a run from being played here is said before any cluster starts, whoever plays."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.cli import main
from harness.errors import StorageError, UnavailableError
from harness.experiments import beforehand, replay, run, saturate, suite
from harness.faults.programs import Program
from harness.runtimes.docker.runtime import DockerRuntime
from harness.runtimes.netns.runtime import NetnsRuntime
from harness.scenario import files, shipped, timeline

SCENARIO = """
topology = "cluster-10"
[[phase]]
name = "load"
duration_s = 6
[[phase.fault]]
name = "other"
where = "node-1"
condition = "restarted"
at_s = 3
{program}
"""
DEMO = shipped.find("demo", "scenarios")
GONE = "command = '/no/such/program {arguments}'"


@pytest.fixture(autouse=True)
def started(tmp_path, monkeypatch) -> list[object]:
    """The clusters that are started: none that is up, and each is told here."""
    found: list[object] = []
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(run, "up", lambda topology, **_: found.append(topology))
    monkeypatch.setattr(run, "record", lambda *_: pytest.fail("it was played"))
    return found


def written(folder: Path, program: str = GONE) -> Path:
    (folder / "s.toml").write_text(SCENARIO.replace("{program}", program))
    return folder / "s.toml"


def a_suite(folder: Path) -> Path:
    """A suite of the scenario, after one without a fault."""
    written(folder)
    calm = 'topology = "cluster-10"\n[[phase]]\nname = "load"\nduration_s = 1\n'
    (folder / "calm.toml").write_text(calm)
    row = 'name = "m"\nmetric = "rss"\nstatistic = "max"\nunit = "MB"\nbound = 50\nphase = "load"\n'
    (folder / "budget.toml").write_text(f'[[row]]\n{row}scenario = "calm"\n')
    (folder / "suite.toml").write_text('budget = "budget.toml"\nparts = ["calm", "s"]\n')
    return folder / "suite.toml"


@pytest.mark.parametrize("command", ["run", "suite", "replay", "saturate"])
def test_a_folder_in_which_no_run_can_be_written(tmp_path, started, command):
    """Each cluster started, and the run was refused then."""
    runs = tmp_path / "file"
    runs.write_text("")
    where = {"runs": runs, "runtime_name": "netns"}
    a_suite(tmp_path)
    written(tmp_path, "")
    play = {
        "run": partial(run.run, tmp_path / "s.toml"),
        "suite": partial(suite.run, tmp_path / "suite.toml"),
        "replay": partial(replay.replay, run_folders.good(tmp_path / "runs")),
        "saturate": partial(saturate.saturate, DEMO, "private_message", "p99 < 50 ms"),
    }
    with pytest.raises(StorageError, match=f"{runs}: no run can be written there: it is no folder"):
        play[command](**where)
    assert started == []


@pytest.mark.parametrize("write", [written, a_suite])
def test_a_program_that_is_not_here(tmp_path, started, write):
    """On netns it would be this host's: no part of a suite is played, and no folder is made."""
    runs = tmp_path / "runs"
    says = "fault 'other': the program '/no/such/program' is needed and not installed"
    with pytest.raises(UnavailableError, match=f"{says}$"):
        suite.run(write(tmp_path), runs=runs, runtime_name="netns")
    assert started == []
    assert not runs.exists()


def test_a_dry_run_says_that_it_would_be_refused(tmp_path):
    words = ["run", str(written(tmp_path)), "--dry-run", "--runtime"]
    done = CliRunner().invoke(main, [*words, "netns"])
    assert "it would be refused: fault 'other': the program '/no/such/program'" in done.output
    assert done.exit_code == 0
    assert "refused" not in CliRunner().invoke(main, [*words, "docker"]).output


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (Program(command="sh -c true"), None),
        (Program(command="/bin/sh {arguments}"), None),
        (Program(command="{program} --more {arguments}"), None),
        (Program(command="{directory}/own"), None),  # each node's own: nobody knows yet
        (Program(command="no-such-program {arguments}"), "not installed; looked in .*bin"),
        (Program(image="other:1"), "cannot start from the image other:1: .* has no images"),
    ],
)
def test_what_is_known_of_a_program_before_there_are_nodes(program, says):
    DockerRuntime.require_program(program)  # what is in an image shows in it
    if says is None:
        NetnsRuntime.require_program(program)
        return
    with pytest.raises(UnavailableError, match=says):
        NetnsRuntime.require_program(program)


def test_a_cluster_that_is_up_is_asked_itself(tmp_path, monkeypatch):
    """What its nodes can start with is not what this process finds."""
    played = [timeline.compile(files.read_scenario(written(tmp_path)))]
    here = {"cluster": "c", "runtime_name": "netns", "runs": tmp_path}
    with pytest.raises(UnavailableError):
        beforehand.require(played, **here)
    monkeypatch.setattr(beforehand.state, "is_alive", lambda _: True)
    beforehand.require(played, **here)
