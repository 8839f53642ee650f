"""The scenarios that come along: each compiles, ends healthy, can be judged, and says what it asks;
and `harness scenarios` shows them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.experiments import run
from harness.faults.fault import Verb
from harness.faults.spec import parse
from harness.operations import Operation
from harness.scenario import files
from harness.scenario.overview import does, overview, overviews

FOLDER = Path(__file__).parents[3] / "scenarios"
ALL = sorted(FOLDER.glob("*.toml"))
PLAYED = [path for path in ALL if files.read_suite(path) is None]


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_a_shipped_scenario_ends_healthy(path):
    played = run.check(files.read_scenario(path), imports=False)
    standing = []
    for change in played.changes:
        if change.verb is Verb.SET:
            standing.append(change.fault)
        else:
            standing.remove(change.fault)
        assert change.at_s <= played.phases[-1].end_s
    assert standing == []


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_shipped_scenario_says_what_it_asks_and_is_judged(path):
    found = overview(path)
    assert found.sentence.endswith(".")
    assert found.rows


def rows_of(scenario):
    """The rows that are about a scenario, each with its phase."""
    phases = {phase.name: phase for phase in scenario.phases}
    rows = [] if scenario.budget is None else files.read_budget(scenario.budget).rows
    for row in rows:
        if row.conditions.scenario in (None, scenario.name):
            assert row.conditions.phase in phases, row.name
            yield row, phases[row.conditions.phase]


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_a_row_is_about_what_its_phase_has(path):
    """Its operation is sent there, and its fault is played."""
    for row, phase in rows_of(files.read_scenario(path)):
        word = row.metric.partition(".")[0]
        if word in {operation.word for operation in Operation}:
            assert word in {stream.operation.word for stream in phase.streams}, row.name
        if row.conditions.under is not None:
            assert row.conditions.under in {fault.name for fault in phase.faults}, row.name


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
def test_what_comes_after_a_cut_does_not_pass_for_coverage_under_it(path):
    """A row counts a broadcast wherever it ever came, also when the cut had gone: where it promises
    something of a phase with a cut, the scenario asks for the sides too.
    """
    scenario = files.read_scenario(path)
    for row, phase in rows_of(scenario):
        has_cut = any(fault.cut is not None for fault in phase.faults)
        if row.metric == "broadcast.coverage" and row.bound is not None and has_cut:
            assert "coverage-by-side" in scenario.checks, row.name


def test_what_a_scenario_asks_is_gathered_of_its_phases():
    found = overview(FOLDER / "crash-restart.toml")
    assert (found.name, found.nodes, found.seconds, found.system) == (
        "crash-restart",
        10,
        25.0,
        "meshnode",
    )
    assert found.operations == ("private_message", "dht_put", "dht_get")
    assert found.faults == ("killed",)
    assert found.sentence.startswith("One node of ten is killed and starts again after")


def test_a_suite_asks_what_its_parts_do():
    found = overview(FOLDER / "meshara.toml")
    assert found.nodes == 1001
    assert found.seconds == sum(overview(FOLDER / f"{part}.toml").seconds for part in found.parts)
    assert "meshara-10" in found.parts
    assert "file_transfer" in found.operations


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ({"cut": "halves"}, ("cut halves",)),
        ({"cut": "halves", "one_way": True}, ("cut halves one-way",)),
        ({"cut": "bridge", "loss": "5%", "part": "30%"}, ("loss",)),
        ({"cut": "halves", "half_open": "new"}, ("half-open",)),
        ({"where": "node-1", "condition": "paused"}, ("paused",)),
        ({"where": "node-1", "cpu": "20%", "fds": 64}, ("cpu", "fds")),
        ({"where": "node-1", "up": "1mbit", "down": "2mbit"}, ("rate",)),
        ({"where": "all", "delay": "10ms", "rate": "1mbit"}, ("delay", "rate")),
        ({"where": "a -> b", "toxic": "latency latency=5"}, ("toxic",)),
    ],
)
def test_a_fault_is_said_by_what_it_does(words, kinds):
    assert does(parse(words)) == kinds


def test_a_file_without_a_comment_or_a_budget_has_no_sentence_and_no_rows(tmp_path):
    (tmp_path / "t.toml").write_text("[nodes]\ncount = 3\n")
    phases = '[[phase]]\nname = "a"\nduration_s = 3\n'
    (tmp_path / "s.toml").write_text(f'topology = "t.toml"\n{phases}')
    found = overview(tmp_path / "s.toml")
    assert (found.seconds, found.sentence, found.rows, found.faults) == (3.0, "", 0, ())


def test_the_command_shows_them_all():
    said = json.loads(CliRunner().invoke(main, ["scenarios", "--json"]).stdout)
    assert said["version"] == 1
    assert [one["name"] for one in said["scenarios"]] == sorted(path.stem for path in ALL)
    shown = CliRunner().invoke(main, ["scenarios"], env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    for path in ALL:
        assert path.stem in shown.output
    assert f"{len(ALL)} scenarios" in shown.output


def test_the_command_shows_a_folder(tmp_path):
    (tmp_path / "mine.toml").write_text((FOLDER / "five-hops.toml").read_text())
    said = json.loads(CliRunner().invoke(main, ["scenarios", str(tmp_path), "--json"]).stdout)
    assert [one["name"] for one in said["scenarios"]] == ["mine"]
    assert said["scenarios"][0]["nodes"] == 6
    (tmp_path / "bad.toml").write_text("phase = 3\n")
    done = CliRunner().invoke(main, ["scenarios", str(tmp_path)])
    assert done.exit_code == 65
    assert "bad.toml" in done.output
    assert overviews(tmp_path / "nothing") == []
