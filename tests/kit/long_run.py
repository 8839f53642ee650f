"""The history of a long run of many nodes, made of columns: what a report must still carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from harness.history import history as h
from harness.history.history import History
from kit.histories import SECOND, history


def hour() -> History:
    """Of a thousand nodes, each sampled every second, with 360,000 operations."""
    nodes, seconds, rate = 1000, 3600, 100
    chance = np.random.default_rng(1)
    count = nodes * seconds
    at = np.repeat(np.arange(seconds), nodes) * SECOND + 3 * SECOND // 2
    node = np.tile(np.arange(nodes), seconds)
    columns = {name: np.zeros(count, np.int64) for name in h.SAMPLES.names}
    columns |= {"at_ns": at, "node": node}
    for name in ("rss_bytes", "fds", "threads", "connections"):
        columns[name] = chance.integers(10, 10**7, count)
    for name in ("cpu_ns", "bytes_in", "bytes_out"):
        gained = chance.integers(0, 10**6, (seconds, nodes)).cumsum(axis=0)
        columns[name] = gained.ravel()
    samples = pa.table({name: pa.array(columns[name]) for name in h.SAMPLES.names}).cast(h.SAMPLES)
    number = np.arange(seconds * rate)
    due = SECOND + number * (SECOND // rate)
    outcome = (chance.random(len(number)) < 0.01).astype(np.uint8)
    operations = pa.table(
        {
            "id": pa.array([int(one).to_bytes(16, "big") for one in number], pa.binary(16)),
            "operation": np.ones(len(number), np.uint8),
            "source": (number % nodes).astype(np.uint16),
            "target": ((number * 7 + 1) % nodes).astype(np.int32),
            "payload_bytes": np.full(len(number), 256, np.uint32),
            "intended_ns": due,
            "sent_ns": due + 1000,
            "done_ns": due + chance.integers(10**5, 10**8, len(number)),
            "outcome": outcome,
            "hops": np.ones(len(number), np.int16),
            "answered_by": np.full(len(number), -1, np.int32),
            "error": pa.array([f"error {one % 7}" for one in number]).dictionary_encode(),
        }
    ).cast(h.OPERATIONS)
    links = frozenset(
        (int(min(a, b)), int(max(a, b))) for a, b in chance.integers(0, nodes, (5000, 2)) if a != b
    )
    return replace(
        history(seconds=seconds),
        nodes=tuple(f"node-{index}" for index in range(nodes)),
        wire_ids=tuple(index.to_bytes(32, "little") for index in range(nodes)),
        operations=operations,
        samples=samples,
        links=links,
    )
