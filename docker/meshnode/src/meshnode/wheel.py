"""One timer for everything: deadlines in coarse slots, one wake-up a slot that is in use, none when
idle.
"""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")
SLOT_NS = 20 * 10**6


class Wheel(Generic[T]):
    """Items with deadlines. Nothing is ever taken out early: whoever is late finds out that the
    item is settled.
    """

    def __init__(self, slot_ns: int = SLOT_NS) -> None:
        self._slot_ns = slot_ns
        self._slots: dict[int, list[T]] = {}
        self._order: list[int] = []

    def add(self, deadline_ns: int, item: T) -> None:
        """`item` comes out of `expire` at the deadline or up to a slot later."""
        slot = -(-deadline_ns // self._slot_ns)
        items = self._slots.get(slot)
        if items is None:
            items = self._slots[slot] = []
            heapq.heappush(self._order, slot)
        items.append(item)

    def next_ns(self) -> int | None:
        """When `expire` has something to give."""
        return self._order[0] * self._slot_ns if self._order else None

    def expire(self, now_ns: int) -> list[T]:
        """The items whose deadline has passed, soonest first."""
        due: list[T] = []
        while self._order and self._order[0] * self._slot_ns <= now_ns:
            due += self._slots.pop(heapq.heappop(self._order))
        return due
