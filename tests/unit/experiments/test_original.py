"""What a folder says was played: as executed, by whoever, and what of it cannot be played again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from kit import run_folders
from kit.histories import SECOND
from kit.run_folders import T0

from harness.errors import BadFileError
from harness.experiments import original
from harness.faults import spec
from harness.history import manifest
from harness.history.events import NodeEnded, NodeStarted, PhaseBegan, PhasesOver
from harness.history.plan import PhaseKind
from harness.topology.topology import Node

NODES = [Node(name=f"node-{index}") for index in range(4)]
HELD = "success of private_message in the last second >= 99 %"


@pytest.fixture
def folder(tmp_path) -> Path:
    return run_folders.good(tmp_path / "runs")


def resealed(folder: Path) -> Path:
    manifest.write(folder)
    return folder


def said(folder: Path, name: str, change) -> Path:
    """The folder with a JSON file of it changed, as if it had been so when the run was closed."""
    found = json.loads((folder / name).read_text())
    change(found)
    (folder / name).write_text(json.dumps(found))
    return resealed(folder)


def test_a_good_folder(folder):
    """Its phases and streams are those of its scenario; its faults those of its events."""
    found = original.read(original.find(folder.parent.parent))
    assert found.folder == folder
    assert found.scenario.topology == run_folders.SCENARIO.topology
    wanted = [(one.name, one.duration_s, one.streams) for one in run_folders.SCENARIO.phases]
    assert [(one.name, one.duration_s, one.streams) for one in found.scenario.phases] == wanted
    assert found.scenario.budget == folder / "budget.toml"
    assert found.timeline.phases == run_folders.TIMELINE.phases
    assert found.timeline.faults == run_folders.TIMELINE.faults
    moments = [(one.at_s, one.verb) for one in run_folders.TIMELINE.changes]
    executed = [(one.at_s - 0.001, one.verb) for one in found.timeline.changes]
    assert executed == [(pytest.approx(at_s), verb) for at_s, verb in moments]
    assert (found.runtime, found.workers, found.remarks) == ("netns", run_folders.WORKERS, ())
    assert found.workload.phases == found.scenario.phases


def test_what_phases_are_for_is_kept(folder):
    """Their kinds, and the condition that ended one earlier."""

    def meant(one):
        one["phases"][1]["kind"] = "steady"
        one["phases"][2] |= {"kind": "converge", "until": HELD, "at_most_s": 6.0}

    found = original.read(said(folder, "timeline.json", meant))
    for phases in (found.scenario.phases, found.timeline.phases):
        assert [one.kind for one in phases] == [None, PhaseKind.STEADY, PhaseKind.CONVERGE]
        assert [one.until for one in phases] == [None, None, HELD]


def test_a_phase_that_was_cut_short_is_as_long_as_it_was(folder):
    events = (folder / "events.jsonl").read_text().splitlines()
    kept = [one for one in map(json.loads, events) if one.get("phase") != "settle"]
    for one in kept:
        if one["event"] == PhasesOver.word:
            one["at_ns"] = T0 + 9 * SECOND + 7
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept))
    found = original.read(resealed(folder))
    lengths = [(one.name, one.duration_s) for one in found.scenario.phases]
    assert lengths == [("idle", 4.0), ("load", 5.000000007)]
    assert found.timeline.phases[-1].end_s == 9.000000007


def test_a_session_without_a_planned_end(folder):
    """It was one phase until somebody stopped it, and it left operations out."""

    def endless(facts):
        facts["plan"] = [{"name": "load", "begin_s": 0.0, "end_s": None}]
        facts["load"]["left_out"] = ["connect"]

    said(folder, "metadata.json", endless)
    phase = {"name": "load", "begin_s": 0.0, "end_s": None, "idle": False, "iperf3": None}
    said(folder, "timeline.json", lambda one: one.update(phases=[phase], changes=[], faults=[]))
    happened = [PhaseBegan(at_ns=T0, phase="load", planned_ns=T0), PhasesOver(at_ns=T0 + 1234567)]
    (folder / "events.jsonl").write_text(
        "".join(json.dumps(one.as_json()) + "\n" for one in happened)
    )
    found = original.read(resealed(folder))
    [only] = found.scenario.phases
    assert only.duration_s == 0.001234567
    assert only.streams == run_folders.SCENARIO.phases[1].streams
    assert found.left_out == ("connect",)


@pytest.mark.parametrize("name", ["metadata.json", "events.jsonl", "topology.json", "budget.toml"])
def test_damage_where_it_is_needed_is_refused(folder, name):
    with (folder / name).open("a") as file:
        file.write(" ")
    with pytest.raises(BadFileError, match=f"{name} is not as it was .* cannot be played again"):
        original.read(folder)


@pytest.mark.parametrize("name", ["events.jsonl", "timeline.json", "budget.toml"])
def test_what_is_missing_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadFileError, match=f"{name} is missing"):
        original.read(folder)


def test_what_is_not_needed_may_be_damaged_or_gone(folder):
    shutil.rmtree(folder / "load")
    shutil.rmtree(folder / "journal")
    (folder / "samples.arrow").write_text("")
    assert original.read(folder).timeline.changes


def test_changes_out_of_their_order_are_refused(folder):
    """With a manifest over them as if they had been written so; the line is that of the file."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    places = [at for at, line in enumerate(lines) if json.loads(line).get("fault") == "slow"]
    first, second = places
    lines[first], lines[second] = lines[second], lines[first]
    (folder / "events.jsonl").write_text("\n" + "".join(line + "\n" for line in lines))
    says = rf"events\.jsonl: line {second + 2}: set of 'slow' .* clear of line {first + 2}"
    with pytest.raises(BadFileError, match=says):
        original.read(resealed(folder))


def test_a_run_without_an_end_is_refused(folder):
    (folder / manifest.FILE).unlink()
    with pytest.raises(BadFileError, match="nobody can tell what was played"):
        original.read(folder)


def test_another_version_is_refused(folder):
    said(folder, "topology.json", lambda one: one.update(version=2))
    with pytest.raises(BadFileError, match="topology: expected version 1, found 2"):
        original.read(folder)
    said(folder, "topology.json", lambda one: one.update(version=1))
    said(folder, "timeline.json", lambda one: one.update(version=9))
    with pytest.raises(BadFileError, match="timeline: expected version 1, found 9"):
        original.read(folder)


def test_streams_of_an_older_version_are_refused(folder):
    def older(facts):
        del facts["load"]["streams"][0]["asked_per_s"]

    said(folder, "metadata.json", older)
    with pytest.raises(BadFileError, match="too little to send the same load again"):
        original.read(folder)


def test_faults_that_are_kept_are_taken_from_there(folder):
    """They have their paths there, whatever the timeline has under that name."""
    other = spec.parse({"where": "node-0 -> node-3", "loss": "9%", "name": "slow"})
    fault = other.resolve(NODES, 1)
    events = [json.loads(one) for one in (folder / "events.jsonl").read_text().splitlines()]
    for one in events:
        if one.get("fault") == "slow":
            one["resolved"] = 4
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    line = json.dumps({"number": 4, **fault.as_json()})
    (folder / "faults.jsonl").write_text(line + "\n")
    found = original.read(resealed(folder)).timeline
    assert [one for one in found.faults if one.name == "slow"] == [fault]
    (folder / "faults.jsonl").write_text(line.replace("node-3", "node-2") + "\n")
    with pytest.raises(BadFileError, match=r"faults\.jsonl is not as it was"):
        original.read(folder)


def test_a_node_that_was_started_by_hand_is_remarked(folder):
    events = (folder / "events.jsonl").read_text()
    by_hand = NodeStarted(at_ns=T0 + 3 * SECOND, node="node-0")
    (folder / "events.jsonl").write_text(events + json.dumps(by_hand.as_json()) + "\n")
    [remark] = original.read(resealed(folder)).remarks
    assert remark.startswith("node-0, which had ended by itself, was started by hand at 3.0 s")


def test_what_the_system_did_by_itself_is_remarked(folder):
    """A node that no fault ended, in the run or before it."""
    events = (folder / "events.jsonl").read_text()
    ended = NodeEnded(at_ns=T0 + 5 * SECOND, node="node-1")
    (folder / "events.jsonl").write_text(events + json.dumps(ended.as_json()) + "\n")
    said(folder, "metadata.json", lambda one: one["nodes"][2].update(condition="stopped"))
    was_down, remark = original.read(folder).remarks
    assert was_down == "node-2 was stopped when the run began, by no fault of it: it runs again"
    assert remark == "node-1 ended by itself at 5.0 s: that is not played again"


def test_a_suites_folder_names_its_parts(tmp_path):
    (tmp_path / "suite.json").write_text(json.dumps({"parts": {"one": "../one/now"}}))
    with pytest.raises(BadFileError, match=r"is a suite's; expected one run: .*one/now"):
        original.find(tmp_path)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(BadFileError, match="expected a run folder"):
        original.find(tmp_path)
