"""What the overlay did with messages: how many links they passed compared with the shortest path,
and to how many nodes a source sent them itself. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

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
    asked, row = np.unique(sources, return_inverse=True)
    shortest = np.zeros((len(asked), len(history.nodes)))
    for index, source in enumerate(asked):
        for node, links in distances(history.links, int(source)).items():
            shortest[index, node] = links
    least = np.where(targets < 0, 0.0, shortest[row, targets])
    values: Floats = hops[least > 0] / least[least > 0]
    return values


def first_forwards(history: History, chosen: Chosen) -> Floats:
    """For each chosen broadcast the number of nodes that its source itself sent it to: what gossip
    calls the fanout.

    Counted at the receivers, whether it was news to them or a duplicate; a record's `peer` is the
    beginning of the wire id that it came from.
    """
    nodes, names = len(history.nodes), records.beginnings(history)
    sources = history.column("source")[chosen]
    to_whom = np.zeros(len(sources) * nodes, np.bool_)
    for kind in (RecordKind.RECEIVED, RecordKind.DUPLICATE):
        rows, heard = records.about(history, kind, chosen)
        peer, source = history.journal["peer"][heard.places], sources[rows]
        mine = (peer == names[source]) & (heard.node != source)
        to_whom[rows[mine].astype(np.intp) * nodes + heard.node[mine]] = True
    count: Floats = to_whom.reshape(len(sources), nodes).sum(axis=1).astype(np.float64)
    return count
