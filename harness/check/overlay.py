"""What the overlay did with messages: how far they went compared with the shortest way, and whom a source forwarded to. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from harness import history as h
from harness.history import History

Floats = npt.NDArray[np.float64]


def distances(links: frozenset[tuple[int, int]], source: int) -> Mapping[int, int]:
    """Least number of links from `source` to every node that can be reached (breadth first)."""
    neighbours: dict[int, list[int]] = {}
    for a, b in links:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    found, waiting = {source: 0}, deque([source])
    while waiting:
        at = waiting.popleft()
        for other in neighbours.get(at, ()):
            if other not in found:
                found[other] = found[at] + 1
                waiting.append(other)
    return found


def stretch(history: History, chosen: npt.NDArray[np.bool_]) -> Floats:
    """Path stretch of chosen operations: links passed ÷ links of the shortest path. Needs `hops` of each."""
    sources, targets, hops = (history.column(name)[chosen] for name in ("source", "target", "hops"))
    values = []
    for source in np.unique(sources):
        shortest = distances(history.links, int(source))
        mine = sources == source
        values += [taken / shortest[int(to)] for to, taken in zip(targets[mine], hops[mine], strict=True) if shortest.get(int(to))]
    return np.array(values, np.float64)


def first_forwards(received: list[tuple[int, h.Records]], sources: npt.NDArray[np.int64], wire_ids: tuple[bytes, ...]) -> Floats:
    """For each broadcast the number of nodes that had it first from its source itself: what gossip calls the fanout.

    `received` has the first reception of every node; a record's `peer` is the beginning of the id of who it came from.
    """
    beginnings = [int.from_bytes(wire_id[:8], "little") for wire_id in wire_ids]
    return np.array([
        np.count_nonzero(heard["peer"] == np.uint64(beginnings[source])) for (_, heard), source in zip(received, sources, strict=True)
    ], np.float64)
