"""Descriptors of processes that are kept open, and what is read from them: what a process uses."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.kernel import disks, memory
from harness.kernel.accounts import Account
from harness.kernel.families import Family, family_of
from harness.kernel.namespaces import inside
from harness.kernel.proc import process_cpu_clock

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Gains:
    """What a total gained over time, of processes and threads that come and go."""

    total: int = 0  # of all that live now
    gained: int = 0  # of all that ever lived, as far as it was seen: it never falls

    def count(self, total: int) -> int:
        """Return what it gained after a pass that found this total."""
        self.gained += max(0, total - self.total)
        self.total = total
        return self.gained


@dataclass(slots=True)
class Source:
    """The kept descriptors of one process."""

    clock: int  # id of the process's CPU clock
    stat: int
    descriptors: int  # of the folder /proc/PID/fd
    snmp: int  # TCP statistics of the node's namespace
    schedstat: int | None  # of its first thread; None: this kernel does not tell
    io: int | None  # what it reads and writes; None likewise
    pid: int
    family: Family | None
    account: Account | None
    outside: dict[int, int] = field(default_factory=dict)  # see `cpu_ns`
    cpu: Gains = field(default_factory=Gains)
    run_delay: Gains = field(default_factory=Gains)
    disk: Gains = field(default_factory=Gains)

    def close(self) -> None:
        for descriptor in (self.stat, self.descriptors, self.snmp, self.schedstat, self.io):
            if descriptor is not None:
                os.close(descriptor)


@dataclass(slots=True)
class Watched:
    """The kept descriptors of a process that is no node; `is_load`: its CPU is the run's own."""

    pid: int
    clock: int  # id of its CPU clock
    stat: int  # descriptor of /proc/PID/stat
    io: int | None
    is_load: bool

    def close(self) -> None:
        for descriptor in (self.stat, self.io):
            if descriptor is not None:
                os.close(descriptor)


class Memory:
    """Counts what nodes have in memory, each with several processes. What costs more than a pass
    may is taken to be the same share of their sum as it was.
    """

    CPU_S = 0.02  # of a pass, of which there is one a second

    def __init__(self) -> None:
        self._shares: dict[int, float] = {}
        self._until_s = 0.0

    def begin(self) -> None:
        """Begin a pass."""
        self._until_s = time.thread_time() + self.CPU_S

    def of(self, node: int, rss_bytes: Mapping[int, int]) -> int:
        """Return what a node has in memory, by the resident memory of each of its processes."""
        total = sum(rss_bytes.values())
        if len(rss_bytes) < 2 or not total:
            return total
        if node not in self._shares or time.thread_time() < self._until_s:
            self._shares[node] = memory.together(rss_bytes) / total
        return round(total * self._shares[node])


class Held:
    """Reads what nodes hold of memory that no file does. That is dear, so of many nodes only some
    are looked at in a pass, each when it is its turn.
    """

    CPU_S = 0.001  # of a pass, of which there is one a second: some fifty nodes

    def __init__(self) -> None:
        self._first = self._next = 0
        self._left_s = self.CPU_S

    def begin(self) -> None:
        """Begin a pass, in which nodes come in order."""
        self._first = self._next if self._left_s <= 0 else 0
        self._left_s = self.CPU_S

    def of(self, node: int, pids: Collection[int]) -> int | None:
        """Return what a node's processes hold; None where it is not its turn, or nobody tells."""
        if node < self._first or self._left_s <= 0:
            return None
        began_s = time.thread_time()
        found = memory.held(pids)
        self._left_s -= time.thread_time() - began_s
        self._next = node + 1
        return found


class Usage(NamedTuple):
    """What a process uses, at a moment."""

    at_ns: int
    cpu_ns: int
    threads: int
    rss_bytes: int
    waited_ns: int  # CPU time of ended children that it waited for


def used(io: int) -> int | None:
    """Read what a process has read from disks and written to them; None where it does not tell."""
    return disks.used_by(pread(io))


def io_bytes(source: Source, family: Collection[int]) -> int | None:
    """Return what a node has read from disks and written to them; None where nobody tells."""
    first = None if source.io is None else used(source.io)
    if first is None:
        return None
    for pid in family:
        if pid != source.pid:
            with suppress(OSError), open(f"/proc/{pid}/io", "rb") as file:
                first += disks.used_by(file.read()) or 0
    return source.disk.count(first)


def cpu_ns(source: Source, used_ns: Mapping[int, int], accounted: set[int]) -> int:
    """Return what CPU time a node has used, by what each living process says of itself and of the
    children that it waited for. Its account knows of all others too; what somebody moved out of it
    is counted from then on. `accounted`: the processes of the account.
    """
    total = None if source.account is None else source.account.cpu_ns()
    if source.account is None or total is None:
        return sum(used_ns.values())
    for pid in used_ns.keys() - accounted:
        total += used_ns[pid] - source.outside.setdefault(pid, used_ns[pid])
    return total


def usage_of(clock: int, stat: int) -> Usage | None:
    """Read what a process uses; None where it has ended.

    The clock goes by pid, which the kernel may have given to another process. But while `stat`,
    opened for the same pid, can still be read *afterwards*, the pid was not free before.
    """
    try:
        at_ns = time.monotonic_ns()
        cpu_ns = time.clock_gettime_ns(clock)
        text = os.pread(stat, 1024, 0)
    except OSError:
        return None
    # proc(5): the name in parentheses may hold anything; after it state (3rd field) … num_threads
    # (20th) … rss (24th).
    fields = text[text.rindex(b")") + 2 :].split(None, 22)
    if fields[0] in {b"Z", b"X"}:
        return None
    return Usage(
        at_ns,
        cpu_ns,
        int(fields[17]),
        int(fields[21]) * PAGE_BYTES,
        (int(fields[13]) + int(fields[14])) * TICK_NS,
    )


def count_of(pid: int) -> int | None:
    """Count a process's descriptors; None where it has ended, or nobody may look."""
    try:
        return os.stat(f"/proc/{pid}/fd").st_size or len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def of_pid(pid: int) -> tuple[Usage, int] | None:
    """Read what a process uses and how many descriptors it has; None where it has ended."""
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            usage = usage_of(process_cpu_clock(pid), stat)
            return None if usage is None else (usage, len(os.listdir(f"/proc/{pid}/fd")))
        finally:
            os.close(stat)
    except OSError:
        return None


def open_source(pid: int, namespace: int, account: Account | None = None) -> Source | None:
    """Open what tells of a node's first process; None where it has ended. Raises OSError.

    `account`: holds all that it starts.
    """
    opened: list[int] = []
    try:
        opened.append(os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        opened.append(os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        with inside(namespace):
            opened.append(os.open("/proc/thread-self/net/snmp", os.O_RDONLY | os.O_CLOEXEC))
        schedstat, io = open_if_there(f"/proc/{pid}/schedstat"), open_io(pid)
    except Exception as error:
        for descriptor in opened:
            os.close(descriptor)
        if isinstance(error, FileNotFoundError | ProcessLookupError):
            return None
        raise
    stat, descriptors, snmp = opened
    return Source(
        clock=process_cpu_clock(pid),
        stat=stat,
        descriptors=descriptors,
        snmp=snmp,
        schedstat=schedstat,
        io=io,
        pid=pid,
        family=family_of(pid, namespace),
        account=account,
    )


def pread(descriptor: int) -> bytes:
    """Read a file of the kernel anew; empty where it cannot be read: PSI that was built in but is
    switched off opens and then refuses, and a group may be gone.
    """
    try:
        return os.pread(descriptor, 1 << 16, 0)
    except OSError:
        return b""


def open_io(pid: int) -> int | None:
    """Open what tells of a process's use of disks; None where that is not for us to know."""
    try:
        return open_if_there(f"/proc/{pid}/io")
    except PermissionError:
        return None


def open_if_there(path: str) -> int | None:
    """Open a file of the kernel; None where there is none (any more)."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
