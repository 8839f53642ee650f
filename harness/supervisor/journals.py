"""Journals and histograms of all nodes of a run: begun, ended and fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from harness.errors import HarnessError, UnavailableError
from harness.history.folder import RunFolder
from harness.systems.adapter import Endpoint, NodeAdapter

SNAPSHOT_THREADS = 8


def histograms(
    adapter: NodeAdapter,
    endpoints: Sequence[tuple[int, Endpoint]],
    folder: RunFolder,
    phase: str | None,
) -> None:
    """Write the cumulative histograms and the gauges of all nodes.

    `phase` is the one that just ended. A node that is down is left out.
    """

    def one(entry: tuple[int, Endpoint]) -> None:
        index, endpoint = entry
        with suppress(UnavailableError):
            counts, health = adapter.administer(endpoint).counted()
            folder.append_line(
                "histograms.jsonl",
                {
                    "phase": phase,
                    "node": index,
                    "histograms": counts,
                    "gauges": _numbers(health),
                },
            )

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="snapshot") as pool:
        for done in pool.map(one, endpoints):
            assert done is None


def _numbers(health: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in a node's health, its counters among them."""
    found = {**health, **health.get("counters", {})}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def begin_journals(
    adapter: NodeAdapter, endpoints: Sequence[Endpoint], folder: RunFolder, *, early: bool = False
) -> list[int]:
    """Have every node journal into the run folder; with `early` also what it saw since it started.

    Returns since when each one's journal has all that there was (CLOCK_MONOTONIC ns; 0: since now).
    Raises HarnessError naming a node that does not.
    """

    def one(endpoint: Endpoint) -> int:
        descriptor = folder.journal(endpoint.node)
        try:
            return adapter.administer(endpoint).begin(descriptor, early=early)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="journals") as pool:
        return list(pool.map(one, endpoints))


def end_journals(adapter: NodeAdapter, endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """Close every node's journal.

    Returns a sentence for each node that did not close it, or whose journal has a gap.
    """

    def one(endpoint: Endpoint) -> str | None:
        try:
            adapter.administer(endpoint).end()
        except HarnessError as error:
            return f"node {endpoint.node} did not close its journal: {error}"
        return None

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="journals") as pool:
        said = zip(endpoints, pool.map(one, endpoints), strict=True)
        return {endpoint.node: sentence for endpoint, sentence in said if sentence is not None}
