"""The table of what is played: also of what somebody did by hand, before it and until its end."""

from __future__ import annotations

from dataclasses import replace

from kit.run_folders import SCENARIO, TIMELINE

from harness.faults.fault import Verb
from harness.reports import text, timeline
from harness.scenario.timeline import PlannedChange


def test_a_fault_that_stood_before_and_stays():
    """It belongs to the first phase, and has no end."""
    [slow, gone] = TIMELINE.faults
    stood = (
        PlannedChange(at_s=-0.75, verb=Verb.SET, fault=slow),
        PlannedChange(at_s=23.0001, verb=Verb.SET, fault=gone),
    )
    told = text.to_text(timeline.laid_out(SCENARIO, replace(TIMELINE, changes=stood)))
    lines = [" ".join(line.split()) for line in told.splitlines()]
    first = lines.index("-0.75 s – fault 1, slow: delay 1 ms node-1 -> node-2 delay 1ms: 1 path")
    assert lines.index("0 s 4 s idle") < first < lines.index("4 s 16 s load")
    assert lines[-1] == "23 s – fault 2, gone: stopped node-3"


def test_a_fault_ends_where_another_takes_its_name():
    """Nobody took it back, and it is there no longer."""
    [slow, gone] = TIMELINE.faults
    again = replace(slow, words="again")
    changes = (
        PlannedChange(at_s=5, verb=Verb.SET, fault=slow),
        PlannedChange(at_s=7.5, verb=Verb.SET, fault=again),
        PlannedChange(at_s=9, verb=Verb.CLEAR, fault=again),
        PlannedChange(at_s=10, verb=Verb.CLEAR, fault=slow),
        PlannedChange(at_s=23, verb=Verb.SET, fault=gone),
    )
    told = text.to_text(timeline.laid_out(SCENARIO, replace(TIMELINE, changes=changes)))
    lines = [" ".join(line.split()) for line in told.splitlines()]
    begins = [line.partition(", ")[0] for line in lines if " fault " in line]
    assert begins == ["5 s 7.5 s fault 1", "7.5 s 9 s fault 2", "23 s – fault 3"]
