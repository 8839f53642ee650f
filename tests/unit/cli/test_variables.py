"""Every variable of docs/interfaces.md is heard by every command that the page names with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import configargparse
import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.cli import main
from harness.control import state
from harness.errors import BadFileError, NameTakenError, UnavailableError, UsageError
from harness.load.locust import options
from harness.scenario import files, shipped
from harness.supervisor.server import Server

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "interfaces.md").read_text()
# What a command must be told besides.
ARGUMENTS = {
    "up": ["cluster-10"],
    "run": ["demo"],
    "check": ["demo"],
    "gate": ["pull-request"],
    "saturate": ["demo", "--stream", "private_message", "--until", "p99 < 50 ms"],
    "shrink": ["runs"],
    "soak": ["soak-10", "--for", "10m"],
    "condition": ["node-0", "paused"],
    "exec": ["node-0", "true"],
    "logs": ["node-0"],
    "metrics": ["--once"],
    "profile": ["supervisor"],
    "fault set": ["node-0", "--delay", "1ms"],
    "fault cut": ["halves"],
}


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory):
    ARGUMENTS["replay"] = [str(run_folders.good(tmp_path_factory.mktemp("runs")))]


def promised():
    """(variable, command) of each row of the page's table."""
    table = PAGE.split("**Variables:**")[1].split("\n\n")[1]
    for variable, heard_by in re.findall(r"^\| `(\w+).*\| ([^|]+) \|$", table, re.MULTILINE):
        for command in re.findall(r"`([^`]+)`", heard_by):
            yield variable, command


def of(variable: str) -> list[str]:
    """The commands of `harness` that the page says hear a variable."""
    others = {"locust", "make", "pytest"}
    return [command for name, command in promised() if name == variable and command not in others]


def run(command: str, *more: str, **environment: str):
    words = [*command.split(), *ARGUMENTS.get(command, []), *more]
    return CliRunner().invoke(main, words, env={"HARNESS_CLUSTER": None, **environment})


def test_the_page_is_read():
    assert {variable for variable, _ in promised()} == {
        "RUNTIME",
        "SYSTEM",
        "HARNESS_CLUSTER",
        "HARNESS_RUNS",
        "HARNESS_STATE",
        "HARNESS_REQUIRE_ALL",
    }
    assert of("HARNESS_RUNS") == [
        "run",
        "gate",
        "replay",
        "bundle",
        "saturate",
        "shrink",
        "soak",
        "profile",
        "judge",
        "compare",
        "baseline save",
        "baseline list",
        "baseline remove",
        "history",
        "runs",
    ]


@pytest.mark.parametrize("variable", ["RUNTIME", "SYSTEM", "HARNESS_CLUSTER"])
def test_whoever_has_the_option_hears_the_variable(variable):
    """And the page names them all."""
    option = {"HARNESS_CLUSTER": "cluster"}.get(variable, variable.lower())
    having = [
        name if group is main else f"{group.name} {name}"
        for group in (main, main.commands["fault"])
        for name, command in group.commands.items()
        if option in [parameter.name for parameter in command.params]
    ]
    assert sorted(having) == sorted(of(variable))


@pytest.mark.parametrize("command", of("RUNTIME"))
def test_runtime(command, tmp_path):
    done = run(command, RUNTIME="nowhere", HARNESS_STATE=str(tmp_path))
    assert done.exit_code == UsageError.exit_code
    assert "nowhere" in done.output


@pytest.mark.parametrize("command", of("SYSTEM"))
def test_system(command, tmp_path):
    done = run(command, SYSTEM="nothing", RUNTIME="netns", HARNESS_STATE=str(tmp_path))
    assert done.exit_code == UsageError.exit_code
    assert "nothing" in done.output


@pytest.mark.parametrize("command", of("HARNESS_CLUSTER"))
def test_cluster(command, tmp_path):
    done = run(command, HARNESS_CLUSTER="NO NAME", HARNESS_STATE=str(tmp_path), RUNTIME="netns")
    assert done.exit_code == UsageError.exit_code
    assert "cluster name 'NO NAME'" in done.output


@pytest.mark.parametrize("command", of("HARNESS_STATE"))
def test_state(command, tmp_path, monkeypatch):
    """A dead cluster that stands in the folder is found by each; `up` finds a living one taken,
    and so do `shrink` and `gate`, which have clusters of their own.
    """
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    (tmp_path / "main").mkdir()
    taken = dict.fromkeys(("up", "run", "replay", "saturate", "soak"), "main") | {
        "shrink": "main-s1",
        "gate": "main-gate",
    }
    lock = state.Lock(taken[command]) if command in taken else None
    done = run(command, HARNESS_STATE=str(tmp_path), RUNTIME="netns")
    if command in ("up", "shrink", "gate"):
        assert done.exit_code == NameTakenError.exit_code
    elif command == "clusters":
        assert done.exit_code == 0
        assert "1 dead" in done.output
    elif command in ("down", "doctor"):
        assert done.exit_code == 0, done.output
        assert not (tmp_path / "main").exists()
    else:
        assert done.exit_code == UnavailableError.exit_code
        assert "'main'" in done.output
    if lock is not None:
        lock.remove()


def test_runs_of_run(tmp_path):
    """The folder reaches the supervisor as it is asked to open the run's."""
    wanted = files.read_scenario(shipped.find("demo", "scenarios")).topology
    status = {
        "topology": wanted.name,
        "topology_digest": wanted.digest(),
        "adapter": wanted.adapter,
        "runtime": "netns",
        "nodes": [{"name": node.name} for node in wanted.nodes],
    }
    asked = []

    def begin(params, *_):
        asked.append(params["runs"])
        raise BadFileError("heard")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_STATE", str(tmp_path))
        lock = state.Lock("main")
        handlers = {"status": lambda *_: status, "begin": begin}
        server = Server(tmp_path / "main" / "control.sock", handlers)
        for words, variables, expected in (
            ([], {}, "runs"),
            ([], {"HARNESS_RUNS": "/tmp/elsewhere"}, "/tmp/elsewhere"),
            (["--runs", "/tmp/said"], {"HARNESS_RUNS": "/tmp/elsewhere"}, "/tmp/said"),
        ):
            asked.clear()
            done = run("run", *words, HARNESS_STATE=str(tmp_path), RUNTIME="netns", **variables)
            assert "heard" in done.output
            assert asked == [str(Path(expected).resolve())]
        server.close()
        lock.remove()


def test_runs_of_judge(tmp_path):
    done = run("judge", HARNESS_RUNS=str(tmp_path / "mine"))
    assert done.exit_code == BadFileError.exit_code
    assert str(tmp_path / "mine") in done.output
    (tmp_path / "mine" / "latest").mkdir(parents=True)
    (tmp_path / "mine" / "latest" / "metadata.json").write_text("{}")
    done = run("judge", HARNESS_RUNS=str(tmp_path / "mine"))
    assert "expected a run folder" not in done.output
    done = run("judge", str(tmp_path / "said"), HARNESS_RUNS=str(tmp_path / "mine"))
    assert f"{tmp_path / 'said'}: expected a run folder" in done.output


@pytest.mark.parametrize("words", [["history", "rebuild"], ["runs", "list"]])
def test_runs_of_what_looks_at_all_of_them(words, tmp_path):
    done = run(" ".join(words), HARNESS_RUNS=str(tmp_path / "mine"))
    assert f"{tmp_path / 'mine'}: expected a folder of runs" in done.output
    done = run(words[0], "--runs", str(tmp_path), words[1], HARNESS_RUNS=str(tmp_path / "mine"))
    assert done.exit_code == 0, done.output


def test_runs_of_locust():
    parser = configargparse.ArgumentParser()
    options.add(parser)
    assert parser.parse_args([], env_vars={"HARNESS_RUNS": "/mine"}).runs == "/mine"
    assert parser.parse_args(["--runs", "x"], env_vars={"HARNESS_RUNS": "/mine"}).runs == "x"


def test_cluster_and_state_of_locust(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "locust", "--headless", "-t", "1s"],
        cwd=ROOT,
        env={**os.environ, "HARNESS_CLUSTER": "elsewhere", "HARNESS_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == UnavailableError.exit_code
    assert "the supervisor of cluster 'elsewhere' is gone" in done.stderr + done.stdout


def test_all_of_make():
    """make hands every variable on to what it starts."""
    variables = {name: "given" for name, command in promised() if command == "make"}
    assert len(variables) == 6
    done = subprocess.run(
        ["make", "--silent", "--eval", "shown: ; @env", "shown"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.splitlines()) >= {f"{name}=given" for name in variables}


@pytest.mark.parametrize(("value", "outcome"), [("0", "skipped"), ("1", "error")])
def test_require_all_of_pytest(value, outcome, tmp_path):
    """No program is found on this PATH, so what needs one is missing."""
    test = ROOT / "tests" / "browser" / "test_report.py"
    name = re.findall(r"^def (test_\w+)", test.read_text(), re.MULTILINE)[0]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{test}::{name}"],
        cwd=ROOT,
        env={**os.environ, "HARNESS_REQUIRE_ALL": value, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.fullmatch(rf"\d+ {outcome}s? in .*", done.stdout.splitlines()[-1]), done.stdout
