"""Whether and by how much rows changed: exact cases, and how often both are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.history import regression
from harness.history.regression import Values


def drawn(seed: int, rows: int, base: int, head: int, spread: float, factor: float = 1.0):
    """Log-normal rows that share a part of their noise, as those of one run do."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, spread, (rows, base + head)) + rng.normal(0, spread, base + head)
    values = 10 * np.exp(noise)
    values[:, base:] *= factor
    return [Values(base=tuple(one[:base]), head=tuple(one[base:])) for one in values]


@pytest.mark.parametrize(("base", "head", "deals"), [(5, 5, 252), (4, 6, 210), (2, 6, 28)])
def test_sides_that_do_not_overlap_reach_the_least_level(base, head, deals):
    values = Values(base=tuple(range(1, base + 1)), head=tuple(range(100, 100 + head)))
    [found] = regression.levels([values])
    assert found == pytest.approx(regression.least(base, head))
    assert found == pytest.approx((2 if base == head else 1) / deals)


def test_five_runs_a_side_can_show_a_change_at_one_percent():
    assert regression.runs_wanted(0.01) == 5
    assert regression.least(4, 4) > 0.01 >= regression.least(5, 5)


def test_a_row_that_is_the_same_in_all_runs_has_not_changed():
    rows = [Values(base=(7.0,) * 5, head=(7.0,) * 5), Values(base=(1e-3,) * 5, head=(2e-3,) * 5)]
    assert regression.levels(rows) == [1.0, pytest.approx(2 / 252)]
    assert regression.change(rows[0]) == regression.Change(
        base=pytest.approx(7.0), head=pytest.approx(7.0), ratio=1.0, low=1.0, high=1.0
    )


def test_the_level_is_of_all_rows_together():
    """A row that seems to have changed by itself has not among two hundred that vary as it does."""
    rows = drawn(3, 200, 6, 6, 0.1)
    alone = [regression.levels([row])[0] for row in rows]
    chosen = int(np.argmin(alone))
    assert alone[chosen] < 0.05 < regression.levels(rows)[chosen]


def test_rows_that_did_not_change_do_not_hide_one_that_did():
    rows = drawn(1, 40, 6, 6, 0.05)
    changed = drawn(2, 1, 6, 6, 0.01, 1.25)[0]
    assert regression.levels([*rows, changed])[-1] <= 0.01
    assert min(regression.levels([*rows, changed])[:-1]) > 0.01


@pytest.mark.parametrize(("base", "head"), [(5, 5), (4, 9)])
def test_the_false_alarm_rate_is_kept(base, head):
    """Of 400 comparisons without a change at most about 5 % say one at that level: 20 on average,
    and 38 or more in one of ten thousand such counts.
    """
    seeds = range(400)
    alarms = sum(min(regression.levels(drawn(s, 8, base, head, 0.2))) <= 0.05 for s in seeds)
    assert 0 < alarms < 38


def test_more_deals_than_can_be_looked_at_are_drawn():
    rows = drawn(4, 2, 12, 12, 0.05, 1.25)
    assert math.comb(24, 12) > regression.DEALS_MOST
    assert regression.levels(rows) == [1 / regression.DEALS_MOST] * 2
    assert regression.levels(rows) == regression.levels(rows)


def test_of_very_many_runs_fewer_deals_are_looked_at():
    rows = drawn(4, 2, 1500, 1500, 0.05, 1.25)
    assert regression.levels(rows) == [1 / regression.DEALS_LEAST] * 2


def test_the_interval_holds_the_truth():
    """In 95 of 100 at five runs a side, which a plain bootstrap of so few is far from."""
    inside = 0
    for seed in range(300):
        found = regression.change(drawn(seed, 1, 5, 5, 0.1, 1.2)[0])
        inside += found.low <= 1.2 <= found.high
        assert found.low <= found.ratio <= found.high
    assert 270 < inside < 299


def test_the_centre_is_the_median_of_the_means_of_pairs():
    """On the logarithmic scale where it can be: 1, 10, 100 and their means √10, 10, √1000."""
    found = regression.change(Values(base=(1.0, 10.0, 100.0), head=(1.0, 100.0, 1.0)))
    assert (found.base, found.head) == (pytest.approx(10), pytest.approx(10**0.5))
    found = regression.change(Values(base=(0.0, 2.0, 4.0), head=(3.0, 3.0, 3.0)))
    assert (found.base, found.head, found.ratio) == (2.0, 3.0, 1.5)


def test_a_run_that_something_else_slowed_neither_hides_nor_makes_a_change():
    steady, slow = (10.0, 10.1, 9.9, 10.2, 9.8, 10.0), (12.4, 12.6, 12.5, 12.3, 12.7)
    found = regression.change(Values(base=steady, head=(*slow, 130.0)))
    assert found.ratio == pytest.approx(1.25, abs=0.02)
    assert regression.levels([Values(base=steady, head=(*slow, 130.0))])[0] <= 0.01
    found = regression.change(Values(base=steady, head=(*steady[:5], 130.0)))
    assert found.ratio == pytest.approx(1, abs=0.02)
    assert regression.levels([Values(base=steady, head=(*steady[:5], 130.0))])[0] > 0.3


def test_of_many_runs_the_centre_is_near_the_same():
    few = drawn(1, 1, regression.PAIRED_MOST, 10, 0.1)[0].base
    more = (*few, 10.0)
    both = [regression.change(Values(base=base, head=(10.0, 10.0))).base for base in (few, more)]
    assert both[0] == pytest.approx(both[1], rel=0.05)


@pytest.mark.parametrize(("head", "ratio"), [((0.0, 0.0), 1.0), ((0.0, 1.0), math.nan)])
def test_of_a_base_of_0_there_is_no_ratio_but_of_0(head, ratio):
    found = regression.change(Values(base=(0.0, 0.0), head=head))
    assert found.ratio == pytest.approx(ratio, nan_ok=True)
    assert math.isnan(found.low) == math.isnan(ratio)


def test_single_runs_have_the_interval_of_their_parts():
    low, high = regression.within([1.0, 1.1, 0.9], [2.0, 2.2, 1.8])
    assert low == pytest.approx(1.8 / 1.1, abs=0.01)
    assert high == pytest.approx(2.2 / 0.9, abs=0.01)


# Tables: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
@pytest.mark.parametrize(
    ("confidence", "freedom", "quantile"),
    [(0.95, 4, 2.776), (0.95, 8, 2.306), (0.99, 4, 4.604), (0.99, 10, 3.169), (0.95, 100, 1.984)],
)
def test_students_t(confidence, freedom, quantile):
    assert regression.student(confidence, freedom) == pytest.approx(quantile, rel=0.005)
