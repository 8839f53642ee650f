"""What a phase asked for and could not be taken is told, with the reason; what nobody asked for in
the end is not.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.faults.fault import Condition
from harness.history.events import ProfileEnded
from harness.profiles.spec import ProfileSpec, Start
from harness.scenario.timeline import PlannedPhase
from harness.supervisor import profiles
from harness.supervisor.profiles import RunProfiles


def told(tmp_path, *, lasts_s=30.0, ends=False, **spec):
    """What a run's record says of one profile that its phase asks for."""
    events = []
    cluster = SimpleNamespace(
        places={"node-0": None},
        conditions={"node-0": Condition.PAUSED},
        runtime=SimpleNamespace(members=lambda _: [1]),
    )
    folder = SimpleNamespace(path=tmp_path, event=events.append)
    asked = ProfileSpec(who="node-0", **spec)
    phase = PlannedPhase(name="active", begin_s=0.0, end_s=lasts_s, profiles=(asked,))
    made = RunProfiles(cluster, folder, [phase], [])
    made.began("active")
    if not ends:
        made._threads[0].join()
    made.close()
    return events


@pytest.mark.py_spy
def test_a_node_that_cannot_be_profiled_now(tmp_path):
    [event] = told(tmp_path)
    assert isinstance(event, ProfileEnded)
    assert (event.who, event.tool, event.file) == ("node-0", "py-spy", "")
    assert event.error.startswith("node node-0 is paused")
    assert event.error.endswith("(asked for by phase active)")


def test_a_phase_that_is_nearly_over(tmp_path):
    [event] = told(tmp_path, lasts_s=0.5)
    assert "its phase had only 0." in event.error


def test_a_run_that_is_over_before_it_is_due(tmp_path):
    [event] = told(tmp_path, ends=True, at_s=20.0)
    assert "the run was over before it was due" in event.error


@pytest.mark.parametrize("row", ["descriptors", None])
def test_a_row_that_fails_is_named_and_none_is_nothing(tmp_path, monkeypatch, row):
    monkeypatch.setattr(profiles, "first_failure", lambda *_: row)
    events = told(tmp_path, lasts_s=0.5, start=Start.ROW_FAILS)
    said = [one.error.partition("(")[2] for one in events]
    assert said == ([] if row is None else ["asked for by phase active, as descriptors failed)"])
