"""A node's limits are set on its processes, and read back: CPU time by a control group, or else by
a throttle of ours, address space and descriptors by the soft limits (RLIMIT_AS, RLIMIT_NOFILE) of
each process.

A process that starts later has its parent's limits and its group.
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.faults.limits import UNLIMITED, Limits
from harness.kernel import cgroups
from harness.kernel.proc import process_cpu_clock
from harness.runtimes.runtime import Reading
from harness.runtimes.throttling import Throttle

ROUNDS = 50  # what is started meanwhile, by a process that had no limit yet, has one in the next
OF_EACH = {"memory_bytes": resource.RLIMIT_AS, "fds": resource.RLIMIT_NOFILE}


class Limiter:
    """The limits of one node. Its owner changes it alone."""

    def __init__(
        self,
        owner: str,
        node: str,
        members: Callable[[], Sequence[int]],
        send: Callable[[signal.Signals], None],
    ) -> None:
        """`owner`: of control groups; `members` lists the node's processes, `send` signals them."""
        self._owner, self._node, self._members, self._send = owner, node, members, send
        self.throttle: Throttle | None = None
        self.limits = UNLIMITED
        self._before: dict[int, int] = {}  # resource → the soft limit before ours
        self._group: cgroups.Group | None = None
        self._home: Path | None = None  # the group that they were in; None: the limited one is it

    def limit(self, limits: Limits) -> None:
        """Limit the node's processes so, and those that it starts later. Raises HarnessError."""
        self.limits = limits
        try:
            self.apply()
        except OSError as error:
            raise HarnessError(
                f"node {self._node} could not be limited to {limits.words() or 'nothing'}: "
                f"{error.strerror}"
            ) from error

    def apply(self) -> None:
        """Limit the processes that there are now. Raises OSError, UnavailableError."""
        for field, number in OF_EACH.items():
            self._each(number, getattr(self.limits, field))
        if self.limits.cpu is None:
            self.release()
        elif cgroups.are_ours():
            self._give(self.limits.cpu)
        elif self.throttle is None or self.throttle.cores != self.limits.cpu:
            self.release()
            self.throttle = Throttle(self.limits.cpu, self._members, self._send)

    def release(self) -> None:
        """Let go of the control group, or the throttle. Raises OSError."""
        throttle, self.throttle = self.throttle, None
        if throttle is not None:
            throttle.close()
        group, self._group = self._group, None
        if group is None:
            return
        if self._home is None:
            with suppress(FileNotFoundError):  # it went with its container
                group.set_quota(None)
            return
        home = cgroups.Group(self._home, 0)
        for _ in range(ROUNDS):
            if not (pids := group.pids()):
                break
            for pid in pids:
                home.add(pid)
        group.remove()

    def reading(self) -> Reading:
        """Read back what the kernel has, and what was used. Raises OSError, HarnessError."""
        members = self._members()
        limits: dict[str, set[int | None]] = {field: set() for field in OF_EACH}
        cpu_ns = 0
        for pid in members:
            with suppress(OSError):  # it ended meanwhile
                cpu_ns += time.clock_gettime_ns(process_cpu_clock(pid))
                for field, number in OF_EACH.items():
                    soft, _ = resource.prlimit(pid, number)
                    limits[field].add(None if soft == resource.RLIM_INFINITY else soft)
        quota, throttled = self._quota(set(members))
        return Reading(
            at_ns=time.monotonic_ns(),
            processes=len(members),
            quota=quota,
            cpu_ns=cpu_ns,
            throttled=throttled,
            memory_bytes=frozenset(limits["memory_bytes"]),
            fds=frozenset(limits["fds"]),
        )

    def _quota(self, members: set[int]) -> tuple[float | None, int]:
        """Read the quota of CPU time back, and how often it was used up."""
        if self.throttle is not None:
            return self.throttle.cores, self.throttle.stops
        if self._group is None or members - self._group.pids():
            return None, 0
        return self._group.quota(), self._group.throttled()

    def _each(self, number: int, asked: int | None) -> None:
        """Set one limit of every process; None: as it was before ours."""
        if asked is None and number not in self._before:
            return
        for _ in range(ROUNDS):
            wrong = [pid for pid in self._members() if self._correct(pid, number, asked)]
            if not wrong:
                break
        if asked is None:
            del self._before[number]

    def _correct(self, pid: int, number: int, asked: int | None) -> bool:
        """Set one limit of one process; whether it was another one."""
        with suppress(ProcessLookupError):
            soft, hard = resource.prlimit(pid, number)
            before = self._before.setdefault(number, soft)
            wanted = before if asked is None else asked
            if hard != resource.RLIM_INFINITY:
                wanted = hard if wanted == resource.RLIM_INFINITY else min(wanted, hard)
            if soft != wanted:
                resource.prlimit(pid, number, (wanted, hard))
                return True
        return False

    def _give(self, cores: float) -> None:
        members = set(self._members())
        if not members:
            return  # it is down
        if self._home is None and self._group is not None and not self._group.path.exists():
            self._group = None  # of a container that another one has replaced
        if self._group is None:
            own = cgroups.found(min(members))
            if own.pids() == members:
                self._group, self._home = own, None  # a container's, which nobody else is in
            else:
                self._group, self._home = cgroups.make(self._owner, self._node), own.path
        self._group.set_quota(cores)
        if self._home is None:
            return
        for _ in range(ROUNDS):
            missing = set(self._members()) - self._group.pids()
            if not missing:
                return
            for pid in missing:
                self._group.add(pid)
