"""Buckets of the exposition: cumulative, true to the histogram's own, whatever was counted."""

from hypothesis import given
from hypothesis import strategies as st
from meshnode.histogram import Histograms, bucket_index
from meshnode.limits import Bucket
from meshnode.metrics import BOUNDS_NS, GAUGES, _bucket_end_ns, exposition

HEALTH = {**dict.fromkeys(GAUGES, 1), "counters": {"dropped_malformed": 3, "messages_in": 4}}


@given(st.integers(0, 1 << 50))
def test_a_bucket_ends_where_the_next_begins(value: int) -> None:
    index = bucket_index(value)
    assert value <= _bucket_end_ns(index)
    assert bucket_index(_bucket_end_ns(index)) == index
    assert bucket_index(_bucket_end_ns(index) + 1) == index + 1


@given(st.lists(st.integers(0, 10**10), max_size=50))
def test_counts_rise_to_the_total_and_none_is_told_too_quick(values: list[int]) -> None:
    histograms = Histograms()
    for value in values:
        histograms.add("create", value)
    rows = dict(
        line.rsplit(" ", 1)
        for line in exposition(HEALTH, histograms.to_map()).splitlines()
        if 'operation="create",le=' in line
    )
    counts = [int(count) for count in rows.values()]
    assert counts == sorted(counts)
    assert counts[-1] == len(values)
    for bound, count in zip(BOUNDS_NS, counts, strict=False):
        assert count <= sum(value <= bound for value in values)


def test_a_bucket_lets_its_rate_through_and_no_more() -> None:
    bucket = Bucket(100, 0)
    assert sum(bucket.take(0) for _ in range(500)) == 100
    assert sum(bucket.take(500_000_000) for _ in range(500)) == 50
    assert sum(bucket.take(60 * 10**9) for _ in range(500)) == 100
