"""A scenario's profiles: read, planned, kept in the timeline; and what is refused."""

from __future__ import annotations

import pytest

from harness.errors import BadFileError
from harness.profiles.spec import ProfileSpec, Start
from harness.scenario import files, timeline
from harness.scenario.timeline import Timeline

SCENARIO = """
topology = "cluster-10"
[[phase]]
name = "active"
duration_s = 20
[[phase.stream]]
operation = "private_message"
rate_per_s = 10
[[phase.profile]]
who = "node-3"
with = "perf"
at_s = 5
for_s = 10
[[phase.profile]]
who = "worker"
start = "row-fails"
"""


def read(folder, text=SCENARIO):
    (folder / "s.toml").write_text(text)
    return files.read_scenario(folder / "s.toml")


def test_they_are_read_and_planned(tmp_path):
    found = (
        ProfileSpec(who="node-3", tool="perf", at_s=5.0, for_s=10.0),
        ProfileSpec(who="worker", tool="py-spy", start=Start.ROW_FAILS),
    )
    planned = timeline.compile(read(tmp_path))
    assert planned.phases[0].profiles == found
    assert Timeline.from_json(planned.as_json()) == planned


def test_a_timeline_of_an_older_version_has_none(tmp_path):
    said = timeline.compile(read(tmp_path)).as_json()
    for phase in said["phases"]:
        del phase["profiles"]
    assert Timeline.from_json(said).phases[0].profiles == ()


@pytest.mark.parametrize(
    ("was", "is_", "says"),
    [
        ('who = "node-3"', 'who = "nod-3"', "there is no node 'nod-3'; did you mean 'node-3'?"),
        ('who = "node-3"', "", "profile[1].who: expected text, found nothing"),
        ('with = "perf"', 'with = "prf"', "profile[1].with: expected one of"),
        ('with = "perf"', 'with = "tasks"', "expected gateway; found node-3"),
        ("at_s = 5", "at_s = 15", "phase active: profile of node-3: from 15 to 25 s"),
        ("for_s = 10", "for_s = 0", "for_s: expected 1 to"),
        ('start = "row-fails"', 'start = "fail"', "profile[2].start: expected one of"),
        ('start = "row-fails"', 'when = "fail"', "profile[2].when: unknown key"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, was, is_, says):
    assert was in SCENARIO
    with pytest.raises(BadFileError) as raised:
        read(tmp_path, SCENARIO.replace(was, is_))
    assert says in str(raised.value)
    assert str(tmp_path / "s.toml") in str(raised.value) or "phase active" in str(raised.value)


def test_a_phase_that_a_condition_ends_has_none(tmp_path):
    until = 'kind = "converge"\nuntil = "all nodes ready"\nat_most_s = 20'
    with pytest.raises(BadFileError, match="and no profile"):
        read(tmp_path, SCENARIO.replace("duration_s = 20", until))
