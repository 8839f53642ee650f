"""Ids as pairs of numbers, and the one way in which some are found among others: by their last 8
bytes, which nearly always differ, and believed by their first 8. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.void]
Halves = npt.NDArray[np.uint64]
Places = npt.NDArray[np.signedinteger[Any]]  # positions, of half the width where that is enough
NOWHERE = -1
PAIR = np.dtype([("first", "<u8"), ("last", "<u8")])
AT_ONCE = 1 << 17  # ids that are looked up together: few enough for the CPU's caches


def halves(ids: Ids) -> tuple[Halves, Halves]:
    """The first and the last 8 bytes of each id; nothing is copied."""
    pairs = ids.view(PAIR)
    return pairs["first"], pairs["last"]


def width_of(count: int) -> type[np.signedinteger[Any]]:
    """The type of positions among so many things: of half numpy's own width where they fit."""
    return np.int32 if count < 1 << 31 else np.int64


@dataclass(frozen=True, slots=True)
class Index:
    """Some ids, to be found by others.

    `last` are the last halves in order, `order` whose each is: of equal ones the lesser first half
    comes first, and of equal ids the first position. `same`: the first position with each one's
    id; None where no two ids are equal.
    """

    first: Halves
    last: Halves
    order: Places
    has_ties: bool
    same: Places | None

    @classmethod
    def of(cls, first: Halves, last: Halves) -> Index:
        """Make the index of ids, given as halves."""
        order = np.argsort(last)
        ordered = last[order]
        has_ties = bool((ordered[1:] == ordered[:-1]).any())
        same = None
        if has_ties:
            order = np.lexsort((first, last))
            same = _same(first[order], ordered, order)
        return cls(first, ordered, order.astype(width_of(len(order))), has_ties, same)

    def find(self, first: Halves, last: Halves) -> Places:
        """The first position of each of these ids; NOWHERE of those that are not here."""
        found = np.full(len(last), NOWHERE, self.order.dtype)
        for begin in range(0, len(last) if len(self.last) else 0, AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            # In order, each search goes on where the one before it was: in the caches of the CPU.
            turn = np.argsort(last[part])
            wanted = last[part][turn], first[part][turn]
            at = self._begin(*wanted)
            mine = np.minimum(at, len(self.last) - 1)
            is_it = (self.last[mine] == wanted[0]) & (self.first[self.order[mine]] == wanted[1])
            found[part][turn[is_it]] = self.order[mine[is_it]]
        return found

    def _begin(self, last: Halves, first: Halves) -> npt.NDArray[np.intp]:
        """Where ids stand in order, or would."""
        low = np.searchsorted(self.last, last)
        if not self.has_ties:
            return low
        high = np.searchsorted(self.last, last, "right")
        while (is_open := low < high).any():
            middle = (low + high) // 2
            at = self.order[np.minimum(middle, len(self.order) - 1)]
            is_less = is_open & (self.first[at] < first)
            low = np.where(is_less, middle + 1, low)
            high = np.where(is_open & ~is_less, middle, high)
        return low


def _same(first: Halves, last: Halves, order: npt.NDArray[np.intp]) -> Places | None:
    """The first position with each one's id, of ids in this order; None: no two are equal."""
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (first[1:] != first[:-1]) | (last[1:] != last[:-1])
    if is_new.all():
        return None
    same = np.empty_like(order)
    same[order] = order[np.flatnonzero(is_new)][np.cumsum(is_new) - 1]
    return same.astype(width_of(len(same)))
