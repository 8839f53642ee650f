"""The buckets: their error bound, their order, and merging without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats
from harness.load.histogram import Histogram

NANOSECONDS = st.integers(0, (1 << 63) - 1)


@given(NANOSECONDS)
def test_a_bucket_tells_its_values_within_the_promised_error(value):
    told = stats.value_of(stats.bucket_of(value))
    assert abs(told - value) <= value * stats.RELATIVE_ERROR_MAX
    assert 0 <= stats.bucket_of(value) < stats.BUCKETS


@given(NANOSECONDS, NANOSECONDS)
def test_buckets_keep_the_order_of_values(one, other):
    low, high = sorted((one, other))
    assert stats.bucket_of(low) <= stats.bucket_of(high)


@given(st.lists(NANOSECONDS, max_size=50))
def test_counting_an_array_agrees_with_counting_one_by_one(values):
    counts = np.zeros(stats.BUCKETS, np.int64)
    for value in values:
        counts[stats.bucket_of(value)] += 1
    assert (stats.counts_of(np.array(values, np.int64)) == counts).all()


def test_the_formula_of_the_protocol():
    assert [stats.bucket_of(value) for value in (0, 255, 256, 257, 258, 511, 512)] == [
        0,
        255,
        256,
        256,
        257,
        383,
        384,
    ]


@given(
    st.lists(st.integers(0, 10**11), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99, 0.999, 1.0]),
)
def test_a_percentile_of_buckets_is_near_that_of_the_values(values, quantile):
    array = np.array(values, np.int64)
    exact = sorted(values)[stats.rank_of(len(values), quantile) - 1]
    told = stats.percentile_of_counts(stats.counts_of(array), quantile)
    assert abs(told - exact) <= exact * stats.RELATIVE_ERROR_MAX


@given(
    st.lists(st.integers(-5, 10**11), max_size=100), st.lists(st.integers(0, 10**11), max_size=100)
)
def test_merging_over_the_wire_loses_nothing(one, other):
    whole, left, right = Histogram(), Histogram(), Histogram()
    whole.add(np.array(one + other, np.int64))
    left.add(np.array(one, np.int64))
    right.add(np.array(other, np.int64))
    left.merge(Histogram.from_wire(right.to_wire()))
    assert (left.counts == whole.counts).all()
    assert left.count == len(one) + len(other)


@given(
    st.lists(st.lists(st.integers(0, 10**11), max_size=200), min_size=1, max_size=8).filter(any),
    st.sampled_from([0.5, 0.9, 0.99, 0.999]),
)
def test_percentiles_merged_over_workers_are_exact_to_one_per_cent(workers, quantile):
    merged = Histogram()
    for values in workers:
        one = Histogram()
        one.add(np.array(values, np.int64))
        merged.merge(Histogram.from_wire(one.to_wire()))
    everything = sorted(value for values in workers for value in values)
    exact = everything[stats.rank_of(len(everything), quantile) - 1]
    told_us = merged.percentile_us(quantile)
    assert told_us is not None
    assert abs(told_us * 1e3 - exact) <= exact * 0.01


def test_the_nearest_rank_is_that_of_a_measured_value():
    ranks = [stats.rank_of(100, quantile) for quantile in (0, 0.01, 0.5, 0.99, 0.999, 1)]
    assert ranks == [1, 1, 50, 99, 100, 100]
    with pytest.raises(ValueError, match="0 to 1"):
        stats.rank_of(10, 99)


def test_nothing_measured_has_no_percentile():
    nothing = np.zeros(stats.BUCKETS, np.int64)
    assert stats.percentile_of_counts(nothing, 0.5) is None
    nothing[7] = 3
    assert stats.percentile_of_counts(nothing, 0.5) == 7
