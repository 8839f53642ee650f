"""Every command that prints data prints it as JSON too: one versioned object on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kit.run_folders import good

from harness.cli import main
from harness.control import state
from harness.supervisor.server import Server

PAGE = (Path(__file__).parents[3] / "docs" / "interfaces.md").read_text()
# What these print is another program's, or a shell's.
NO_DATA = {"exec", "machine", "completion"}


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(main))
DATA = sorted(ALL.keys() - NO_DATA)
FAULT = {"name": "x", "does": "cut", "paths": 1, "nodes": 0, "at_ns": 0, "took_ms": 1.0}
STATUS = {
    "version": 1,
    "cluster": "main",
    "pid": 1,
    "stage": "up",
    "runtime": "netns",
    "topology": "t",
    "system": "s",
    "run": None,
    "phase": None,
    "nodes": [],
    "faults": [],
}
ANSWERS = {
    "status": STATUS,
    "logs": "a\nb",
    "condition": {"node": "n", "condition": "paused", "says": None},
    "fault-set": FAULT,
    "fault-clear": {"cleared": ["x"]},
    "profile": {
        "run": None,
        "folded": "1.folded",
        "svg": "1.svg",
        "count": 0,
        "unit": "samples",
        "hottest": {},
        "profiler_cpu_s": 0.1,
        "early": False,
        "problems": [],
    },
    "fault-list": {"version": 1, "faults": [], "away": {}, "backends": {}, "disagree": {}},
}
ANSWERS["metrics"] = STATUS | {"ended": [], "used": {}, "up_since": None, "last_run": None}
ARGUMENTS = {
    "metrics": ["--once"],
    "condition": ["n", "paused"],
    "logs": ["n"],
    "profile": ["supervisor"],
    "check": [str(Path(__file__).parents[3] / "topologies" / "cluster-10.toml")],
    "fault set": ["n", "--delay", "1ms"],
    "fault cut": ["halves"],
    "replay": ["--dry-run"],
    "baseline save": ["saved"],
    "baseline remove": ["kept"],
    "history merge": ["other.json"],
}
# How many run folders each is told.
RUNS = {"judge": 1, "replay": 1, "bundle": 1, "compare": 2, "baseline save": 1}
# tests/root/test_cluster.py, test_shrink.py, test_gate.py, test_soak.py; test_saturate.py;
# test_calibrate.py
STARTS_SOMETHING = {"up", "run", "gate", "saturate", "shrink", "soak", "calibrate"}


def test_what_prints_no_data_is_named():
    assert ALL.keys() >= NO_DATA


@pytest.mark.parametrize("name", DATA)
def test_every_command_that_prints_data_has_json(name):
    assert "--json" in [option for one in ALL[name].params for option in one.opts]


@pytest.mark.parametrize("name", DATA)
def test_the_page_of_interfaces_says_what_is_in_it(name):
    assert f"`{name} --json`" in PAGE or f"`harness {name} --json`" in PAGE


@pytest.mark.parametrize("name", sorted(set(DATA) - STARTS_SOMETHING))
def test_json_is_one_object_with_a_version(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.chdir(tmp_path)
    words = [*name.split(), *ARGUMENTS.get(name, [])]
    words += [str(good(tmp_path, 2 + number)) for number in range(RUNS.get(name, 0))]
    if name == "baseline remove":
        CliRunner().invoke(main, ["baseline", "save", "kept", str(good(tmp_path))])
    if name.startswith(("history ", "runs ")):
        monkeypatch.setenv("HARNESS_RUNS", str(good(tmp_path).parents[1]))
        (tmp_path / "other.json").write_text('{"version": 1, "runs": []}')
    lock = server = None
    if name not in {"down", "doctor"}:
        lock = state.Lock("main")
        handlers = {method: lambda *_, said=said: said for method, said in ANSWERS.items()}
        server = Server(tmp_path / "state" / "main" / "control.sock", handlers)
    done = CliRunner().invoke(main, [*words, "--json"])
    if server is not None and lock is not None:
        server.close()
        lock.remove()
    assert done.exit_code in (0, 1, 2), done.output
    said = json.loads(done.stdout)
    assert said["version"] == 1
