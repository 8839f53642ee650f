"""A case is read from a run folder, and its files are what is played again."""

from __future__ import annotations

import json

import pytest
from kit.cases import case, row
from kit.run_folders import good

from harness.errors import BadFileError, UsageError
from harness.experiments import case as cases
from harness.experiments.delta_debugging import Search, Trials
from harness.experiments.failure import Failure
from harness.experiments.sequential_test import Estimate, Outcome, SequentialTest
from harness.experiments.shrunk import Shrunk
from harness.scenario import files, shipped, writer

TOPOLOGY = "name = 'mine'\n[nodes]\ncount = 4\n[shape]\nkind = 'ring'\n"
SCENARIO = """
topology = "../elsewhere/mine.toml"
budget = "not-there"
seed = 7
[[phase]]
name = "load"
duration_s = 3
[[phase.stream]]
operation = "private_message"
rate_per_s = 10
[[phase.fault]]
where = "node-1"
loss = "1%"
[[phase.fault]]
name = "mine"
cut = "halves"
"""


@pytest.fixture
def run(tmp_path):
    """A run folder that keeps its files, played on another system than its file names."""
    folder = good(tmp_path)
    (folder / "scenario.toml").write_text(SCENARIO)
    (folder / "topology.toml").write_text(TOPOLOGY)
    built = files.read_topology(folder / "topology.toml").as_json() | {"adapter": "serf"}
    (folder / "topology.json").write_text(json.dumps(built))
    rows = [row("load"), row("load", "other"), row("load", "lost") | {"scenario": "another"}]
    (folder / "budget.toml").write_text(writer.text_of({"name": "b", "row": rows}))
    return folder


def test_a_run_is_read_with_what_failed_alone(run, tmp_path):
    one = cases.of_run(run, {"fast", "lost"})
    found = one.documents()
    name = json.loads((run / "metadata.json").read_text())["name"]
    assert found.scenario["name"] == name
    assert [each["name"] for each in found.budget["row"]] == ["fast"]
    assert [fault["name"] for _, _, fault in found.faults()] == ["load-1", "mine"]
    for file, text in found.written("x").items():
        (tmp_path / file).write_text(text)
    planned = files.read_scenario(tmp_path / "x.toml")
    assert (planned.seed, planned.topology.adapter) == (7, "serf")
    built = json.loads((run / "topology.json").read_text())
    assert json.loads(json.dumps(planned.topology.as_json())) == built
    assert [each.name for each in files.read_budget(planned.budget).rows] == ["fast"]


def test_a_case_without_rows_has_no_budget(run):
    found = cases.of_run(run, {"no row of this name"}).documents()
    assert found.budget is None
    assert set(found.written("x")) == {"x.toml", "x.topology.toml"}


def test_a_session_of_locust_is_refused(run):
    (run / "scenario.toml").unlink()
    with pytest.raises(UsageError, match="what a plain `locust` played"):
        cases.of_run(run, {"fast"})


def test_a_topology_that_is_not_the_runs_is_refused(run):
    (run / "topology.toml").write_text(TOPOLOGY.replace("ring", "line"))
    with pytest.raises(BadFileError, match=r"topology\.toml: expected the topology of topology"):
        cases.of_run(run, {"fast"})
    (run / "topology.toml").unlink()
    with pytest.raises(BadFileError, match="names no file"):
        cases.of_run(run, {"fast"})


def test_the_shipped_topology_of_that_name_is_the_runs(run):
    """Of a folder of an earlier version, which kept none."""
    (run / "topology.toml").unlink()
    (run / "scenario.toml").write_text(SCENARIO.replace("../elsewhere/mine.toml", "cluster-10"))
    built = files.read_topology(shipped.find("cluster-10", "topologies"))
    (run / "topology.json").write_text(json.dumps(built.as_json()))
    assert len(cases.of_run(run, {"fast"}).documents().nodes()) == 10


def test_the_smallest_says_how_it_came_about_and_can_be_played(tmp_path):
    fault = {"name": "slow", "where": "all", "delay": "80ms"}
    original = case(
        [
            {"name": "warm", "duration_s": 2},
            {"name": "load", "duration_s": 3, "fault": [fault, fault | {"name": "idle"}]},
        ],
        rows=[row("load")],
    )
    small = case([{"name": "load", "duration_s": 3, "fault": [fault]}], 2, rows=[row("load")])
    nothing = case([{"name": "load", "duration_s": 3}], 2, rows=[row("load")])
    failing = {original, small}
    test = SequentialTest(p1=0.95)
    trials = Trials(lambda one: Outcome.FAILS if one in failing else Outcome.PASSES, test)
    trials.first_failing("faults", [nothing, small])
    search = Search(original, trials)
    search.found.append(small)
    search.is_minimal = True
    found = Shrunk(
        run=tmp_path / "run",
        failure=Failure(findings=frozenset({("fast", "load")})),
        original=original,
        folder=tmp_path,
        estimated=Estimate(fails=3, passes=0, unresolved=0),
        test=test,
        search=search,
        last=trials.decided[small],
        runs=6,
        seconds=60.0,
    )
    found.write()
    text = (tmp_path / "smallest.toml").read_text()
    for line in (
        "# Fails: fast (phase load)",
        "#   phase warm: duration_s 2",
        "#   fault idle: where all, delay 80ms",
        "#   topology: nodes 2, was 12",
        "# 2 candidates were tried: 1 failed, 1 did not, 0 stayed unresolved; 0 more could not be",
        "6 runs in 1.0 minutes",
        "# without this: passes (0 of 1 runs failed)\n[[phase.fault]]",
    ):
        assert line in text
    planned = files.read_scenario(tmp_path / "smallest.toml")
    assert len(planned.topology.nodes) == 2
    facts = json.loads((tmp_path / "shrink.json").read_text())
    assert (facts["minimal"], facts["verified"], found.exit_code) == (True, True, 0)
    assert facts["smallest"] == {
        "phases": 1,
        "faults": 1,
        "streams": 0,
        "nodes": 2,
        "seconds": 3,
        "fails": 1,
        "passes": 0,
        "unresolved": 0,
    }
