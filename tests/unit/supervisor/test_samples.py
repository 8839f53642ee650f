"""When samples are taken: between the whole seconds, on which phases, faults and bursts begin."""

from __future__ import annotations

import math

import pytest

from harness.supervisor.samples import next_due_s

T0_S = 1000.25


@pytest.mark.parametrize(
    ("due_s", "now_s", "after_s"),
    [
        (-math.inf, -1.2, -1.5),  # the first one is taken at once, before the first phase
        (-1.5, -1.19, -0.5),
        (0.5, 0.51, 1.5),
        (0.5, 1.49, 1.5),
        (0.5, 1.7, 1.5),  # a pass that took long: one at once, and then as ever
        (0.5, 4.1, 3.5),
        (3.5, 4.2, 4.5),
    ],
)
def test_half_a_second_off_the_whole_ones(due_s, now_s, after_s):
    found = next_due_s(T0_S + due_s, T0_S + now_s, T0_S)
    assert found == pytest.approx(T0_S + after_s, abs=1e-6)
