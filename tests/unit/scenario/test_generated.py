"""Scenarios that nobody wrote: any phases, faults, faults of nodes, churn and overlaps of them
compile to a timeline that ends healthy.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from kit.scenarios import numbered, read, scenarios

from harness.experiments import run
from harness.faults.fault import (
    Fault,
    NetworkState,
    Verb,
    fold,
    fold_conditions,
    fold_limits,
)
from harness.scenario.timeline import Timeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generated")


@settings(max_examples=500, deadline=None)
@given(scenarios())
def test_any_scenario_compiles_to_a_timeline_that_ends_healthy(folder, document):
    """By names, as faults are taken back: one of the same name replaces the one before."""
    planned = read(folder, document)
    played = run.check(planned, imports=False)
    assert run.check(planned, imports=False) == played
    assert Timeline.from_json(json.loads(json.dumps(played.as_json()))) == played
    ends_s = {phase.begin_s: phase.end_s for phase in played.phases}
    standing: dict[str, Fault] = {}
    set_s: dict[int, float] = {}  # identity of a fault that was not cleared → when it was set
    for change in played.changes:
        fault, at_s = change.fault, change.at_s
        if change.verb is Verb.SET:
            assert id(fault) not in set_s
            set_s[id(fault)] = at_s
            standing[fault.name] = fault
        else:
            begun_s = max(begin_s for begin_s in ends_s if begin_s <= set_s[id(fault)])
            assert set_s.pop(id(fault)) <= at_s <= ends_s[begun_s]
            if standing.get(fault.name) is fault:
                del standing[fault.name]
    assert not set_s
    assert fold(standing.values()) == NetworkState()
    assert not fold_conditions(standing.values())
    assert not fold_limits(standing.values())
    times = [change.at_s for change in played.changes]
    assert times == sorted(times)
    asked = Counter(spec.words for phase in planned.phases for spec in phase.faults)
    assert asked <= Counter(fault.words for fault in played.faults)


def test_the_scenario_of_a_number_is_always_the_same():
    drawn = [numbered(number, scenarios()) for number in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
