"""The load of the run so far, by operation."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from harness.monitoring.families.family import counter, gauge, times
from harness.monitoring.seen import Seen

OF_ENDED = "from its record, written once a second"


def make(seen: Seen) -> Iterator[Metric]:
    """The families of the load."""
    counts = dict(sorted(seen.counts.items()))
    yield counter(
        "harness_load_operations",
        f"Operations that have ended, by how ({OF_ENDED}).",
        ("operation", "outcome"),
        [
            ((word, outcome.name.lower()), float(number))
            for word, count in counts.items()
            for outcome, number in count.outcomes.items()
        ],
    )
    yield counter(
        "harness_load_operations_sent",
        "Operations that have ended and were sent; the others could not be.",
        ("operation",),
        [((word,), float(count.sent)) for word, count in counts.items()],
    )
    yield times(
        "harness_load_response_seconds",
        "From the intended send to the end, of operations that ended well.",
        "operation",
        {word: count.response for word, count in counts.items()},
    )
    yield times(
        "harness_load_lag_seconds",
        "From the intended send to the send: how late the generator was.",
        "operation",
        {word: count.lag for word, count in counts.items()},
    )
    waiting = (seen.look or {}).get("waiting", {})
    yield gauge(
        "harness_load_operations_in_flight",
        "Operations that were due and have no end in the record, as of the newest look.",
        ("operation",),
        [((word,), float(number)) for word, number in sorted(waiting.items())],
    )
