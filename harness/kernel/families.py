"""A family is all processes of a node: those in its network namespace and its PID namespace.

A program may start others, let them outlive the first, and give them sessions and parents of their
own; the namespaces stay. One that makes a PID namespace stays in the one that this is made in. What
others run beside the node, such as a command of `harness exec`, is in the node's network, but not
in its PID namespace.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from harness.kernel.proc import is_ended

NS_GET_PARENT = 0xB702  # ioctl of linux/nsfs.h


class Family(NamedTuple):
    """The namespaces of one node, by the numbers of their inodes. `pids`: the outermost below
    ours.
    """

    network: int
    pids: int


def family_of(pid: int, namespace: int | None = None) -> Family | None:
    """Return the family of a process; None where it is gone, or not ours to see.

    `namespace`: the descriptor of the network namespace that it is in, or about to enter; None: the
    one that it is in now.
    """
    try:
        network = os.stat(f"/proc/{pid}/ns/net") if namespace is None else os.fstat(namespace)
        return Family(network.st_ino, _outermost(pid))
    except OSError:
        return None


def _outermost(pid: int) -> int:
    """Find the outermost PID namespace below ours that a process is in; ours where it is in no
    other. Raises OSError where the process is gone.
    """
    ours = found = os.stat("/proc/self/ns/pid").st_ino
    descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while (inode := os.fstat(descriptor).st_ino) != ours:
            found, inner = inode, descriptor
            descriptor = fcntl.ioctl(inner, NS_GET_PARENT)
            os.close(inner)
    finally:
        os.close(descriptor)
    return found


class Census:
    """Knows the processes of all families, from one look at /proc after the other.

    A look costs a listing of /proc (1 to 2 ms for 1500 processes), and some µs for each process
    that was not there before: what a process was found to be is kept while its number is in use.
    Methods may be called from any thread; who asks while a look is under way shares the next one.
    Our own PID namespace is nobody's family.
    """

    def __init__(self) -> None:
        self._ours = os.stat("/proc/self/ns/pid").st_ino
        self._outside = os.stat("/proc/self/ns/net").st_ino
        self._known: dict[int, Family | None] = {}
        self._found: dict[Family, list[int]] = {}
        self._looked_s = 0.0
        self._lock = threading.Lock()

    def families(self) -> Mapping[Family, Sequence[int]]:
        """Return every family with its processes' pids, as they are after the call."""
        asked_s = time.monotonic()
        with self._lock:
            if self._looked_s <= asked_s:
                self._looked_s = time.monotonic()
                self._look()
            return self._found

    def members(self, family: Family) -> list[int]:
        """Return the pids of a family's living processes; what has ended and was not waited for is
        left out.
        """
        return [pid for pid in self.families().get(family, ()) if not is_ended(pid)]

    def signal(
        self, family: Family, *numbers: signal.Signals, but: Collection[int] = ()
    ) -> Sequence[int]:
        """Send signals to every process of a family `but` some; returns all of them. One that
        starts meanwhile may be missed.
        """
        pids = self.families().get(family, ())
        for pid in (one for one in pids if one not in but):
            with suppress(OSError):  # it ended meanwhile
                pidfd = os.pidfd_open(pid)
                try:
                    if family_of(pid) == family:  # and not whoever took the number over
                        for number in numbers:
                            signal.pidfd_send_signal(pidfd, number)
                finally:
                    os.close(pidfd)
        return pids

    def _look(self) -> None:
        here = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        known = {pid: family for pid, family in self._known.items() if pid in here}
        for pid in here - known.keys():
            family = family_of(pid)
            if family is not None and family.pids == self._ours:
                known[pid] = None
            elif family is not None and family.network != self._outside:
                known[pid] = family
            # Else it is gone, or on its way into its namespace: the next look asks again.
        found: dict[Family, list[int]] = {}
        for pid, of in known.items():
            if of is not None:
                found.setdefault(of, []).append(pid)
        self._known, self._found = known, found
