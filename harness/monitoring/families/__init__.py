"""Families of metrics, one module a part of what was seen; each makes those of its own."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from harness.monitoring.families import faults, host, load, nodes, run, verdict
from harness.monitoring.families.family import value
from harness.monitoring.seen import Seen

PARTS = (nodes, run, faults, load, verdict, host)
# How many series there are at most beside six a node. A test counts them.
SERIES_MOST = 1_900
SERIES_A_NODE = 6


def make(seen: Seen) -> Iterator[Metric]:
    """All families that have a sample."""
    for part in PARTS:
        for family in part.make(seen):
            if family.samples:
                yield family
    yield value("harness_look_seconds", "How long it took to look at the cluster.", seen.took_s)
