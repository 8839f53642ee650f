"""A case is read from a run folder, with what was done by hand, and its files can be played."""

from __future__ import annotations

import json

import pytest
from kit import run_folders
from kit.cases import row
from kit.histories import MS, SECOND
from kit.run_folders import T0, good

from harness.errors import BadFileError, UsageError
from harness.experiments import original, recorded_case
from harness.faults import spec
from harness.faults.churn import Churn
from harness.faults.fault import Condition, State
from harness.history import manifest
from harness.history.events import FaultChanged
from harness.scenario import files, shipped, timeline, workload, writer

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
    forget_faults(folder)
    (folder / "topology.toml").write_text(TOPOLOGY)
    built = files.read_topology(folder / "topology.toml").as_json() | {"adapter": "serf"}
    (folder / "topology.json").write_text(json.dumps(built))
    rows = [row("load"), row("load", "other"), row("load", "lost") | {"scenario": "another"}]
    (folder / "budget.toml").write_text(writer.text_of({"name": "b", "row": rows}))
    return folder


def read(folder, findings=frozenset({"fast"})):
    """The case of a folder as it is now."""
    manifest.write(folder)
    return recorded_case.case_of(original.read(folder), findings).documents()


def played(found, folder):
    """The timeline of a case's own file."""
    for file, text in found.written("x").items():
        (folder / file).write_text(text)
    return timeline.compile(files.read_scenario(folder / "x.toml"))


def test_a_run_is_read_with_what_failed_alone(run, tmp_path):
    found = read(run, {"fast", "lost"})
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
    found = read(run, {"no row of this name"})
    assert found.budget is None
    assert set(found.written("x")) == {"x.toml", "x.topology.toml"}


def test_a_topology_that_is_not_the_runs_is_refused(run):
    (run / "topology.toml").write_text(TOPOLOGY.replace("ring", "line"))
    with pytest.raises(BadFileError, match=r"topology\.toml: expected the topology of topology"):
        read(run)
    (run / "topology.toml").unlink()
    with pytest.raises(BadFileError, match="names no file"):
        read(run)


def test_the_shipped_topology_of_that_name_is_the_runs(run):
    """Of a folder of an earlier version, which kept none."""
    (run / "topology.toml").unlink()
    (run / "scenario.toml").write_text(SCENARIO.replace("../elsewhere/mine.toml", "cluster-10"))
    built = files.read_topology(shipped.find("cluster-10", "topologies"))
    (run / "topology.json").write_text(json.dumps(built.as_json()))
    assert len(read(run).nodes()) == 10


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("scenario.toml", "seed = 1"),
        ("scenario.toml", "phase = 5"),
        ("scenario.toml", "[[phase]]\nduration_s = 3"),
        ("scenario.toml", "[[phase]]\nname = 'load'\nduration_s = 3\nfault = 'all'"),
        ("budget.toml", "[[row]]\nmetric = 'rss'"),
        ("budget.toml", "row = [1]"),
    ],
)
def test_documents_of_no_run_are_refused(run, file, text):
    """A bundle may have whatever it likes in them."""
    (run / file).write_text(text)
    with pytest.raises(BadFileError, match=file.removesuffix(".toml")):
        read(run)


def test_a_topology_of_no_file_is_refused(run):
    """As of a fork with other nodes, which keeps no file that does not say what was played."""
    for name in ("topology.toml", "scenario.toml"):
        (run / name).unlink()
    with pytest.raises(UsageError, match="its topology is that of no file"):
        read(run)


def changed(folder, number, words, *moments):
    """Somebody sets a fault by hand, and clears it: (verb, second) each; others are forgotten."""
    fault = spec.parse(words).resolve(run_folders.SCENARIO.topology.nodes, 7)
    return happened(folder, number, fault, *moments)


def happened(folder, number, fault, *moments):
    """A fault is set, and cleared: (verb, second) each."""
    with (folder / "faults.jsonl").open("a") as file:
        file.write(json.dumps({"number": number, **fault.as_json()}) + "\n")
    events = [json.loads(one) for one in (folder / "events.jsonl").read_text().splitlines()]
    for verb, at_s in moments:
        at_ns = T0 + round(at_s * SECOND)
        one = FaultChanged(
            at_ns=at_ns + MS, verb=verb, fault=fault.name, set_ns=at_ns, resolved=number
        )
        events.append(one.as_json())
    events.sort(key=lambda one: one["at_ns"])
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    return fault


def forget_faults(folder):
    """Leave no fault in a folder, and none in its scenario."""
    events = [json.loads(one) for one in (folder / "events.jsonl").read_text().splitlines()]
    kept = [one for one in events if one["event"] not in ("fault", "node-condition")]
    (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept))
    (folder / "faults.jsonl").unlink(missing_ok=True)


PHASES = """
topology = "../elsewhere/mine.toml"
seed = 7
[[phase]]
name = "idle"
duration_s = 4
[[phase]]
name = "load"
duration_s = 12
[[phase.stream]]
operation = "private_message"
rate_per_s = 20
[[phase.fault]]
where = "node-1"
loss = "1%"
[[phase]]
name = "settle"
duration_s = 6
"""


@pytest.fixture
def by_hand(run):
    """A run of three phases, at 0, 4 and 16 s, with a planned fault in the second."""
    (run / "scenario.toml").write_text(PHASES)
    words = {"where": "node-1", "loss": "1%", "name": "load-1"}
    changed(run, 0, words, ("set", 4), ("clear", 16))
    return run


def test_what_was_set_by_hand_is_a_fault_like_the_others(by_hand, tmp_path):
    cut = {"cut": "isolate", "of": ["node-3"]}
    fault = changed(by_hand, 1, cut, ("set", 6.5), ("clear", 9))
    found = read(by_hand)
    assert [fault["name"] for _, _, fault in found.faults()] == ["load-1", "by-hand-1"]
    assert [one for _, _, one in found.faults()][1] == {
        **cut,
        "name": "by-hand-1",
        "at_s": 2.5,
        "for_s": 2.5,
    }
    again = played(found, tmp_path)
    [one] = [one for one in again.changes if one.fault.name == "by-hand-1"][:1]
    assert (one.at_s, one.fault.far) == (6.5, fault.far)


def test_one_that_was_there_over_phases_comes_again_in_each(by_hand):
    """It stood before the run, and nobody took it back."""
    changed(by_hand, 1, {"where": "node-0 -> node-2", "delay": "80ms"}, ("set", -1))
    spans = {
        phase["name"]: [one for one in phase.get("fault", ()) if one["name"] == "by-hand-1"]
        for phase in read(by_hand).phases
    }
    assert {name: len(some) for name, some in spans.items()} == {"idle": 1, "load": 1, "settle": 1}
    for [one] in spans.values():
        assert one["at_s"] == 0
        assert "for_s" not in one


def test_one_that_took_anothers_place_ends_it(by_hand):
    for number, delay in ((1, "5ms"), (2, "9ms")):
        words = {"where": "node-0 -> node-2", "delay": delay, "name": "slow"}
        changed(by_hand, number, words, ("set", 4 + number))
    slow = [one for _, _, one in read(by_hand).faults() if "delay" in one]
    assert [(one["delay"], one["at_s"], one.get("for_s")) for one in slow] == [
        ("5ms", 1, 1),
        ("9ms", 2, None),
        ("9ms", 0, None),
    ]


def test_one_of_a_planned_ones_name_is_another(by_hand):
    """It took the place of the planned one, which ended then; neither is forgotten."""
    changed(by_hand, 1, {"where": "node-2", "loss": "7%", "name": "load-1"}, ("set", 6))
    events = (by_hand / "events.jsonl").read_text().splitlines()
    kept = [one for one in events if '"clear"' not in one]
    (by_hand / "events.jsonl").write_text("\n".join(kept) + "\n")
    faults = [one for _, _, one in read(by_hand).faults()]
    told = [(one["name"], one["where"], one["loss"], one.get("for_s")) for one in faults]
    assert told == [
        ("load-1", "node-1", "1%", 2.0),
        ("by-hand-1", "node-2", "7%", None),
        ("by-hand-1", "node-2", "7%", None),
    ]


def test_a_planned_one_that_somebody_took_back_is_as_short(by_hand):
    forget_faults(by_hand)
    words = {"where": "node-1", "loss": "1%", "name": "load-1"}
    changed(by_hand, 0, words, ("set", 4), ("clear", 7.5), ("set", 9), ("clear", 10))
    faults = [one for _, _, one in read(by_hand).faults()]
    assert [(one["name"], one.get("at_s"), one["for_s"]) for one in faults] == [
        ("load-1", None, 3.5),
        ("by-hand-1", 5, 1),
    ]


def test_one_that_comes_and_goes_and_was_taken_back_ends_as_early(by_hand):
    """Each time that it was there is a part of one fault; nobody took back what its file plans."""
    text = PHASES.replace('loss = "1%"', 'loss = "1%"\nat_s = 1\nflap_s = 1\nfor_s = 8')
    (by_hand / "scenario.toml").write_text(text)
    words = {"where": "node-1", "loss": "1%", "name": "load-1"}
    flaps = [("set" if at_s % 2 else "clear", at_s) for at_s in range(5, 13)]
    for count, for_s in ((8, 8), (4, 3)):
        forget_faults(by_hand)
        changed(by_hand, 0, words, *flaps[:count])
        [fault] = [one for _, _, one in read(by_hand).faults()]
        assert (fault["at_s"], fault["flap_s"], fault["for_s"]) == (1, 1, for_s)


def test_one_that_ended_with_the_run_was_not_taken_back(by_hand):
    """Somebody ended the run before its phase was over."""
    text = PHASES.replace('loss = "1%"', 'loss = "1%"\nfor_s = 11')
    (by_hand / "scenario.toml").write_text(text)
    forget_faults(by_hand)
    events = [json.loads(one) for one in (by_hand / "events.jsonl").read_text().splitlines()]
    for one in events:
        if one["event"] in ("phases-over", "end"):  # which takes its faults back between the two
            one["at_ns"] = T0 + (10 if one["event"] == "phases-over" else 11) * SECOND
    kept = [json.dumps(one) for one in events if one.get("phase") != "settle"]
    (by_hand / "events.jsonl").write_text("\n".join(kept) + "\n")
    words = {"where": "node-1", "loss": "1%", "name": "load-1"}
    for clear_s, for_s in ((10.1, 11), (9, 5)):
        changed(by_hand, 0, words, ("set", 4), ("clear", clear_s))
        [fault] = [one for _, _, one in read(by_hand).faults()]
        assert fault["for_s"] == for_s
        forget_faults(by_hand)


def test_planned_ones_of_one_name_are_each_itself(by_hand):
    """As of a search before this one, in which one that stood over phases came again in each."""
    fault = '[[phase.fault]]\nname = "load-1"\nwhere = "node-1"\nloss = "1%"\nfor_s = 3\n'
    (by_hand / "scenario.toml").write_text(PHASES + fault)
    words = {"where": "node-1", "loss": "1%", "name": "load-1"}
    changed(by_hand, 0, words, ("set", 16), ("clear", 18))
    faults = [(phase["name"], one["name"]) for phase, _, one in read(by_hand).faults()]
    assert faults == [("load", "load-1"), ("settle", "load-1")]
    assert [one.get("for_s") for _, _, one in read(by_hand).faults()] == [None, 2]


def test_what_was_set_by_hand_has_a_name_of_its_own(by_hand):
    """Also where the scenario is what a search before this one has found."""
    text = PHASES.replace('where = "node-1"', 'name = "by-hand-1"\nwhere = "node-1"')
    (by_hand / "scenario.toml").write_text(text)
    changed(by_hand, 1, {"cut": "isolate", "of": ["node-3"]}, ("set", 6.5), ("clear", 9))
    names = [fault["name"] for _, _, fault in read(by_hand).faults()]
    assert sorted(names) == ["by-hand-1", "by-hand-2", "by-hand-3"]


def test_one_that_a_row_is_about_keeps_its_name(by_hand):
    """Of a replay all faults are like set by hand; a row under one of them would have none else."""
    rows = [row("load") | {"under": "halves"}]
    (by_hand / "budget.toml").write_text(writer.text_of({"name": "b", "row": rows}))
    changed(by_hand, 1, {"cut": "halves", "name": "halves"}, ("set", 6.5), ("clear", 9))
    assert [one["name"] for _, _, one in read(by_hand).faults()] == ["load-1", "halves"]


def test_a_scenario_that_is_not_as_it_was_is_refused(by_hand):
    manifest.write(by_hand)
    of = original.read(by_hand)
    (by_hand / "scenario.toml").write_text(PHASES.replace("1%", "2%"))
    with pytest.raises(BadFileError, match=r"scenario\.toml is not as it was"):
        recorded_case.case_of(of, frozenset({"fast"}))


def test_what_a_scenario_cannot_say_is_refused(by_hand):
    fault = changed(by_hand, 1, {"where": "node-0", "delay": "5ms"}, ("set", 6))
    line = json.dumps({"number": 1, **fault.as_json()})
    other = line.replace('"words": "node-0 delay 5ms"', '"words": "node-1 delay 5ms"')
    assert other != line
    text = (by_hand / "faults.jsonl").read_text()
    (by_hand / "faults.jsonl").write_text(text.replace(line, other))
    with pytest.raises(UsageError, match="its words would be other nodes or paths"):
        read(by_hand)


def test_a_session_without_a_file_is_what_was_played(by_hand, tmp_path):
    """Its phases, its streams, and every fault, which all were set by hand; so is a replay, whose
    load is in a file of its own.
    """
    (by_hand / workload.FILE).write_text("{}")
    of_replay = read(by_hand)
    (by_hand / workload.FILE).unlink()
    (by_hand / "scenario.toml").unlink()
    found = read(by_hand)
    assert found == of_replay
    again = played(found, tmp_path)
    assert [(one.name, one.begin_s) for one in again.phases] == [
        ("idle", 0),
        ("load", 4),
        ("settle", 16),
    ]
    planned = files.read_scenario(tmp_path / "x.toml")
    assert planned.seed == run_folders.SCENARIO.seed
    wanted = [phase.streams for phase in run_folders.SCENARIO.phases]
    assert [phase.streams for phase in planned.phases] == wanted
    [set_, _] = again.changes
    assert (set_.at_s, set_.fault.impairment.loss) == (4, 0.01)


@pytest.fixture
def replayed(by_hand):
    """The same run as a replay: what was played is in its load and its timeline alone."""
    (by_hand / workload.FILE).write_text("{}")
    return by_hand


def planned(folder, number, **words):
    """Say of a phase's plan what it was."""
    for name, of in (("timeline.json", "phases"), ("metadata.json", "plan")):
        found = json.loads((folder / name).read_text())
        found[of][number] |= words
        (folder / name).write_text(json.dumps(found))


def test_churn_of_a_replay_is_a_fault_of_each_node_that_was_away(replayed, tmp_path):
    """No scenario says the churn; what became of each of its nodes is there to be said."""
    words = {"rate_per_s": 0.4, "down_s": 2, "floor": 1, "name": "away"}
    churn = Churn(**words, where="node-2, node-3", how=Condition.CRASHED, state=State.WIPE)
    gone = churn.faults(run_folders.SCENARIO.topology.nodes)
    happened(replayed, 1, gone["node-2"], ("set", 5), ("clear", 7), ("set", 10), ("clear", 12))
    happened(replayed, 2, gone["node-3"], ("set", 6), ("clear", 8))
    found = read(replayed)
    away = [one for _, _, one in found.faults() if "condition" in one]
    says = {"condition": "crashed", "state": "wipe", "for_s": 2}
    assert away == [
        {"name": "by-hand-1", "where": "node-2", "at_s": 1, **says},
        {"name": "by-hand-2", "where": "node-3", "at_s": 2, **says},
        {"name": "by-hand-3", "where": "node-2", "at_s": 6, **says},
    ]
    again = [one.fault for one in played(found, tmp_path).changes if one.fault.nodes]
    assert {(one.nodes, one.condition, one.state) for one in again} == {
        ((node,), Condition.CRASHED, State.WIPE) for node in ("node-2", "node-3")
    }


UNTIL = {"kind": "converge", "until": "success of broadcast in the last second >= 99 %"}


def test_a_replay_keeps_the_condition_that_ends_a_phase(replayed, tmp_path):
    """It is what *converged* is judged by; the replay's phase was as long as its original's."""
    planned(replayed, 2, **UNTIL, at_most_s=40)
    found = read(replayed)
    [settle] = found.phases[2:]
    assert UNTIL.items() <= settle.items()
    assert (settle["at_most_s"], "duration_s" in settle) == (40, False)
    [again] = played(found, tmp_path).phases[2:]
    assert (again.until, again.at_most_s) == (UNTIL["until"], 40)


def test_a_fault_that_went_a_little_late_is_none_of_the_next_phase(replayed, tmp_path):
    """It went with the phase before: where a condition ends the next one, no fault can be in it."""
    planned(replayed, 2, **UNTIL, at_most_s=40)
    changed(replayed, 1, {"where": "node-2", "condition": "killed"}, ("set", 5), ("clear", 16.08))
    found = read(replayed)
    assert [(phase["name"], one["name"]) for phase, _, one in found.faults()] == [
        ("load", "by-hand-1"),
        ("load", "by-hand-2"),
    ]
    assert all("for_s" not in one for _, _, one in found.faults())
    assert played(found, tmp_path).phases[2].until == UNTIL["until"]
