"""A node's limits are set on its processes, and read back: CPU time by a control group, or else by
a throttle of ours, address space and descriptors by the soft limits (RLIMIT_AS, RLIMIT_NOFILE) of
each process.

A process that starts later has its parent's limits and its group. A limit gives no process more
than it had: one that is wider than its own leaves it as it is.
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
        # Resource → process → its soft limit before ours, and the limits that were given to any.
        self._own: dict[int, dict[int, int]] = {}
        self._given: dict[int, set[int | None]] = {}
        self._last_own: dict[int, frozenset[int | None]] = {}  # of those that are limited no more
        self._group: cgroups.Group | None = None
        self._home: Path | None = None  # the group that they were in; None: the limited one is it
        self._own_quota: float | None = None  # of that one, as whoever made it gave it

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
                group.set_quota(self._own_quota)
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
        begun_ns = time.monotonic_ns()
        members = self._members()
        limits: dict[str, set[int | None]] = {field: set() for field in OF_EACH}
        own = {field: self._last_own.get(number, frozenset()) for field, number in OF_EACH.items()}
        cpu_ns = 0
        for pid in members:
            with suppress(OSError):  # it ended meanwhile
                cpu_ns += time.clock_gettime_ns(process_cpu_clock(pid))
                for field, number in OF_EACH.items():
                    limits[field].add(_bound(resource.prlimit(pid, number)[0]))
        quota, throttled = self._quota(set(members))
        return Reading(
            begun_ns=begun_ns,
            at_ns=time.monotonic_ns(),
            processes=len(members),
            quota=quota,
            cpu_ns=cpu_ns,
            throttled=throttled,
            memory_bytes=frozenset(limits["memory_bytes"]),
            fds=frozenset(limits["fds"]),
            own_memory_bytes=own["memory_bytes"],
            own_fds=own["fds"],
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
        if asked is None and number not in self._own:
            return
        own, given = self._own.setdefault(number, {}), self._given.setdefault(number, set())
        for _ in range(ROUNDS):
            of_others = frozenset(given)
            made = {pid: _correct(pid, number, asked, own, of_others) for pid in self._members()}
            given.update(made.values())
            if all(one is None for one in made.values()):
                break
        if asked is None:
            self._last_own[number] = frozenset(map(_bound, self._own.pop(number).values()))
            del self._given[number]

    def _give(self, cores: float) -> None:
        members = set(self._members())
        if not members:
            return  # it is down
        if self._home is None and self._group is not None and not self._group.path.exists():
            self._group = None  # of a container that another one has replaced
        if self._group is None:
            own = cgroups.found(min(members))
            if own.takes_quota and own.pids() == members:
                self._group, self._home = own, None  # a container's, which nobody else is in
                self._own_quota = own.quota()
            else:
                self._group, self._home = cgroups.make(self._owner, self._node), own.path
        if self._home is None:
            self._group.set_quota(min(cores, self._own_quota or cores))
            return
        self._group.set_quota(cores)
        for _ in range(ROUNDS):
            missing = set(self._members()) - self._group.pids()
            if not missing:
                return
            for pid in missing:
                self._group.add(pid)


def _correct(
    pid: int, number: int, asked: int | None, own: dict[int, int], given: frozenset[int | None]
) -> int | None:
    """Set one limit of one process; returns it, None where it had it. What it had is entered into
    `own`: where that is one of those that were given to others, it is a child's, and its parent's
    is its.
    """
    with suppress(ProcessLookupError):
        soft, hard = resource.prlimit(pid, number)
        if pid not in own:
            own[pid] = next(iter(own.values()), soft) if soft in given else soft
        wanted = _narrowest(own[pid], hard, resource.RLIM_INFINITY if asked is None else asked)
        if soft != wanted:
            resource.prlimit(pid, number, (wanted, hard))
            return wanted
    return None


def _bound(soft: int) -> int | None:
    """What a soft limit bounds; None: nothing."""
    return None if soft == resource.RLIM_INFINITY else soft


def _narrowest(*limits: int) -> int:
    bounds = [one for one in limits if one != resource.RLIM_INFINITY]
    return min(bounds, default=resource.RLIM_INFINITY)
