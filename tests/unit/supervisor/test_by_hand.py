"""Which of a run's faults its timeline does not have, and when these stood."""

from __future__ import annotations

from harness.faults.fault import Change, Condition, Fault, Verb, cut_of
from harness.scenario.timeline import PlannedChange, Timeline
from harness.supervisor.by_hand import ByHand

S = 10**9


def fault(name, **more):
    return Fault(name=name, words=f"words of {name}", **more)


def test_what_somebody_set_is_told_and_what_was_planned_is_not():
    planned, slow = fault("planned"), fault("slow")
    crash = fault("crash", nodes=("a",), condition=Condition.CRASHED)
    change = PlannedChange(at_s=1, verb=Verb.SET, fault=planned)
    found = ByHand(Timeline(seed=1, phases=(), changes=(change,)))
    for at_s, verb, of in (
        (95, Verb.SET, slow),
        (101, Verb.SET, planned),
        (102, Verb.SET, fault(cut_of("crash"))),
        (102, Verb.SET, crash),
        (103, Verb.CLEAR, slow),
        (104, Verb.CLEAR, planned),
        (105, Verb.SET, slow),
    ):
        found.changed(Change(at_ns=at_s * S, took_ns=0, verb=verb, fault=of))
    said = [(one["name"], one["from_s"], one["to_s"]) for one in found.facts(100 * S)["by_hand"]]
    assert said == [("slow", 0, 3), ("crash", 2, None), ("slow", 5, None)]
