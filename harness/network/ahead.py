"""A change whose moment is known is made ready ahead of it, and looks give way to it: only the
kernel's own work is left for the moment.

A look holds the network as it is until it has read all of it, and a change whose moment came
meanwhile would be late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.faults.fault import Fault
from harness.network.injectors.compiler import Compiled

LOOK_S = 0.5  # that a look may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What was made ready for a change: the faults that it leaves, and their state, compiled; None:
    nothing is wrong then, and nothing has to be there. `looked`: whether all was counted and read
    back for it.
    """

    faults: Mapping[str, Fault]
    compiled: Compiled | None
    looked: bool = False

    def is_of(self, faults: Mapping[str, Fault]) -> bool:
        """Whether these are the very faults that it was made for."""
        same = self.faults.keys() == faults.keys()
        return same and all(faults[name] is one for name, one in self.faults.items())


class Precedence:
    """The changes that are about to be made, by their numbers. Methods may be called from any
    thread.
    """

    def __init__(self) -> None:
        self._coming: dict[int, int] = {}  # number → its moment, CLOCK_MONOTONIC ns
        self._news = threading.Condition()

    def expect(self, number: int, at_ns: int) -> None:
        """Announce a change."""
        with self._news:
            self._coming[number] = at_ns

    def made(self, number: int) -> None:
        """Tell that a change was made, or is not made any more."""
        with self._news:
            self._coming.pop(number, None)
            self._news.notify_all()

    def give_way(self) -> None:
        """Wait for the changes whose moment is near: not for those announced meanwhile, so that
        changes that follow each other do not keep looks away, and never long.
        """
        with self._news:
            now_ns = time.monotonic_ns()
            near = {
                number
                for number, at_ns in self._coming.items()
                if abs(at_ns - now_ns) <= LOOK_S * 1e9
            }
            self._news.wait_for(lambda: near.isdisjoint(self._coming), 2 * LOOK_S)
