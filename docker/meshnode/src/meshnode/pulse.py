"""The node's heartbeat: one timer of the loop for all deadlines, and one callback at the end of
each busy loop turn.
"""

import asyncio
import time
from collections.abc import Callable

from meshnode.wheel import Wheel


class Pulse:
    """Deadlines by `at`, and `soon` for what is gathered during a loop turn and done once at its
    end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, end_of_turn: Callable[[], None]) -> None:
        self._loop = loop
        self._end_of_turn = end_of_turn
        self._wheel: Wheel[Callable[[], None]] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._armed_ns = 0
        self._is_turning = False

    def at(self, deadline_ns: int, call: Callable[[], None]) -> None:
        """Call at the deadline (CLOCK_MONOTONIC) or a few ms later."""
        self._wheel.add(deadline_ns, call)
        self._arm()

    def soon(self) -> None:
        """Something was gathered: `end_of_turn` runs when the callbacks of this loop turn are
        through.
        """
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turning = False
        self._end_of_turn()

    def _arm(self) -> None:
        next_ns = self._wheel.next_ns()
        if next_ns is None or (self._timer is not None and self._armed_ns <= next_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_ns = next_ns
        self._timer = self._loop.call_later(max(0, next_ns - time.monotonic_ns()) / 1e9, self._fire)

    def _fire(self) -> None:
        self._timer = None
        try:
            for call in self._wheel.expire(time.monotonic_ns()):
                call()
        finally:
            self._arm()
        self.soon()
