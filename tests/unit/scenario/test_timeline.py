"""A timeline is compiled once, with faults that come and go by the clock, and read back as it was,
by later versions too.
"""

from __future__ import annotations

import json

import pytest
from kit.regions import NAMES, NODES

from harness.errors import BadFileError, HarnessError
from harness.faults import spec
from harness.faults.fault import Condition, Fault, Verb
from harness.history.plan import PhaseKind
from harness.scenario import files, timeline
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.timeline import PlannedChange, Timeline
from harness.topology.topology import Topology

SCENARIO = """
topology = "cluster-10"
[[phase]]
name = "warm"
kind = "warm-up"
duration_s = 2
[[phase]]
name = "calm"
duration_s = 3
[[phase]]
name = "cut"
kind = "chaos"
duration_s = 4
[[phase.fault]]
cut = "halves"
at_s = 1
for_s = 2
"""


def compiled(folder, text=SCENARIO):
    file = folder / "s.toml"
    file.write_text(text)
    return timeline.compile(files.read_scenario(file))


def test_kinds_of_phases_are_in_the_timeline(tmp_path):
    made = compiled(tmp_path)
    kinds = [PhaseKind.WARM_UP, None, PhaseKind.CHAOS]
    assert [phase.kind for phase in made.phases] == kinds
    said = json.loads(json.dumps(made.as_json()))
    assert [phase["kind"] for phase in said["phases"]] == ["warm-up", None, "chaos"]
    assert Timeline.from_json(said) == made


def test_a_timeline_of_an_older_folder_has_no_kinds(tmp_path):
    said = json.loads(json.dumps(compiled(tmp_path).as_json()))
    for phase in said["phases"]:
        del phase["kind"]
    assert [phase.kind for phase in Timeline.from_json(said).phases] == [None] * 3


def test_a_kind_of_a_later_version_is_no_timeline(tmp_path):
    said = compiled(tmp_path).as_json()
    said["phases"][0]["kind"] = "nap"
    with pytest.raises(HarnessError, match="'nap' is not a valid PhaseKind"):
        Timeline.from_json(said)


def test_a_kind_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(BadFileError) as raised:
        compiled(tmp_path, SCENARIO.replace("warm-up", "warmup"))
    for word in ("phase[1].kind", "'warmup'", "warm-up, steady, chaos, converge"):
        assert word in str(raised.value)


def scenario(*phases):
    return Scenario(
        name="s", topology=Topology(name="t", nodes=tuple(NODES), links=frozenset()), phases=phases
    )


def phase(name, duration_s, *faults):
    return Phase(name=name, duration_s=duration_s, faults=tuple(map(spec.parse, faults)))


FLAPPING = {"cut": "halves", "at_s": 2, "for_s": 5, "flap_s": 2}

RAIN = {"where": "all", "loss": "1%", "name": "rain", "at_s": 1}

STOPPED = {"where": "region:us", "condition": "stopped", "for_s": 3}


def test_faults_come_go_and_flap_by_the_clock():
    played = timeline.compile(scenario(phase("a", 10.0, FLAPPING), phase("b", 5.0, RAIN, STOPPED)))
    assert [(one.at_s, one.verb, one.fault.name) for one in played.changes] == [
        (2.0, "set", "a-1"),
        (4.0, "clear", "a-1"),
        (6.0, "set", "a-1"),
        (7.0, "clear", "a-1"),
        (10.0, "set", "b-2"),
        (11.0, "set", "rain"),
        (13.0, "clear", "b-2"),
        (15.0, "clear", "rain"),
    ]
    assert played.changes[4].fault.nodes == tuple(NAMES[4:])
    assert played.changes[4].fault.condition is Condition.STOPPED


def test_a_timeline_is_the_same_after_json():
    many = ("isolate", "majority-ring", "minority", "halves", "by-region")
    cuts = [{"cut": name, "of": ["node-2"] if name == "isolate" else []} for name in many]
    toxic = {"where": "node-1 -> node-2", "toxic": ["latency latency=5", "slicer"], "up": None}
    node = {"where": "node-1", "rate": "10mbit", "delay": "5ms", "jitter": "1ms"}
    played = timeline.compile(
        scenario(phase("a", 10.0, *cuts, toxic, node, FLAPPING), phase("b", None, RAIN, STOPPED))
    )
    again = timeline.Timeline.from_json(json.loads(json.dumps(played.as_json())))
    assert again == played
    assert [change.fault.name for change in again.changes] == [
        change.fault.name for change in played.changes
    ]


def test_of_two_faults_of_one_name_both_are_the_timelines():
    """Only the last was held against what the kernel can do."""
    wet, torn = ({"where": "all", "loss": "1%", "name": "f"}, {"cut": "halves", "name": "f"})
    played = timeline.compile(scenario(phase("a", 10.0, wet), phase("b", 10.0, torn)))
    assert [fault.does for fault in played.faults] == ["loss 1 %", "cut"]
    assert [one["fault"] for one in played.as_json()["changes"]] == [0, 0, 1, 1]


@pytest.mark.parametrize("broken", [{}, {"version": 2}, {"version": 1, "seed": 1, "phases": [{}]}])
def test_what_is_no_timeline_is_refused(broken):
    with pytest.raises(HarnessError, match="timeline"):
        timeline.Timeline.from_json(broken)


def test_of_one_name_one_fault_is_there_at_a_time():
    """As it is played: the next one ends it, and it does not come again while that one is there."""
    flapping, other, alone = Fault(name="x"), Fault(name="x"), Fault(name="y")
    moments = (
        (0, Verb.SET, flapping),
        (1, Verb.SET, alone),
        (2, Verb.CLEAR, flapping),
        (4, Verb.SET, flapping),
        (5, Verb.SET, other),
        (6, Verb.CLEAR, flapping),  # which is there no longer
        (8, Verb.SET, flapping),  # another has its name
        (9, Verb.CLEAR, other),
        (10, Verb.CLEAR, flapping),
        (12, Verb.SET, flapping),
    )
    changes = [PlannedChange(at_s=at_s, verb=verb, fault=fault) for at_s, verb, fault in moments]
    found = [(id(one.fault), one.from_s, one.until_s) for one in timeline.stands(changes)]
    assert found == [
        (id(flapping), 0, 2),
        (id(flapping), 4, 5),
        (id(other), 5, 9),
        (id(alone), 1, None),
        (id(flapping), 12, None),
    ]
