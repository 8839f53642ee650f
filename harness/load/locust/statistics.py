"""Feeds Locust's own statistics in bulk, once a second, so that its UI, CSV, HTML and console show
this load.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from locust import stats as locust_stats

from harness import stats
from harness.load.locust.precision import bucket
from harness.load.record import DONE_NS, ERROR, INTENDED_NS, NO_ERROR, OUTCOME, PAYLOAD_BYTES
from harness.operations import Operation, Outcome
from harness.stats import Integers

TYPE = "P2P"
_KEYS_MS = [bucket(value / 1e6) for value in stats.VALUES]


def wall_s(at_ns: int) -> float:
    """A moment of CLOCK_MONOTONIC as Locust's statistics know it, in seconds since the epoch."""
    return time.time() - (time.monotonic_ns() - at_ns) / 1e9


def feed(
    statistics: Any,
    operation: Operation,
    rows: Integers,
    errors: list[str],
    *,
    since_s: float,
    until_s: float,
) -> None:
    """Add ended operations (rows as gathered by Record) to a Locust RequestStats.

    Response times are done − intended, in ms, of what ended OK; what failed counts as a request
    without a time. The load lasts from `since_s` to `until_s`, and so do its rates: what ends later
    counts in its last second.
    """
    now_s = max(min(time.time(), until_s), since_s)
    statistics.total.start_time = since_s
    response_ns = (rows[:, DONE_NS] - rows[:, INTENDED_NS])[rows[:, OUTCOME] == Outcome.OK]
    entry = locust_stats.StatsEntry(statistics, operation.word, TYPE)
    entry.start_time = since_s
    entry.last_request_timestamp = now_s
    entry.num_requests = len(rows)
    entry.num_none_requests = len(rows) - len(response_ns)
    entry.num_reqs_per_sec = {int(now_s): len(rows)}
    entry.num_failures = entry.num_none_requests
    entry.total_content_length = int(rows[:, PAYLOAD_BYTES].sum())
    if entry.num_failures:
        entry.num_fail_per_sec = {int(now_s): entry.num_failures}
        _feed_errors(statistics, operation, rows, errors, now_s)
    if len(response_ns):
        entry.total_response_time = float(response_ns.sum()) / 1e6
        entry.min_response_time = float(response_ns.min()) / 1e6
        entry.max_response_time = float(response_ns.max()) / 1e6
        counts = stats.counts_of(response_ns)
        for occupied in np.nonzero(counts)[0]:
            key = _KEYS_MS[occupied]
            entry.response_times[key] = entry.response_times.get(key, 0) + int(counts[occupied])
    statistics.entries[operation.word, TYPE].extend(entry)
    statistics.total.extend(entry)


def _feed_errors(
    statistics: Any, operation: Operation, rows: Integers, errors: list[str], now_s: float
) -> None:
    failed = rows[rows[:, OUTCOME] != Outcome.OK]
    for outcome in (Outcome.FAILED, Outcome.UNKNOWN):
        codes, counts = np.unique(
            failed[failed[:, OUTCOME] == outcome][:, ERROR], return_counts=True
        )
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            text = f"{outcome.name}: {'no reason given' if code == NO_ERROR else errors[code]}"
            key = locust_stats.StatsError.create_key(TYPE, operation.word, text)
            error = statistics.errors.setdefault(
                key, locust_stats.StatsError(TYPE, operation.word, text)
            )
            error.occurrences += count
            error.first_seen = error.first_seen or now_s
            error.last_seen = now_s
