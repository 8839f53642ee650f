"""A timeline is compiled once, and read back as it was, by later versions too."""

from __future__ import annotations

import json

import pytest

from harness.errors import BadFileError, HarnessError
from harness.history.plan import PhaseKind
from harness.scenario import files, timeline
from harness.scenario.timeline import Timeline

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
