"""What a cluster uses now, for whoever monitors it: the answer to `metrics` on the control socket.

While a run is recorded, its newest samples are told, and nothing is read for it. Else nodes and
host are read when somebody asks, at most once in EVERY_S however many ask. What nobody has asked
for in IDLE_S costs no descriptor any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from harness.supervisor.cluster import Cluster
from harness.supervisor.fault_player import FaultPlayer
from harness.supervisor.recording import Recording
from harness.supervisor.sampler import Sampler
from harness.supervisor.samples import Taken, take, track

VERSION = 1
EVERY_S = 0.9  # who asks once a second gets something new each time
IDLE_S = 60.0
OLD_NS = 5_000_000_000  # what was sampled before that is not so now
STATUS = (
    "cluster", "pid", "stage", "runtime", "system", "topology", "up_since", "run", "phase",
    "last_run",
)  # fmt: skip
FAULT = ("name", "does", "paths", "nodes", "in_force_s", "left_s")
NODE_COLUMNS = ("node", "rss_bytes", "cpu_ns", "fds", "bytes_in", "bytes_out")


class Usage:
    """Tells what nodes and host use. Every method may be called from any thread."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._sampler: Sampler | None = None  # from the first who asks without a run
        self._tracked: dict[int, int] = {}
        self._newest: Taken | None = None
        self._asked_s = self._taken_s = 0.0
        # What a total was last: the sampler of a run counts anew, and totals must not fall. Node →
        # its pid, CPU ns; name of a process → CPU ns.
        self._cpu_ns: dict[int, tuple[int, int]] = {}
        self._processes_ns: dict[str, int] = {}

    def told(
        self, status: Mapping[str, Any], player: FaultPlayer | None, recording: Recording | None
    ) -> dict[str, Any]:
        """Return the answer to `metrics` (docs/interfaces.md), of a cluster of this status."""
        is_up = status["stage"] == "up"
        faults = player.listed()["faults"] if is_up and player is not None else []
        return {
            **{name: status[name] for name in STATUS},
            "version": VERSION,
            "nodes": [[node["name"], node["condition"]] for node in status["nodes"]],
            "ended": sorted(self._cluster.ended),
            "faults": [{name: fault[name] for name in FAULT} for fault in faults],
            "used": self.now(recording) if is_up else {},
        }

    def now(self, recording: Recording | None) -> dict[str, Any]:
        """Return `nodes`, rows of NODE_COLUMNS of those whose process still runs, and `host`, the
        row of HOST; both are missing where nothing was sampled just now.
        """
        with self._lock:
            found = self._of_run(recording) or self._taken()
            if found is None:
                return {}
            [row] = found.host.to_pylist()
            if time.monotonic_ns() - row["at_ns"] > OLD_NS:
                return {}
            row["load_cpu_ns"] = self._of_processes(dict(row["load_cpu_ns"]), recording)
            columns = [found.nodes.column(name).to_pylist() for name in NODE_COLUMNS]
            nodes = self._rising(zip(*columns, strict=True), found.pids)
            return {"nodes": nodes, "host": row, "cores": os.cpu_count()}

    def _of_run(self, recording: Recording | None) -> Taken | None:
        samples = None if recording is None else recording.samples
        if samples is None or samples.newest is None:
            return None
        self._let_go()
        return samples.newest

    def _taken(self) -> Taken | None:
        """Sample nodes and host, unless that was just done."""
        now_s = time.monotonic()
        self._asked_s = now_s
        if self._newest is not None and now_s - self._taken_s < EVERY_S:
            return self._newest
        if self._sampler is None:
            places = self._cluster.places.values()
            self._sampler = Sampler([place.namespace for place in places])
            self._sampler.watch(str(os.getpid()), os.getpid())
            if (gateway := self._cluster.gateway) is not None:
                self._sampler.watch(str(gateway.pid), gateway.pid)
        track(self._cluster, self._sampler, self._tracked)
        counters = self._cluster.fabric.counters()
        self._newest = take(self._sampler, counters, self._tracked)
        self._taken_s = now_s
        return self._newest

    def _rising(
        self, sampled: Iterable[tuple[Any, ...]], pids: Mapping[int, int]
    ) -> list[tuple[Any, ...]]:
        """The rows of nodes that have the same process still, whose CPU time never falls. One that
        is being ended is said to be down, and uses nothing.
        """
        conditions = self._cluster.conditions
        running = {
            self._cluster.places[name].index: process.pid
            for name, process in list(self._cluster.running.items())
            if not conditions[name].is_down
        }
        found = []
        for node, rss, cpu_ns, *rest in sampled:
            pid = running.get(node)
            if pid is None or pid != pids.get(node):
                continue
            before_pid, before_ns = self._cpu_ns.get(node, (pid, 0))
            total_ns = max(cpu_ns, before_ns) if pid == before_pid else cpu_ns
            self._cpu_ns[node] = pid, total_ns
            found.append((node, rss, total_ns, *rest))
        return found

    def _of_processes(
        self, cpu_ns: Mapping[str, int], recording: Recording | None
    ) -> dict[str, int]:
        """The CPU time of the harness's own processes by what they are; that of the load is the sum
        of all its processes in this run, also of those that ended.
        """
        known = {str(os.getpid()): "supervisor"}
        if (gateway := self._cluster.gateway) is not None:
            known[str(gateway.pid)] = "gateway"
        run = "" if recording is None else str(recording.folder.path)
        prefix = f"load {run} "
        self._processes_ns = {
            name: before
            for name, before in self._processes_ns.items()
            if not name.startswith("load ") or (run and name.startswith(prefix))
        }
        for pid, now_ns in cpu_ns.items():
            name = known.get(pid, prefix + pid)
            self._processes_ns[name] = max(now_ns, self._processes_ns.get(name, 0))
        found: dict[str, int] = {}
        for name, total_ns in self._processes_ns.items():
            kind = name.partition(" ")[0]
            found[kind] = found.get(kind, 0) + total_ns
        return found

    def rest(self) -> None:
        """Let go of what nobody asked for in a while."""
        with self._lock:
            if time.monotonic() - self._asked_s > IDLE_S:
                self._let_go()

    def close(self) -> None:
        """Let go of every descriptor."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
        self._sampler, self._newest, self._tracked = None, None, {}
