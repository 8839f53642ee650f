"""The mathematics of latencies: log-linear buckets and nearest-rank percentiles. Pure; numpy only.

The buckets are those of the reference node (docker/meshnode/PROTOCOL.md, section 4): 128
sub-buckets an octave. The middle of a bucket stands for its values, so a value is at most 1/256
(0.4 %) away from what was measured. Counts of the same buckets are merged by addition, over
workers, nodes and seconds, and nothing is lost by it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SUB_BUCKET_BITS = 7  # 128 sub-buckets an octave
EXACT_BELOW = 2 << SUB_BUCKET_BITS  # values below 256 have a bucket of their own
BUCKETS = (55 << SUB_BUCKET_BITS) + EXACT_BELOW  # holds every value of an int64
RELATIVE_ERROR_MAX = 1 / EXACT_BELOW

Integers = NDArray[np.int64]


def bucket_of(value: int) -> int:
    """Return the index of the bucket that holds `value` (an integer ≥ 0; below 0 counts as 0)."""
    value = max(value, 0)
    if value < EXACT_BELOW:
        return value
    octave = value.bit_length() - 8
    return (octave << SUB_BUCKET_BITS) + (value >> octave)


def ends_of(bucket: int) -> tuple[int, int]:
    """Return the least and the greatest value of a bucket, in the unit of what went in."""
    if bucket < EXACT_BELOW:
        return bucket, bucket
    octave = (bucket >> SUB_BUCKET_BITS) - 1
    low = (bucket - (octave << SUB_BUCKET_BITS)) << octave
    return low, low + (1 << octave) - 1


def value_of(bucket: int) -> float:
    """Return the middle of a bucket, in the unit of the values that went in."""
    low, high = ends_of(bucket)
    return low + (high - low) / 2


def counts_of(values: Integers) -> Integers:
    """Count how many of `values` (int64, any shape) are in each bucket: int64 of length BUCKETS."""
    values = np.maximum(values, 0)
    exponent = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    # Above 2**53 a float may round up into the next octave; the shift then shows no leading bit,
    # and is one too far.
    octave = np.maximum(exponent - 8, 0)
    octave -= (octave > 0) & ((values >> octave) < EXACT_BELOW >> 1)
    return np.bincount((octave << SUB_BUCKET_BITS) + (values >> octave), minlength=BUCKETS)


VALUES = np.array([value_of(bucket) for bucket in range(BUCKETS)])


def percentile_of_counts(counts: Integers, quantile: float) -> float | None:
    """Return the percentile of counted buckets, by nearest rank: no interpolation, the bucket of a
    value that was measured. None where nothing was counted.
    """
    cumulative = np.cumsum(counts)
    total = int(cumulative[-1])
    if not total:
        return None
    return float(VALUES[np.searchsorted(cumulative, rank_of(total, quantile))])


def rank_of(count: int, quantile: float) -> int:
    """Return the 1-based rank of a quantile (0 to 1) among `count` sorted values.

    It is ceil(quantile · count), at least 1. Raises ValueError for a quantile outside of 0 to 1.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile: expected 0 to 1, found {quantile}")
    # 0.99 · 100 is 99.00000000000001 in binary: without the margin its rank would be 100.
    return min(max(math.ceil(quantile * count - 1e-9 * count), 1), count)
