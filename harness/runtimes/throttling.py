"""A throttle keeps a node to a share of a core by SIGSTOP and SIGCONT, where no control group can.

It looks at the CPU time that the node has used every few milliseconds, and stops it while that is
more than it may have. So a node that wants less is not slowed, as with a quota of the kernel.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from harness.kernel.proc import process_cpu_clock

TICK_S = 0.005
PERIOD_S = 0.1  # so much of its share may a node save up
MEMBERS_EVERY_S = 0.2  # a new process is stopped from then on, and counted from its start
PROCESSES_MOST = 10_000  # that ended, whose CPU time is remembered


class Throttle:
    """Throttles one node until it is closed. `is_holding`: the node is stopped by it just now."""

    def __init__(
        self,
        cores: float,
        members: Callable[[], Sequence[int]],
        send: Callable[[signal.Signals], None],
    ) -> None:
        """`members` lists the node's processes, `send` signals them all."""
        self.cores, self.stops, self.is_holding = cores, 0, False
        self._members, self._send = members, send
        self._gate = threading.Lock()  # held while a signal goes, and by who must not be disturbed
        self._is_suspended = False
        self._looked_s = 0.0  # when its processes were listed last
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="throttle", daemon=True)
        self._thread.start()

    def suspend(self) -> None:
        """Send no signals from now on: somebody else pauses the node, or ends it."""
        with self._gate:
            self._is_suspended, self.is_holding = True, False

    def resume(self) -> None:
        """Throttle again: the node runs, maybe as another process."""
        with self._gate:
            self._is_suspended, self._looked_s = False, 0.0

    def close(self) -> None:
        """Let the node run, unless somebody else has it."""
        self._over.set()
        self._thread.join()
        if self.is_holding:
            self._send(signal.SIGCONT)
            self.is_holding = False

    def _run(self) -> None:
        credit_s, last_s, begun_s = self.cores * PERIOD_S, 0.0, time.monotonic()
        known: dict[int, float] = {}  # what each process had used when it was seen last
        members: Sequence[int] = ()
        while not self._over.wait(TICK_S):
            now_s = time.monotonic()
            if now_s - self._looked_s > MEMBERS_EVERY_S:
                self._looked_s = now_s
                with suppress(OSError):  # no descriptor is free, say: those of before are known
                    members = self._members()
            used = _used(members)
            if last_s:
                # Of one that is new to it, no more than since it began; and a pid may come again.
                age_s = now_s - begun_s
                spent_s = sum(
                    used_s - known[pid] if pid in known else min(used_s, age_s)
                    for pid, used_s in used.items()
                )
                credit_s += self.cores * (now_s - last_s) - max(spent_s, 0.0)
                credit_s = min(credit_s, self.cores * PERIOD_S)
            last_s, known = now_s, used if len(known) > PROCESSES_MOST else known | used
            with self._gate:
                if not self._is_suspended and (credit_s < 0) is not self.is_holding:
                    self.is_holding = credit_s < 0
                    self.stops += self.is_holding
                    self._send(signal.SIGSTOP if self.is_holding else signal.SIGCONT)


def _used(members: Sequence[int]) -> dict[int, float]:
    """Read the CPU time of each process, in seconds; those that have ended are left out."""
    found = {}
    for pid in members:
        with suppress(OSError):
            found[pid] = time.clock_gettime(process_cpu_clock(pid))
    return found
