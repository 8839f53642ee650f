"""Sliding stretches, against one stretch after the other."""

from __future__ import annotations

import numpy as np

from harness.checks import sliding


def test_each_moment_has_the_stretch_that_says_what_is_in_it():
    chance = np.random.default_rng(1)
    due = np.sort(chance.integers(0, 100, 30))
    values = chance.random(30)
    found = sliding.over(due, 7, 10, 90)
    assert found.begins_ns[0] == 10
    for begin in range(10, 90 - 7 + 1):
        place = np.searchsorted(found.begins_ns, begin, "right") - 1
        within = (due >= begin) & (due < begin + 7)
        assert found.counts[place] == within.sum()
        assert np.isclose(found.sums(values)[place], values[within].sum())


def test_where_none_fits_there_is_none():
    assert not len(sliding.over(np.array([1, 2]), 7, 10, 16).begins_ns)
