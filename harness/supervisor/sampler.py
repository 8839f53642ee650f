"""The sampler reads what each node and the host use, once a second.

That is resident memory, CPU, waits for a core, descriptors, threads, connections and traffic.
Everything is read from descriptors that are kept open (four a node), so a pass over 1000 nodes
takes some 20 ms. A node without a live process is absent from a batch, never zero. A node is all
its processes: what its others use is added to what the first does, and costs an opened file for
each (memory that they share is counted in each), as does each thread, where there is more than one.
Pids are those of the sampler's own PID namespace, for containers and bare processes alike.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from harness.history.history import HOST, SAMPLES
from harness.kernel.cgroups import open_stats, throttled_us
from harness.kernel.families import Census, Family, family_of
from harness.kernel.namespaces import inside
from harness.kernel.netlink import LinkCounters
from harness.kernel.proc import (
    cpu_ticks,
    established,
    memory_available_bytes,
    packets_dropped,
    process_cpu_clock,
    psi_some_us,
    run_delay_ns,
    run_delay_of_threads_ns,
)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NO_TRAFFIC = (None, None, None, None)


@dataclass(slots=True)
class _Gains:
    """What a total gained over time, of processes and threads that come and go."""

    total_ns: int = 0  # of all that live now
    gained_ns: int = 0  # of all that ever lived, as far as it was seen: it never falls

    def count(self, total_ns: int) -> int:
        """Return what it gained after a pass that found this total."""
        self.gained_ns += max(0, total_ns - self.total_ns)
        self.total_ns = total_ns
        return self.gained_ns


@dataclass(slots=True)
class _Source:
    """The kept descriptors of one process."""

    clock: int  # id of the process's CPU clock
    stat: int
    descriptors: int  # of the folder /proc/PID/fd
    snmp: int  # TCP statistics of the node's namespace
    schedstat: int | None  # of its first thread; None: this kernel does not tell
    pid: int
    family: Family | None
    cpu: _Gains = field(default_factory=_Gains)
    run_delay: _Gains = field(default_factory=_Gains)

    def close(self) -> None:
        for descriptor in (self.stat, self.descriptors, self.snmp, self.schedstat):
            if descriptor is not None:
                os.close(descriptor)


class _Usage(NamedTuple):
    at_ns: int
    cpu_ns: int
    threads: int
    rss_bytes: int
    waited_ns: int  # CPU time of ended children that it waited for


class Sampler:
    """Reads nodes and host.

    `namespaces` are the descriptors of the nodes' network namespaces, in the topology's order. The
    namespace, not the process, says which TCP statistics are a node's: a process that has just
    started may not have entered it yet. Every method may be called from any thread.
    """

    def __init__(self, namespaces: Sequence[int]) -> None:
        self._namespaces = tuple(namespaces)
        self._nodes: dict[int, _Source] = {}
        # Name → CPU clock id, descriptor of /proc/PID/stat.
        self._watched: dict[str, tuple[int, int]] = {}
        self._host = {
            name: _open_if_there(f"/proc/{name}")
            for name in ("stat", "meminfo", "pressure/cpu", "net/softnet_stat")
        }
        self._groups = open_stats(os.getpid())
        # Since Linux 6.2; else the folder is listed.
        self._counts_by_size = os.stat("/proc/self/fd").st_size > 0
        self._census = Census()
        self._lock = threading.Lock()  # a descriptor must not be closed, and reused, under a pass

    def track(self, node_index: int, pid: int) -> None:
        """Sample this process as the node from now on, instead of an earlier one.

        A process that is gone is no error.
        """
        source = _open_source(pid, self._namespaces[node_index])
        with self._lock:
            earlier = self._nodes.pop(node_index, None)
            if earlier is not None:
                earlier.close()
            if source is not None:
                self._nodes[node_index] = source

    def forget(self, node_index: int) -> None:
        """Stop sampling a node that has no process any more. An unknown node is no error."""
        with self._lock:
            source = self._nodes.pop(node_index, None)
            if source is not None:
                source.close()

    def watch(self, name: str, pid: int) -> None:
        """Add a process that is no node, such as a load generator, to the host's rows.

        It leaves them when it ends.
        """
        stat = _open_if_there(f"/proc/{pid}/stat")
        with self._lock:
            if name in self._watched:
                os.close(self._watched.pop(name)[1])
            if stat is not None:
                self._watched[name] = (process_cpu_clock(pid), stat)

    def take(
        self, counters: Mapping[int, LinkCounters], only: Collection[int] | None = None
    ) -> pa.RecordBatch:
        """Return one row for each live node, or `only` for these; schema SAMPLES.

        `counters` is what the fabric counted just now.
        """
        rows: list[tuple[int | None, ...]] = []
        with self._lock:
            families = self._census.families()
            for node_index, source in sorted(self._nodes.items()):
                if only is not None and node_index not in only:
                    continue
                family = families.get(source.family, ()) if source.family else ()
                found = self._usage_of(source, family)
                if found is None:
                    continue
                usage, descriptors = found
                link = counters.get(node_index)
                rows.append(
                    (
                        usage.at_ns,
                        node_index,
                        usage.rss_bytes,
                        usage.cpu_ns,
                        descriptors,
                        usage.threads,
                        established(os.pread(source.snmp, 8192, 0)),
                        *(
                            _NO_TRAFFIC
                            if link is None
                            else (link.rx_bytes, link.tx_bytes, link.rx_packets, link.tx_packets)
                        ),
                        self._run_delay_ns(source, usage.threads, family),
                    )
                )
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(SAMPLES)
        return pa.record_batch(columns, schema=SAMPLES)

    def _usage_of(self, source: _Source, family: Sequence[int]) -> tuple[_Usage, int] | None:
        """Return what a node uses, and its descriptors; None where its first process has ended."""
        usage = _usage(source.clock, source.stat)
        if usage is None:
            return None
        try:
            descriptors = (
                os.fstat(source.descriptors).st_size
                if self._counts_by_size
                else len(os.listdir(source.descriptors))
            )
        except OSError:  # it ended between the two readings
            return None
        at_ns, cpu_ns, threads, rss_bytes, waited_ns = usage
        total_ns = cpu_ns + waited_ns
        for pid in family:
            other = _of_pid(pid) if pid != source.pid else None
            if other is not None:
                total_ns += other[0].cpu_ns + other[0].waited_ns
                threads += other[0].threads
                rss_bytes += other[0].rss_bytes
                descriptors += other[1]
        return _Usage(at_ns, source.cpu.count(total_ns), threads, rss_bytes, 0), descriptors

    def _run_delay_ns(self, source: _Source, threads: int, family: Sequence[int]) -> int | None:
        """Return how long a node could run and waited for a core; None where nobody tells."""
        if source.schedstat is None:
            return None
        if threads > 1:
            pids = {source.pid, *family}
            return source.run_delay.count(sum(map(run_delay_of_threads_ns, pids)))
        try:  # it has no other process
            return source.run_delay.count(run_delay_ns(os.pread(source.schedstat, 128, 0)))
        except OSError:  # it has ended since
            return source.run_delay.gained_ns

    def host(self) -> pa.RecordBatch:
        """Return one row about the host and the watched processes, schema HOST."""
        with self._lock:
            busy, steal = cpu_ticks(self._read("stat"))
            load_cpu_ns = []
            for name, (clock, stat) in list(self._watched.items()):
                usage = _usage(clock, stat)
                if usage is None:
                    os.close(self._watched.pop(name)[1])
                else:
                    load_cpu_ns.append((name, usage.cpu_ns))
            row = {
                "at_ns": time.monotonic_ns(),
                "cpu_busy_ns": busy * _TICK_NS,
                "cpu_steal_ns": steal * _TICK_NS,
                "psi_cpu_some_us": psi_some_us(self._read("pressure/cpu")),
                "memory_available_bytes": memory_available_bytes(self._read("meminfo")),
                "load_cpu_ns": load_cpu_ns,
                "packets_dropped": packets_dropped(self._read("net/softnet_stat")),
                "cpu_throttled_us": self._throttled_us(),
            }
        return pa.RecordBatch.from_pylist([row], schema=HOST)

    def _throttled_us(self) -> int | None:
        said = [throttled_us(_pread(one)) for one in self._groups]
        told = [one for one in said if one is not None]
        return sum(told) if told else None

    def _read(self, name: str) -> bytes:
        descriptor = self._host[name]
        return b"" if descriptor is None else _pread(descriptor)

    def close(self) -> None:
        """Close every descriptor. May be called twice."""
        with self._lock:
            for source in self._nodes.values():
                source.close()
            for descriptor in (*(stat for _, stat in self._watched.values()), *self._host.values()):
                if descriptor is not None:
                    os.close(descriptor)
            self._nodes.clear()
            self._watched.clear()
            self._host = dict.fromkeys(self._host)
            for descriptor in self._groups:
                os.close(descriptor)
            self._groups = []


def _usage(clock: int, stat: int) -> _Usage | None:
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
    return _Usage(
        at_ns,
        cpu_ns,
        int(fields[17]),
        int(fields[21]) * _PAGE_BYTES,
        (int(fields[13]) + int(fields[14])) * _TICK_NS,
    )


def _of_pid(pid: int) -> tuple[_Usage, int] | None:
    """Read what a process uses and how many descriptors it has; None where it has ended."""
    try:
        stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            usage = _usage(process_cpu_clock(pid), stat)
            return None if usage is None else (usage, len(os.listdir(f"/proc/{pid}/fd")))
        finally:
            os.close(stat)
    except OSError:
        return None


def _open_source(pid: int, namespace: int) -> _Source | None:
    opened: list[int] = []
    try:
        opened.append(os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        opened.append(os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        with inside(namespace):
            opened.append(os.open("/proc/thread-self/net/snmp", os.O_RDONLY | os.O_CLOEXEC))
        schedstat = _open_if_there(f"/proc/{pid}/schedstat")
    except Exception as error:
        for descriptor in opened:
            os.close(descriptor)
        if isinstance(error, FileNotFoundError | ProcessLookupError):
            return None
        raise
    stat, descriptors, snmp = opened
    return _Source(
        clock=process_cpu_clock(pid),
        stat=stat,
        descriptors=descriptors,
        snmp=snmp,
        schedstat=schedstat,
        pid=pid,
        family=family_of(pid, namespace),
    )


def _pread(descriptor: int) -> bytes:
    """Read a file of the kernel anew; empty where it cannot be read: PSI that was built in but is
    switched off opens and then refuses, and a group may be gone.
    """
    try:
        return os.pread(descriptor, 1 << 16, 0)
    except OSError:
        return b""


def _open_if_there(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
