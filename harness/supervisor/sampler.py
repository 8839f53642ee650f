"""The sampler reads what each node and the host use, once a second.

That is resident memory, CPU, waits for a core, descriptors, threads, connections, traffic, and what
is read from disks and written to them. Everything is read from descriptors that are kept open (five
a node), so a pass over 1000 nodes takes some 20 ms; what costs more is read seldom (seldom.py). A
node without a live process is absent from a batch, never zero. A node is all its processes: what
its others use is added to what the first does, and costs an opened file for each, as does each
thread, where there is more than one. Memory that forks share counts once (kernel/memory.py), CPU
time also of what came and went between two passes, where there are accounts (kernel/accounts.py).
Pids are those of the sampler's own PID namespace, for containers and bare processes alike.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from harness.history.history import HOST, SAMPLES
from harness.kernel import disks, memory
from harness.kernel.accounts import Account
from harness.kernel.cgroups import open_stats, throttled_us
from harness.kernel.families import Census
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
from harness.supervisor.seldom import EVERY_S, NOTHING, Directory, Seldom, fds_limit, sockets
from harness.supervisor.sources import (
    TICK_NS,
    Gains,
    Held,
    Memory,
    Source,
    Usage,
    Watched,
    count_of,
    cpu_ns,
    io_bytes,
    of_pid,
    open_if_there,
    open_io,
    open_source,
    pread,
    usage_of,
    used,
)

_OF_HOST = ("stat", "meminfo", "pressure/cpu", "pressure/io", "net/softnet_stat", "diskstats")
_NO_TRAFFIC = (None, None, None, None)


class Sampler:
    """Reads nodes and host.

    `namespaces` are the descriptors of the nodes' network namespaces, in the topology's order. The
    namespace, not the process, says which TCP statistics are a node's: a process that has just
    started may not have entered it yet. `directories` are theirs, likewise; without them nobody
    tells of disks. Every method may be called from any thread.
    """

    def __init__(
        self, namespaces: Sequence[int], directories: Sequence[Directory | None] = ()
    ) -> None:
        self._namespaces = tuple(namespaces)
        self._seldom, self._own_due_s = Seldom(directories), 0.0
        self._nodes: dict[int, Source] = {}
        self._watched: dict[str, Watched] = {}  # by name
        self._watched_disk = Gains()
        self._host = {name: open_if_there(f"/proc/{name}") for name in _OF_HOST}
        self._disks = disks.names()
        self._groups = open_stats(os.getpid())
        # Since Linux 6.2; else the folder is listed.
        self._counts_by_size = os.stat("/proc/self/fd").st_size > 0
        self._census, self._memory, self._held = Census(), Memory(), Held()
        self._lock = threading.Lock()  # a descriptor must not be closed, and reused, under a pass

    def track(self, node_index: int, pid: int, account: Account | None = None) -> None:
        """Sample this process as the node from now on, instead of an earlier one.

        A process that is gone is no error. `account`: holds all that it starts.
        """
        source = open_source(pid, self._namespaces[node_index], account)
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

    def watch(self, name: str, pid: int, *, is_load: bool = True) -> None:
        """Add a process that is no node, such as a load generator, to the host's rows.

        It leaves them when it ends. `is_load`: its CPU is the run's own, and not other processes'.
        """
        with self._lock:
            known = self._watched.get(name)
            if known is not None and known.pid == pid:
                return
            stat, io = open_if_there(f"/proc/{pid}/stat"), open_io(pid)
            if known is not None:
                self._watched.pop(name).close()
            if stat is not None:
                self._watched[name] = Watched(pid, process_cpu_clock(pid), stat, io, is_load)
                self._own_due_s = 0.0
            elif io is not None:
                os.close(io)

    def take(
        self, counters: Mapping[int, LinkCounters], only: Collection[int] | None = None
    ) -> pa.RecordBatch:
        """Return one row for each live node, or `only` for these; schema SAMPLES.

        `counters` is what the fabric counted just now.
        """
        rows: list[tuple[int | None, ...]] = []
        with self._lock:
            families = self._census.families()
            self._memory.begin()
            self._held.begin()
            pids = {node: source.pid for node, source in self._nodes.items()}
            looks = self._seldom.look(pids, time.monotonic())
            for node_index, source in sorted(self._nodes.items()):
                if only is not None and node_index not in only:
                    continue
                accounted = set(source.account.pids() if source.account else ())
                family = accounted.union(families.get(source.family, ()) if source.family else ())
                found = self._usage_of(node_index, source, family, accounted)
                if found is None:
                    continue
                usage, descriptors, pids_of = found
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
                        source.pid,
                        looks.get(node_index, NOTHING).disk_bytes,
                        looks.get(node_index, NOTHING).fds_limit,
                        io_bytes(source, family),
                        len(pids_of),
                        self._held.of(node_index, pids_of),
                    )
                )
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(SAMPLES)
        return pa.record_batch(columns, schema=SAMPLES)

    def _usage_of(
        self, node_index: int, source: Source, family: Collection[int], accounted: set[int]
    ) -> tuple[Usage, int, Collection[int]] | None:
        """Return what a node uses, its descriptors, and its processes; None where its first one has
        ended.
        """
        usage = usage_of(source.clock, source.stat)
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
        used = {source.pid: usage}
        for pid in family:
            other = of_pid(pid) if pid != source.pid else None
            if other is not None:
                used[pid] = other[0]
                descriptors += other[1]
        used_ns = {pid: one.cpu_ns + one.waited_ns for pid, one in used.items()}
        total_ns = cpu_ns(source, used_ns, accounted)
        rss_bytes = self._memory.of(node_index, {pid: one.rss_bytes for pid, one in used.items()})
        threads = sum(one.threads for one in used.values())
        total = Usage(usage.at_ns, source.cpu.count(total_ns), threads, rss_bytes, 0)
        return total, descriptors, used.keys()

    def _run_delay_ns(self, source: Source, threads: int, family: Collection[int]) -> int | None:
        """Return how long a node could run and waited for a core; None where nobody tells."""
        if source.schedstat is None:
            return None
        if threads > 1:
            pids = {source.pid, *family}
            return source.run_delay.count(sum(map(run_delay_of_threads_ns, pids)))
        try:  # it has no other process
            return source.run_delay.count(run_delay_ns(os.pread(source.schedstat, 128, 0)))
        except OSError:  # it has ended since
            return source.run_delay.gained

    def host(self) -> pa.RecordBatch:
        """Return one row about the host and the watched processes, schema HOST."""
        with self._lock:
            busy, steal = cpu_ticks(self._read("stat"))
            load_cpu_ns, own = self._own()
            on_disks = disks.use(self._read("diskstats"), self._disks)
            row = {
                "at_ns": time.monotonic_ns(),
                "cpu_busy_ns": busy * TICK_NS,
                "cpu_steal_ns": steal * TICK_NS,
                "psi_cpu_some_us": psi_some_us(self._read("pressure/cpu")),
                "memory_available_bytes": memory_available_bytes(self._read("meminfo")),
                "load_cpu_ns": load_cpu_ns,
                "packets_dropped": packets_dropped(self._read("net/softnet_stat")),
                "cpu_throttled_us": self._throttled_us(),
                "own": own,
                "psi_io_some_us": psi_some_us(self._read("pressure/io")),
                "disk_io_bytes": None if on_disks is None else on_disks[0],
                "disks_busy_ms": None if on_disks is None else list(on_disks[1].items()),
                "load_io_bytes": self._load_io_bytes(),
            }
        return pa.RecordBatch.from_pylist([row], schema=HOST)

    def _own(self) -> tuple[list[tuple[str, int]], list[dict[str, Any]]]:
        """Read the watched processes: what CPU those of the load used, and what each has."""
        is_due = time.monotonic() >= self._own_due_s
        self._own_due_s = time.monotonic() + EVERY_S if is_due else self._own_due_s
        load_cpu_ns, own = [], []
        for name, one in list(self._watched.items()):
            fds = count_of(one.pid)
            usage = usage_of(one.clock, one.stat)
            if usage is None:
                self._watched.pop(name).close()
                continue
            if one.is_load:
                load_cpu_ns.append((name, usage.cpu_ns))
            own.append(
                {
                    "name": name,
                    "pid": one.pid,
                    "rss_bytes": usage.rss_bytes,
                    "fds": fds,
                    "threads": usage.threads,
                    "sockets": sockets(one.pid) if is_due else None,
                    "fds_limit": fds_limit(one.pid) if is_due else None,
                    "memory_bytes": memory.held([one.pid]),
                }
            )
        return load_cpu_ns, own

    def _load_io_bytes(self) -> int | None:
        said = [used(one.io) for one in self._watched.values() if one.io is not None]
        told = [one for one in said if one is not None]
        return self._watched_disk.count(sum(told)) if told else None

    def _throttled_us(self) -> int | None:
        said = [throttled_us(pread(one)) for one in self._groups]
        told = [one for one in said if one is not None]
        return sum(told) if told else None

    def _read(self, name: str) -> bytes:
        descriptor = self._host[name]
        return b"" if descriptor is None else pread(descriptor)

    def close(self) -> None:
        """Close every descriptor. May be called twice."""
        with self._lock:
            for source in self._nodes.values():
                source.close()
            for one in self._watched.values():
                one.close()
            for descriptor in self._host.values():
                if descriptor is not None:
                    os.close(descriptor)
            self._nodes.clear()
            self._watched.clear()
            self._host = dict.fromkeys(self._host)
            for descriptor in self._groups:
                os.close(descriptor)
            self._groups = []
