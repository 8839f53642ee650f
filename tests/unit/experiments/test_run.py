"""One experiment: how long its load may take."""

from __future__ import annotations

from dataclasses import replace

from kit.run_folders import SCENARIO

from harness.experiments.run import LOAD_GRACE_S, allowed_s
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream


def test_the_last_operation_may_take_its_timeout():
    """A put that may take ten minutes is waited for, and the load is not killed over it."""
    slow = Stream(operation=Operation.DHT_PUT, rate_per_s=1, timeout_ms=600_000)
    phases = (*SCENARIO.phases, Phase(name="slow", duration_s=1, streams=(slow,)))
    assert allowed_s(replace(SCENARIO, phases=phases)) == 600 + LOAD_GRACE_S
