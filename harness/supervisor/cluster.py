"""A cluster while it is up: its places, the processes in them, their conditions.

It is their one owner; the supervisor composes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean, listed
from harness.control.progress import Progress
from harness.errors import HarnessError, NodeStartError, UsageError, close_all
from harness.faults.fault import Condition
from harness.faults.programs import Program
from harness.kernel import mounts
from harness.kernel.proc import is_readable
from harness.network.fabric import Fabric, Wire
from harness.network.network import Network
from harness.runtimes import owner
from harness.runtimes.processes import last_lines, log_of, tail
from harness.runtimes.runtime import (
    Ending,
    Ground,
    Image,
    Place,
    Process,
    Recipe,
    Running,
    Runtime,
)
from harness.supervisor import overlay
from harness.supervisor.clocks import Clocks
from harness.supervisor.directories import Directories
from harness.supervisor.disks import Disks
from harness.supervisor.readiness import Readiness
from harness.systems.adapter import DrivenAdapter, Endpoint, NodeAdapter, facts_of
from harness.systems.gateway.launcher import Gateway
from harness.topology.topology import Topology

LOG_LINES_IN_ERRORS = 12
STARTING = "starting"  # the status of a node that has said nothing yet
CLEARED_AT_ONCE = 8


class Cluster:
    """The nodes of one topology on one runtime.

    `up` blocks; the other methods may be called from any thread.
    """

    def __init__(
        self,
        topology: Topology,
        adapter: NodeAdapter,
        runtime: Runtime,
        fabric: Fabric,
        folder: Path,
    ) -> None:
        self.topology = topology
        self.topology_digest = topology.digest()
        self.adapter = adapter
        self.runtime = runtime
        self.fabric = fabric
        self.places: dict[str, Place] = {}
        self.clocks, self.disks = Clocks(()), Disks(())  # of those that have their own
        self.directories = Directories(())
        self.endpoints: dict[str, Endpoint] = {}
        self.running: dict[str, Running] = {}
        self.conditions: dict[str, Condition] = {}
        # Of nodes that ended by themselves and were not started since: how, and when.
        self.ended: dict[str, tuple[Ending, int]] = {}
        self._processes: dict[str, Process] = {}
        self.network: Network | None = None  # once it is wired
        self.gateway: Gateway | None = None  # where the system has no control protocol itself
        self._lock = threading.Lock()
        self._folder = folder
        # Has it told that a node ended by itself, where nobody has, before it is changed.
        self.settle: Callable[[str], None] = lambda _: None
        self.before_end: Callable[[str], None] = lambda _: None  # told who is about to be ended
        self.haste: set[str] = set()  # why nobody waits for nodes now
        self.readiness = Readiness(folder / "notify" / "socket")

    def up(self, progress: Progress) -> None:
        """Wire and start the nodes; wait until all are ready and the overlay is one connected
        component.

        Raises NodeStartError with the node's last log lines where one dies or stays silent.
        """
        total = len(self.topology.nodes)
        self.runtime.warm(self.adapter.zygotes, total)
        grounds = self.runtime.ground(self._move)
        places = self._placed(self.fabric.make(self.topology.nodes, grounds), grounds)
        self.places = {place.node.name: place for place in places}
        self.disks, self.clocks = Disks(places), Clocks(places)
        self.disks.mount()
        wired = self._wired(progress)
        if isinstance(self.adapter, DrivenAdapter):
            wired = iter(list(wired))  # its programs may run in the network before any node does
            self.adapter.follow(progress)
        launches = self.clocks.give(self.adapter.prepare(self.topology, places, self._folder))
        self._processes = {place.node.name: process for place, process in launches}
        if not all(process.zygote for _, process in launches):
            wired = iter(list(wired))  # what no zygote holds runs at once: the network stands
        of_node = {launch[0].node.name: launch for launch in launches}
        joined = (of_node[name] for name in wired if name in of_node)
        self.endpoints = {endpoint.node: endpoint for endpoint in self.adapter.endpoints(places)}
        is_driven = isinstance(self.adapter, DrivenAdapter)
        sockets = [endpoint.control for endpoint in self.endpoints.values()] if is_driven else []
        ours = [*sockets, *map(str, self.clocks.paths)]
        self.directories = Directories(places, ours, wipes=self.adapter.wipes)
        if is_driven:
            page = self.adapter.metrics
            self.gateway = Gateway(self.topology.adapter, places, self._folder, page)
        self._expect(list(self.places))

        def started(running: Running) -> None:
            with self._lock:
                self.running[running.node] = running
                self.conditions[running.node] = Condition.RUNNING
                done = len(self.running)
            progress("start", done, total)

        with _stages(progress) as doing:
            self.runtime.start(joined, started, doing)
        self._wait_ready(list(self.places), progress)
        if self.adapter.keeps_links:
            overlay.check(self.adapter, self.endpoints, self.topology)

    def _wired(self, progress: Progress) -> Iterator[str]:
        """Yield each node once it is joined to the network, which stands in the end: a zygote forks
        some while others are joined, and holds them.
        """
        total = len(self.topology.nodes)
        for wire in self.fabric.join(lambda done: progress("wire", done, total)):
            yield wire.node
        self.network = Network(
            self.fabric,
            self.topology.nodes,
            seed=self.topology.seed,
            baseline=self.topology.baseline,
            ports=self.adapter.ports,
        )

    def _move(self, node: str, namespace: int) -> None:
        """Follow a node that was brought into another namespace, with all that look into it."""
        self.fabric.move(node, namespace)
        if self.gateway is not None:
            self.gateway.moved([self.places[node]])

    def _placed(self, wires: Sequence[Wire], grounds: Mapping[str, Ground]) -> list[Place]:
        return [
            Place(
                node=node,
                index=index,
                address=wire.address,
                directory=self._folder / "nodes" / node.name,
                namespace=wire.namespace,
                container=grounds[node.name].container if grounds else None,
            )
            for index, (node, wire) in enumerate(zip(self.topology.nodes, wires, strict=True))
        ]

    def _expect(self, names: list[str]) -> None:
        """Have readiness and the gateway know that these nodes are about to start."""
        for name in names:
            self.readiness.expect(name)
        if self.gateway is not None:
            self.gateway.expect(names)

    def _wait_ready(self, names: list[str], progress: Progress) -> None:
        """Raise NodeStartError where one is not ready when it has been silent for too long."""
        silent = self._silent(names, progress)
        if silent:
            raise NodeStartError(
                f"{len(silent)} of {len(names)} nodes are not ready and said nothing new for "
                f"{self.topology.silence_s:g} s, the first is {silent[0]} "
                f"({self._last_status(silent[0])}). "
                f"Its last log lines:\n{self.last_lines(silent[0])}"
            )

    def _last_status(self, name: str) -> str:
        return f"last status: {self.readiness.statuses.get(name, 'nothing')}"

    def not_ready(self, name: str) -> str:
        """Say that a node which runs is not ready; empty where it is, or does not run."""
        runs = self.conditions.get(name) is Condition.RUNNING and not self.has_ended(name)
        if not runs or name in self.readiness.ready:
            return ""
        return f"not ready yet ({self._last_status(name)})"

    def _silent(self, names: list[str], progress: Progress) -> list[str]:
        """Wait until all are ready, or have said nothing new for too long; return those that are
        not. Raises NodeStartError where one ends.
        """

        def tick(ready: int) -> None:
            if self.gateway is not None and self.gateway.has_ended:
                raise HarnessError(
                    f"the gateway, which speaks to the nodes, ended{last_lines(self.gateway.log)}"
                )
            for name in names:
                is_noted = name not in self.running
                if name not in self.readiness.ready and (is_noted or self.has_ended(name)):
                    how = self.runtime.ending(name).words_at_start
                    raise NodeStartError(
                        f"node {name} ended while starting: {how}. Its last log "
                        f"lines:\n{self.last_lines(name)}"
                    )
            progress("ready", ready, len(names))

        return self.readiness.wait(names, self.topology.silence_s, tick)

    def has_ended(self, name: str) -> bool:
        """Whether the node's process has ended (its pidfd is readable)."""
        running = self.running.get(name)
        return running is not None and is_readable(running.pidfd)

    def last_lines(self, name: str, count: int = LOG_LINES_IN_ERRORS) -> str:
        """Return the last lines of a node's log. Raises UsageError for a node that is not there."""
        self.require(name)
        with suppress(OSError):
            return "\n".join(tail(log_of(self.places[name]), count)) or "(empty)"
        return "(no log)"

    def require(self, name: str) -> None:
        """Raise UsageError where there is no such node."""
        if name not in self.places:
            raise UsageError(
                f"there is no node {name!r} in cluster topology {self.topology.name!r}"
                f"{did_you_mean(name, self.places)}; there are {listed(self.places, name)}"
            )

    def set_condition(self, name: str, condition: Condition) -> bool:
        """Bring a node into a condition; return whether it was in another one.

        One that is down already is only called otherwise. That one has ended by itself is told
        before. `await_ready` has to follow a start.
        """
        self.require(name)
        self.settle(name)
        with self._lock:
            before = self.conditions.get(name, Condition.RUNNING)
            if before == condition and not self.has_ended(name):
                return False
            if condition.is_down:
                if not before.is_down and self.has_ended(name):
                    return False  # just now: whoever looks tells of that
                self.conditions[name] = condition  # before it ends: it does not end by itself
                if before.is_down:
                    return False
        if condition is Condition.RUNNING and before is not Condition.PAUSED:
            if self.directories.starts(self.places[name], self.runtime):
                self.disks.wiped(name)
            self._expect([name])
            self.clocks.starts(name)
        elif condition.is_down and self.gateway is not None:
            self.gateway.gone([name])
        try:
            running = self.runtime.set_condition(name, condition)
        except HarnessError:
            self.conditions[name] = before
            raise
        with self._lock:
            if running is not None:
                self.running[name] = running
                self.ended.pop(name, None)
            elif condition.is_down:
                self.running.pop(name, None)
            self.conditions[name] = condition
        return True

    def await_ready(self, name: str, is_wanted: Callable[[str], bool] = lambda _: False) -> None:
        """Wait until a node that was started is ready, or says nothing new: without its neighbours
        it runs and cannot be ready. One that was ready all along is not waited for, one that
        `is_wanted` only until it has said anything, so that it can be asked to journal, and none
        in `haste`.
        """

        def look(*_: object) -> None:
            has_said = self.readiness.statuses.get(name) != STARTING
            if self.haste or (has_said and is_wanted(name)):
                raise _EnoughError

        try:
            self._silent([name], look)
        except _EnoughError:
            self.readiness.hurried.add(name)

    def process_of(self, name: str, program: Program) -> Process:
        """Return what a node runs as by this program."""
        own, values = self._processes[name], self.places[name].fields
        image = Image(program.image, Recipe.REFERENCE) if program.image else own.image
        return replace(own, argv=program.argv(own.argv, values), image=image)

    def note_ended(self, names: Sequence[str]) -> list[str]:
        """Note which of these nodes' first processes have ended by themselves, and return those of
        which nobody has noted it. Takes no time.
        """
        with self._lock:
            ended = [
                name
                for name in names
                if not self.conditions.get(name, Condition.RUNNING).is_down and self.has_ended(name)
            ]
            for name in ended:
                self.running.pop(name, None)
                self.conditions[name] = Condition.STOPPED
        if ended and self.gateway is not None:
            self.gateway.gone(ended)
        return ended

    def clear(self, names: Sequence[str]) -> None:
        """End what nodes left that ended by themselves."""

        def one(name: str) -> None:
            with suppress(HarnessError):  # what the kernel holds is not ended by anybody
                self.runtime.clear(name)

        with ThreadPoolExecutor(CLEARED_AT_ONCE, thread_name_prefix="clear") as pool:
            list(pool.map(one, names))

    def rows(self) -> list[dict[str, Any]]:
        """List the nodes as `status` shows them."""
        return [
            {
                "name": name,
                "index": place.index,
                "address": place.address,
                "region": place.node.region,
                "pid": self.running[name].pid if name in self.running else None,
                "condition": str(self.conditions.get(name, "starting")),
                "control": self.endpoints[name].control if name in self.endpoints else None,
                "wire_id": self.endpoints[name].wire_id.hex() if name in self.endpoints else None,
            }
            for name, place in self.places.items()
        ]

    def facts(self) -> dict[str, Any]:
        """Tell what a run's metadata says of the system under test and its nodes."""
        return {
            "topology": self.topology.name,
            **facts_of(self.adapter),
            "nodes": self.rows(),
            "uncounted": list(self.runtime.uncounted()),
        }

    def _unmake(self) -> None:
        """Let go of the clocks and disks that nodes have of their own."""
        self.clocks.close()
        mounts.remove_below(self._folder)

    def close(self) -> None:
        """End everything, in the order that leaves nothing: processes, then the network.

        Raises HarnessError with all that failed, after every step was tried.
        """
        speakers = [one.close for one in (self.gateway, self.network) if one is not None]
        close_all(
            "the cluster",
            *speakers,
            self.runtime.close,
            lambda: owner.end_processes(self._folder),  # commands of `harness exec`
            self._unmake,
            self.fabric.close,
            self.readiness.close,
        )


class _EnoughError(Exception):
    """Somebody waits no longer."""


@contextmanager
def _stages(progress: Progress) -> Iterator[Callable[[str], None]]:
    """Show what a runtime says it is doing as stages, each of which ends when the next begins."""
    under_way: list[str] = []

    def doing(what: str) -> None:
        finish()
        under_way.append(what)
        progress(what, 0, 1)

    def finish() -> None:
        while under_way:
            progress(under_way.pop(), 1, 1)

    yield doing
    finish()
