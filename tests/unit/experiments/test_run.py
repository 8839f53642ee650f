"""One experiment: how long its load may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.run_folders import SCENARIO

from harness.errors import UnavailableError
from harness.experiments.run import LOAD_GRACE_S, allowed_s, check
from harness.faults.spec import parse
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream


def test_the_last_operation_may_take_its_timeout():
    """A put that may take ten minutes is waited for, and the load is not killed over it."""
    slow = Stream(operation=Operation.DHT_PUT, rate_per_s=1, timeout_ms=600_000)
    phases = (*SCENARIO.phases, Phase(name="slow", duration_s=1, streams=(slow,)))
    assert allowed_s(replace(SCENARIO, phases=phases)) == 600 + LOAD_GRACE_S


def test_a_fault_of_streams_that_the_system_does_not_dial_is_refused_beforehand():
    slow = parse({"where": "all", "toxic": "latency latency=50"})
    phases = (Phase(name="slow", duration_s=2, faults=(slow,)),)
    planned = replace(SCENARIO, phases=phases, budget=None)
    assert check(planned).faults
    other = replace(planned, topology=replace(planned.topology, adapter="opendht"))
    with pytest.raises(UnavailableError, match=r"fault slow-1: toxic: opendht: .* over TCP"):
        check(other)
