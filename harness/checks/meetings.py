"""Records of one node that it met another one: each is of one operation, and names none. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.checks.metric import Chosen
from harness.history.history import History, Nanoseconds
from harness.operations.records import RecordKind

NEVER = -1  # no moment


def of(
    history: History,
    kind: RecordKind,
    chosen: Chosen,
    nodes: npt.NDArray[np.integer[Any]],
    names: Sequence[int],
) -> Nanoseconds:
    """A record of each operation at its node that names its source, made between its sending and
    its end, and none of another operation's; NEVER where there is none. Who ends first chooses
    first. `names`: how a record names each node.
    """
    made = _by_meeting(history, kind)
    source, sent, done = (history.column(name)[chosen] for name in ("source", "sent_ns", "done_ns"))
    found = np.full(len(nodes), NEVER, np.int64)
    turn = np.argsort(done, kind="stable")
    columns = (column[turn].tolist() for column in (nodes, source, sent, done))
    taken: dict[tuple[int, int], list[int]] = {}
    for index, node, asker, sent_ns, done_ns in zip(turn.tolist(), *columns, strict=True):
        who = (node, names[asker])
        times = made.get(who, [])
        free = taken.setdefault(who, list(range(len(times) + 1)))
        at = _next_free(free, bisect_left(times, sent_ns))
        if at < len(times) and times[at] <= done_ns:
            found[index] = times[at]
            free[at] = at + 1
    return found


def _by_meeting(history: History, kind: RecordKind) -> dict[tuple[int, int], list[int]]:
    """When the records of a kind were made, in order, by their node and whom they name."""
    of_kind = history.journal["kind"] == kind
    node, peer, at_ns = (history.journal[name][of_kind] for name in ("node", "peer", "at_ns"))
    order = np.lexsort((at_ns, peer, node))
    node, peer, at_ns = node[order], peer[order], at_ns[order]
    edges = np.flatnonzero((node[1:] != node[:-1]) | (peer[1:] != peer[:-1])) + 1
    begins = [0, *edges.tolist()][: len(order)]
    return {
        (int(node[begin]), int(peer[begin])): at_ns[begin:end].tolist()
        for begin, end in zip(begins, [*edges.tolist(), len(order)], strict=False)
    }


def _next_free(free: list[int], at: int) -> int:
    """The first place from `at` on that nobody took: each names itself, or one behind it."""
    end = at
    while free[end] != end:
        end = free[end]
    while free[at] != end:  # whoever comes after goes there at once
        free[at], at = end, free[at]
    return end
