"""A dry run tells what a run would play, and starts nothing."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from kit import ROOT

from harness.cli import main
from harness.errors import BadFileError
from harness.scenario import files, timeline

SCENARIO = """
topology = "three-regions-10"
seed = 7
[[phase]]
name = "warm"
kind = "warm-up"
duration_s = 2.5
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
target = "node-0"
sources = ["node-1", "node-2"]
[[phase.stream]]
operation = "dht_get"
rate_per_s = [[0, 1], [2, 10]]
arrivals = "poisson"
[[phase]]
name = "bad"
kind = "chaos"
duration_s = 10
[[phase.fault]]
cut = "halves"
at_s = 1
for_s = 4
flap_s = 1
[[phase.fault]]
where = "node-3"
condition = "paused"
for_s = 2
[[phase.fault]]
name = "thin"
where = "node-4"
rate = "1mbit"
[[phase.fault]]
where = "node-1 -> node-2"
delay = "5ms"
"""


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    file = tmp_path / "short.toml"
    file.write_text(SCENARIO)
    yield file
    assert not (tmp_path / "state").exists()


def told(*words):
    found = CliRunner().invoke(main, ["run", *map(str, words), "--dry-run"])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_table_has_phases_streams_and_faults(scenario):
    lines = [" ".join(line.split()) for line in told(scenario).splitlines()]
    assert lines[0] == (
        "short: 10 meshnode nodes (three-regions-10), 2 phases in 12.5 s, seed 7, no budget"
    )
    for line in (
        "0 s 2.5 s warm (warm-up)",
        "private_message 50/s, 256 B node-1, node-2 -> node-0",
        "dht_get 1/s at 0 s 10/s at 2 s, poisson any node",
        "2.5 s 12.5 s bad (chaos)",
        "no load",
        "2.5 s 4.5 s fault 1, bad-2: paused node-3",
        "2.5 s 12.5 s fault 3, bad-4: delay 5 ms node-1 -> node-2 delay 5ms: 1 path",
    ):
        assert line in lines
    [cut] = [line for line in lines if "bad-1" in line]
    assert cut.startswith("3.5 s 6.5 s fault 4, bad-1: cut (2 times) node-0, node-1, node-2,")
    assert "node-9: 50 paths" in lines
    [thin] = [line for line in lines if ", thin:" in line]
    assert thin.endswith("the link of node-4")


def test_json_is_the_timeline_that_would_be_played(scenario):
    found = json.loads(told(scenario, "--json"))
    [one] = found["scenarios"]
    compiled = timeline.compile(files.read_scenario(scenario)).as_json()
    assert found["version"] == 1
    assert one["timeline"] == json.loads(json.dumps(compiled))
    assert [stream["phase"] for stream in one["streams"]] == ["warm", "warm"]
    assert (one["nodes"], one["seed"], one["budget"]) == (10, 7, None)


def test_a_suite_is_told_scenario_by_scenario():
    found = json.loads(told("meshara", "--json"))
    planned = files.read_suite(ROOT / "scenarios" / "meshara.toml")
    assert [one["scenario"] for one in found["scenarios"]] == [part.stem for part in planned.parts]


def test_another_system_is_told(scenario):
    scenario.write_text(SCENARIO.replace("private_message", "dht_put").replace("target", "#"))
    assert "10 opendht nodes" in told(scenario, "--system", "opendht")


def test_what_a_run_would_refuse_is_refused(scenario):
    scenario.write_text(SCENARIO.replace("node-3", "node-33"))
    found = CliRunner().invoke(main, ["run", str(scenario), "--dry-run"])
    assert found.exit_code == BadFileError.exit_code
    assert "node-33" in found.stderr
