"""Samples of a run go into its folder once a second, of every running node and of the host, and
when the gateway stood still.

They are taken half a second off the whole seconds of the run's clock. Phases, faults and bursts are
planned on these, and a pass, which goes before the nodes, would take a core from what it measures.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa

from harness.errors import close_all
from harness.history.events import GatewayStalled
from harness.history.folder import RunFolder
from harness.kernel.netlink import LinkCounters
from harness.supervisor.cluster import Cluster
from harness.supervisor.sampler import Sampler

SAMPLE_EVERY_S = 1.0
OFF_S = 0.5  # from the whole seconds of a run's clock


def next_due_s(due_s: float, now_s: float, t0_s: float) -> float:
    """Return when the pass after the one of `due_s` is due: at the next moment that is so far off a
    whole second, or at once where that has passed.
    """
    last_s = now_s - (now_s - t0_s - OFF_S) % SAMPLE_EVERY_S
    return max(due_s + SAMPLE_EVERY_S, last_s)


class Taken(NamedTuple):
    """What one pass found: batches of SAMPLES and of HOST, and each node's pid then."""

    nodes: pa.RecordBatch
    host: pa.RecordBatch
    pids: dict[int, int]  # by the node's position


class Samples:
    """Takes samples in a thread of its own, from its making until `close`."""

    def __init__(
        self,
        cluster: Cluster,
        folder: RunFolder,
        watched: Iterable[int],
        failed: Callable[[str], None],
        t0_ns: int,
    ) -> None:
        """`watched`: pids of the run's own processes that are no nodes; `t0_ns`: when its clock
        says 0.
        """
        self._cluster, self._folder, self._failed = cluster, folder, failed
        self._sampler = Sampler([place.namespace for place in cluster.places.values()])
        self._tracked: dict[int, int] = {}  # a node's position → its pid
        self.newest: Taken | None = None
        for pid in watched:
            self._sampler.watch(str(pid), pid)
        self._t0_s = t0_ns / 1e9
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and let go of every descriptor."""
        close_all("sampling", self._stop.set, self._thread.join, self._sampler.close)

    def _take(self) -> None:
        due_s = next_due_s(-math.inf, time.monotonic(), self._t0_s)
        try:
            while True:
                track(self._cluster, self._sampler, self._tracked)
                counters = self._cluster.fabric.counters()
                taken = take(self._sampler, counters, self._tracked)
                self._folder.append("samples.arrow", taken.nodes)
                self._folder.append("host.arrow", taken.host)
                self.newest = taken
                self._note_stalls()
                due_s = next_due_s(due_s, time.monotonic(), self._t0_s)
                if self._stop.wait(max(0.0, due_s - time.monotonic())):
                    self._note_stalls()  # or the next run would be told of them
                    return
        except Exception as error:  # a run without samples must not look like a quiet one
            self._failed(f"sampler: {type(error).__name__}: {error}")

    def _note_stalls(self) -> None:
        gateway = self._cluster.gateway
        for since_ns, until_ns in [] if gateway is None else gateway.stalls():
            self._folder.event(GatewayStalled(since_ns=since_ns, until_ns=until_ns))


def take(
    sampler: Sampler, counters: Mapping[int, LinkCounters], tracked: Mapping[int, int]
) -> Taken:
    """Make one pass over what `track` had a sampler track."""
    return Taken(sampler.take(counters), sampler.host(), dict(tracked))


def track(cluster: Cluster, sampler: Sampler, tracked: dict[int, int]) -> None:
    """Have a sampler track the processes that run now, and forget those that do not. `tracked`:
    a node's position → its pid as it was, which is brought up to date.
    """
    # as a list: a node may stop meanwhile
    running = {cluster.places[name].index: one.pid for name, one in list(cluster.running.items())}
    for index, pid in list(tracked.items()):
        if running.get(index) != pid:
            sampler.forget(index)
            del tracked[index]
    for index, pid in running.items():
        if index not in tracked:
            sampler.track(index, pid)
            tracked[index] = pid
