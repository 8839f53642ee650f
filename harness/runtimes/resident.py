"""One node as a process of this host: its first process, all that this one started, and what they
are told by signals.
"""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, field

from harness.errors import HarnessError
from harness.kernel.families import Census, Family
from harness.kernel.proc import is_ended, is_readable, is_stopped, send
from harness.runtimes.limiting import Limiter
from harness.runtimes.runtime import Place, Process, Running
from harness.runtimes.throttling import Throttle

TERMINATE_GRACE_S = 2.0  # from SIGTERM to SIGKILL: time to write state
KILL_TIMEOUT_S = 10.0  # after SIGKILL; the kernel needs milliseconds, a thrashing host longer
LOOK_EVERY_S = 0.02  # while processes end
ROUNDS = 50  # of a pause: what is forked meanwhile is stopped in the next


@dataclass(slots=True)
class Resident:
    """One node: its place, what runs there, and the processes that do so now.

    `running` is its first process, `earlier` that of the life before. All of them are `family`:
    None where the first ended before it could be looked at.
    """

    place: Place
    process: Process
    census: Census
    running: Running | None = None
    earlier: Running | None = None
    family: Family | None = None
    limiter: Limiter | None = None
    changing: threading.Lock = field(default_factory=threading.Lock)

    def members(self) -> list[int]:
        """Return the pids of the node's living processes."""
        found = [] if self.family is None else self.census.members(self.family)
        if self.running is None or self.running.account is None:
            return found
        of_account = (pid for pid in self.running.account.pids() if not is_ended(pid))
        return list(dict.fromkeys([*found, *of_account]))

    def signal(self, *numbers: signal.Signals) -> None:
        """Signal the first process at once, then all, each once; nothing happens where all have
        ended.
        """
        reached: set[int] = set()
        if self.running is not None:
            for number in numbers:
                send(self.running.pidfd, number)
            reached.add(self.running.pid)
        if self.family is not None:
            reached.update(self.census.signal(self.family, *numbers, but=reached))
        if self.running is not None and self.running.account is not None:
            self.running.account.signal(*numbers, but=reached)

    @property
    def throttle(self) -> Throttle | None:
        """What stops the node now and then, for it may use less CPU time than it wants."""
        return None if self.limiter is None else self.limiter.throttle

    def pause(self) -> None:
        """Stop all processes, also those that start meanwhile."""
        if self.throttle is not None:
            self.throttle.suspend()
        self.signal(signal.SIGSTOP)
        for _ in range(ROUNDS):
            if all(is_stopped(pid) for pid in self.members()):
                return
            self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue all processes, which were paused."""
        self.signal(signal.SIGCONT)
        if self.throttle is not None:
            self.throttle.resume()

    def end(self) -> None:
        """End all processes by SIGTERM, and what is left by SIGKILL two seconds later. Paused ones
        are continued, or they would never see the first.

        Raises HarnessError where a process outlives SIGKILL.
        """
        if self.throttle is not None:
            self.throttle.suspend()
        self.signal(signal.SIGTERM, signal.SIGCONT)
        if not self._are_gone(TERMINATE_GRACE_S):
            self.kill()

    def kill(self) -> None:
        """End all processes at once by SIGKILL, and those that start meanwhile. Raises HarnessError
        where one outlives it.
        """
        until_s = time.monotonic() + KILL_TIMEOUT_S
        if self.throttle is not None:
            self.throttle.suspend()
        self.signal(signal.SIGKILL)
        while not self._are_gone(LOOK_EVERY_S):
            if time.monotonic() > until_s:
                raise HarnessError(
                    f"node {self.place.node.name}: processes {self.members()} have not ended "
                    f"{KILL_TIMEOUT_S:.0f} s after SIGKILL: the kernel holds them"
                )
            self.signal(signal.SIGKILL)

    def _are_gone(self, wait_s: float) -> bool:
        """Wait, at most so long, until every process has ended; whether they have."""
        until_s = time.monotonic() + wait_s
        first = self.running is None or is_readable(self.running.pidfd, wait_s)
        while first and self.members():
            if time.monotonic() > until_s:
                return False
            time.sleep(LOOK_EVERY_S)
        return first
