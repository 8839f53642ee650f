from __future__ import annotations

import numpy as np
import pytest

from harness.experiments.soak import cost
from harness.experiments.soak.cost import Measured
from harness.scenario import files, shipped


def test_equal_windows_are_extrapolated_exactly():
    measured = Measured(raw=(100.0,) * 6, kept=(10.0,) * 6, window_s=600)
    found = cost.after(measured, 8 * 3600, 3600)
    assert found.value == found.low == found.high == 48 * 10 + 6 * 100


def test_windows_with_findings_keep_their_raw_values():
    measured = Measured(raw=(100.0,) * 4, kept=(10.0,) * 4, window_s=600, found_share=0.5)
    assert cost.after(measured, 8 * 3600, 3600).value == 48 * 10 + 6 * 100 + 21 * 100


def test_two_windows_have_no_interval():
    found = cost.after(Measured(raw=(1.0, 2.0), kept=(1.0, 1.0), window_s=600), 3600, 3600)
    assert (found.low, found.high) == (None, None)


def test_the_interval_holds_as_often_as_it_says():
    """Of 400 soaks whose windows were drawn, 8 h lie in it 95 times of 100."""
    chance, inside = np.random.default_rng(1), 0
    for _ in range(400):
        raw, kept = chance.normal(100, 10, 48), chance.normal(20, 5, 48)
        measured = Measured(raw=tuple(raw[:12]), kept=tuple(kept[:12]), window_s=600)
        found = cost.after(measured, 8 * 3600, 3600)
        further = chance.normal(20, 5, 48).sum() + chance.normal(100, 10, 6).sum()
        inside += found.low <= further <= found.high
    assert 0.91 <= inside / 400 <= 0.985


def test_what_is_planned_grows_with_raw_time_and_not_with_length_alone():
    first = files.read_scenario(shipped.find("soak-10", "scenarios"))
    eight = cost.planned_bytes(first, 48, 600, 3600)
    assert eight < 2 * cost.planned_bytes(first, 12, 600, 3600)
    assert cost.planned_bytes(first, 48, 600, 8 * 3600) > 4 * eight / 2
    assert cost.planned_bytes(first, 1, 600, 3600) == pytest.approx(
        cost.window_bytes(first) + cost.OF_SUMMARY + 10 * cost.OF_SUMMARY_NODE, rel=0.01
    )
