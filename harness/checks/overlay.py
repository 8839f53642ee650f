"""What the overlay did with messages: how many links they passed compared with the shortest path,
and to how many nodes a source sent them itself. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from harness.checks import records
from harness.checks.metric import Chosen, Floats
from harness.history.history import History
from harness.operations.records import RecordKind


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


def stretch(history: History, chosen: Chosen) -> Floats:
    """Path stretch of chosen operations: links passed ÷ links of the shortest path. Needs `hops` of
    each.
    """
    sources, targets, hops = (history.column(name)[chosen] for name in ("source", "target", "hops"))
    values = []
    for source in np.unique(sources):
        shortest = distances(history.links, int(source))
        mine = sources == source
        values += [
            taken / shortest[int(to)]
            for to, taken in zip(targets[mine], hops[mine], strict=True)
            if shortest.get(int(to))
        ]
    return np.array(values, np.float64)


def first_forwards(
    history: History, ids: npt.NDArray[np.void], sources: npt.NDArray[np.int64]
) -> Floats:
    """For each broadcast the number of nodes that its source itself sent it to: what gossip calls
    the fanout.

    Counted at the receivers, whether it was news to them or a duplicate; a record's `peer` is the
    beginning of the wire id that it came from.
    """
    kinds = np.isin(history.journal["kind"], (RecordKind.RECEIVED, RecordKind.DUPLICATE))
    rows, heard = records.about(history.journal[kinds], ids)
    names = records.beginnings(history)
    mine = (heard["peer"] == names[sources[rows]]) & (heard["node"] != sources[rows])
    to_whom = np.unique(np.stack([rows[mine], heard["node"][mine]], axis=1), axis=0)
    return np.bincount(to_whom[:, 0], minlength=len(ids)).astype(np.float64)
