"""What a case says of itself once it is made small."""

from __future__ import annotations

import json

from kit.cases import case, row

from harness.experiments.case import differences
from harness.experiments.delta_debugging import Search, Trials
from harness.experiments.failure import Failure
from harness.experiments.sequential_test import Estimate, Outcome, SequentialTest
from harness.experiments.shrunk import Shrunk
from harness.scenario import files


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


def phases(*faults):
    """Two phases with faults of one name, at the moments that are said of each phase."""
    words = {"name": "slow", "where": "all", "delay": "80ms"}
    return case(
        [
            {"name": name, "duration_s": 9, "fault": [words | {"at_s": at_s} for at_s in some]}
            for name, some in zip(("load", "settle"), faults, strict=True)
        ]
    )


def test_faults_of_one_name_are_told_apart():
    """One that stood over phases comes again in each; what became of which is said."""
    said = "where all, delay 80ms, at_s"
    before = phases([3], [0])
    assert differences(before, phases([], [0])) == (
        [f"fault slow of phase load: {said} 3"],
        [],
    )
    assert differences(before, phases([2], [0])) == (
        [],
        ["fault slow of phase load: at_s 2, was 3"],
    )
    assert differences(phases([1, 3], []), phases([1], [])) == (
        [f"fault slow of phase load (2): {said} 3"],
        [],
    )
    assert differences(phases([3], []), phases([], [])) == ([f"fault slow: {said} 3"], [])
