"""Samples of a run go into its folder once a second, of every running node and of the host, what
nodes tell of themselves, and when the gateway stood still.

They are taken half a second off the whole seconds of the run's clock. Phases, faults and bursts are
planned on these, and a pass, which goes before the nodes, would take a core from what it measures.
A node that the harness is about to end is sampled once more: nobody can ask it afterwards.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from harness.errors import close_all
from harness.history.events import GatewayStalled
from harness.history.folder import RunFolder
from harness.kernel.netlink import LinkCounters
from harness.runtimes.processes import log_of
from harness.supervisor.cluster import Cluster
from harness.supervisor.sampler import Sampler
from harness.supervisor.scrapes import Scrapes
from harness.supervisor.seldom import Directory

SAMPLE_EVERY_S = 1.0
OFF_S = 0.5  # from the whole seconds of a run's clock
LAST_WAITS_S = 0.02  # at most, until a pass under way lets a node be sampled before its end


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
        load: Sequence[int],
        failed: Callable[[str], None],
        t0_ns: int,
    ) -> None:
        """`load`: the pids of the load generator; `t0_ns`: when the run's clock says 0."""
        self._cluster, self._folder, self._failed = cluster, folder, failed
        places = list(cluster.places.values())
        self._sampler = Sampler(
            [place.namespace for place in places],
            [
                # What one that was brought writes is in its container, and nobody counts it.
                None if place.container else Directory(place.directory, log_of(place))
                for place in places
            ],
        )
        self._tracked: dict[int, int] = {}  # a node's position → its pid
        self.newest: Taken | None = None
        for name, pid in _own(cluster, load).items():
            self._sampler.watch(name, pid)
        gateway = cluster.gateway
        scraper = None if gateway is None else gateway.scraper
        self._scrapes = None if scraper is None else Scrapes(scraper, folder, failed, t0_ns)
        self._t0_s = t0_ns / 1e9
        self._stop = threading.Event()
        self._taking = threading.Lock()
        self._lasts: deque[pa.RecordBatch] = deque()  # taken, and not written yet
        cluster.before_end = self._take_last
        self._thread = threading.Thread(target=self._take, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and let go of every descriptor."""
        self._cluster.before_end = lambda _: None
        others = [] if self._scrapes is None else [self._scrapes.close]
        close_all("sampling", self._stop.set, *others, self._thread.join, self._end)

    def _end(self) -> None:
        with self._taking:
            self._write_lasts()
            self._sampler.close()

    def _take(self) -> None:
        due_s = next_due_s(-math.inf, time.monotonic(), self._t0_s)
        try:
            while True:
                with self._taking:
                    self._follow()
                    counters = self._cluster.fabric.counters()
                    taken = take(self._sampler, counters, self._tracked)
                self._write_lasts()
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

    def _take_last(self, node: str) -> None:
        """Sample a node that is about to be ended. Its end waits for no disk, and for no pass that
        takes long: the judge sees then since when nobody looked.
        """
        if not self._taking.acquire(timeout=LAST_WAITS_S):
            return
        try:
            if not self._stop.is_set():
                self._follow()
                counters, index = self._cluster.fabric.counters(), self._cluster.places[node].index
                self._lasts.append(self._sampler.take(counters, {index}))
        except Exception as error:  # the node is ended all the same
            self._failed(f"sampler: {node}: {type(error).__name__}: {error}")
        finally:
            self._taking.release()

    def _write_lasts(self) -> None:
        while self._lasts:
            self._folder.append("samples.arrow", self._lasts.popleft())

    def _note_stalls(self) -> None:
        gateway = self._cluster.gateway
        for since_ns, until_ns in [] if gateway is None else gateway.stalls():
            self._folder.event(GatewayStalled(since_ns=since_ns, until_ns=until_ns))

    def _follow(self) -> None:
        """Track the processes that run now, and watch the network's helpers."""
        track(self._cluster, self._sampler, self._tracked)
        network = self._cluster.network
        for name, pid in ({} if network is None else network.helpers()).items():
            self._sampler.watch(name, pid, is_load=False)


def _own(cluster: Cluster, load: Sequence[int]) -> dict[str, int]:
    """The run's own processes that are no nodes: pids by name."""
    found = {"supervisor": os.getpid()}
    if cluster.gateway is not None:
        found["gateway"] = cluster.gateway.pid
        if cluster.gateway.scraper is not None:
            found["scraper"] = cluster.gateway.scraper.pid
    return found | {f"load {at}" if at else "load": pid for at, pid in enumerate(load)}


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
    found = {cluster.places[name].index: one for name, one in list(cluster.running.items())}
    running = {index: one.pid for index, one in found.items()}
    for index, pid in list(tracked.items()):
        if running.get(index) != pid:
            sampler.forget(index)
            del tracked[index]
    for index, pid in running.items():
        if index not in tracked:
            sampler.track(index, pid, found[index].account)
            tracked[index] = pid
