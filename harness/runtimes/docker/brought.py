"""Nodes that a program brings: containers that run already, which somebody else made and will end.

Each stands in a network namespace of Docker's, where the fabric adds one link. It is paused, killed
and limited like any other node; what a fault ended, or stopped, or limited is undone at the latest
when the cluster ends. It starts anew as the engine starts it, in another namespace, into which its
link follows it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from harness.errors import HarnessError, NodeStartError, UnavailableError, close_all
from harness.faults.fault import Condition
from harness.faults.limits import UNLIMITED
from harness.faults.programs import Program
from harness.kernel import accounts, cgroups
from harness.kernel.accounts import Account
from harness.kernel.frames import Counter
from harness.runtimes import processes
from harness.runtimes.docker import containers, output
from harness.runtimes.docker.containers import Container
from harness.runtimes.docker.engine import Engine, connect
from harness.runtimes.resident import Resident
from harness.runtimes.runtime import Cost, Ending, Ground, Place, Process, Running

NOT_SEEN = "UNKNOWN: what nodes write in their containers, and say by ports that the host publishes"
ITS_OWN = "a container that was brought starts as it was made"


class BroughtRuntime(processes.HostProcesses):
    """One cluster's nodes as containers that were brought. Raises as Runtime says."""

    name: ClassVar[str] = "brought"

    def __init__(self, *, label: str, state: Path, ids: Mapping[str, str]) -> None:
        """`ids`: node → container."""
        super().__init__(label=label, state=state)
        self._ids = ids
        self._engine: Engine | None = None
        self._moved: Callable[[str, int], None] = lambda *_: None
        self._found: dict[str, Container] = {}
        self._counters: dict[str, Counter] = {}
        self._conditions: dict[str, Condition] = {}  # that a fault brought nodes into
        self._facts: dict[str, str] = {}

    @classmethod
    def require_program(cls, program: Program) -> None:
        """See Runtime. None can: it is not the harness that starts them."""
        del program
        raise UnavailableError(f"program: {ITS_OWN}")

    def cost(self, nodes: int) -> Cost:
        """See Runtime. They run already."""
        del nodes
        return Cost(node_bytes=100_000, node_tasks=0)

    def ground(self, moved: Callable[[str, int], None]) -> Mapping[str, Ground]:
        """See Runtime. Raises before anything of the containers has changed."""
        self._moved = moved
        self._engine = connect()
        self._found = containers.look(self._engine, self._ids)
        return {
            node: Ground(namespace=_namespace(one), address=one.address, container=one.name)
            for node, one in self._found.items()
        }

    def start(
        self,
        launches: Iterable[tuple[Place, Process]],
        started: Callable[[Running], None],
        doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """See Runtime. What runs in them is entered, and followed."""
        del doing
        self._facts = {**self._running_engine.versions(), **self._told()}
        for place, process in list(launches):
            found = self._found[place.node.name]
            started(self._register(place, process, self._running(place, found)))
        for node in self._found:
            self._count(node)

    def set_condition(self, node: str, condition: Condition) -> Running | None:
        """See Runtime."""
        found = self._found.get(node)
        if found is not None and found.is_removed and condition.is_down:
            raise UnavailableError(
                f"node {node}: the engine removes container {found.name} as soon as it ends "
                "(auto_remove), so that it could not come back; possible: paused"
            )
        running = super().set_condition(node, condition)
        self._conditions[node] = condition
        return running

    def require(self, node: str, process: Process) -> None:
        """See Runtime."""
        del process
        raise UnavailableError(f"node {node} cannot start otherwise: {ITS_OWN}")

    def outside(self, node: str) -> list[str]:
        """See Runtime. All that it wrote stands in its container."""
        return [f"all that is in container {self._found[node].name}"]

    def ending(self, node: str) -> Ending:
        """See Runtime. The engine tells, until the container is removed."""
        with suppress(HarnessError):
            return Ending(code=self._running_engine.exit_code(self._found[node].id))
        return Ending()

    def troubles(self) -> list[str]:
        """See Runtime. What one node got of another past the hub was under no fault."""
        past = {node: counter.count() for node, counter in self._counters.items()}
        said = [f"{count:,} of {node}" for node, count in past.items() if count]
        if said:
            self._troubles.append(
                "packets that other nodes sent came past the harness's network, where no fault "
                f"acts and nothing is counted: {', '.join(said)}"
            )
        return super().troubles()

    def facts(self) -> Mapping[str, str]:
        """See Runtime: versions, and which container of which image each node is."""
        return {"runtime": self.name, **self._facts}

    def close(self) -> None:
        """See Runtime. Leaves them as they were found."""
        engine, self._engine = self._engine, None
        residents = list(self._residents.items())
        close_all(
            "the containers that were brought",
            *(one.close for one in self._counters.values()),
            *(partial(self._undo, node, one, engine) for node, one in residents),
            self._counters.clear,
            self._residents.clear,
            *(partial(os.close, pidfd) for pidfd in self._pidfds),
            self._pidfds.clear,
            partial(cgroups.remove_all, self.owner_of_groups),
            *(() if engine is None else (engine.close,)),
        )

    def _undo(self, node: str, resident: Resident, engine: Engine | None) -> None:
        """Undo what faults did to a container that nobody took back."""
        with resident.changing:
            condition = self._conditions.get(node, Condition.RUNNING)
            if resident.limiter is not None:
                resident.limiter.limit(UNLIMITED)
            if condition is Condition.PAUSED:
                resident.go_on()
            elif condition.is_down and engine is not None:
                engine.start(self._found[node].id, node, again=True)

    @property
    def _running_engine(self) -> Engine:
        if self._engine is None:
            raise HarnessError("containers that were brought were asked for after `close`")
        return self._engine

    def _told(self) -> dict[str, str]:
        """Say which containers they are."""
        told = {"not seen": NOT_SEEN}
        for node, one in self._found.items():
            digests = ", ".join(self._running_engine.digests(one.image_id))
            told[f"container of {node}"] = (
                f"{one.name} ({one.id[:12]}) of {one.image}, image {one.image_id}, digest "
                f"{digests or 'UNKNOWN: no registry has told of it'}"
            )
        return told

    def _account(self, running: Running) -> Account | None:
        return accounts.of_container(running.pid, self._found[running.node].id)

    def _running(self, place: Place, found: Container) -> Running:
        """Look at what runs in a container, and follow what it writes. Raises NodeStartError."""
        try:
            pidfd = os.pidfd_open(found.pid)
        except OSError as error:
            raise NodeStartError(
                f"node {found.node}: container {found.name} has just ended"
            ) from error
        try:
            output.follow(
                *(self._running_engine, found.id, found.started_s, place), self._troubles.append
            )
        except BaseException:
            os.close(pidfd)
            raise
        return Running(node=found.node, pid=found.pid, pidfd=pidfd, container=found.id)

    def _count(self, node: str) -> None:
        """Count what comes past the hub, to a node from where it is now, and from it."""
        if (before := self._counters.pop(node, None)) is not None:
            before.close()
        self._counters[node] = Counter(self._resident(node).place.namespace, self._others(node))
        for other, counter in self._counters.items():
            counter.follow(self._others(other))

    def _others(self, node: str) -> list[str]:
        """List the MACs of all nodes but one."""
        return sorted(mac for one in self._found.values() if one.node != node for mac in one.macs)

    def _spawn(self, place: Place, process: Process) -> Running:
        del process  # it starts as its container was made
        node, engine = place.node.name, self._running_engine
        engine.start(self._found[node].id, node, again=True)
        try:
            self._found[node] = found = containers.again(engine, self._found[node])
            self._moved(node, _namespace(found))
            self._count(node)
            return self._running(place, found)
        except BaseException:
            with suppress(HarnessError):
                engine.kill(self._found[node].id)  # else it would run where no fault acts
            raise


def _namespace(found: Container) -> int:
    """Open the network namespace of a container. Raises NodeStartError."""
    try:
        return os.open(f"/proc/{found.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NodeStartError(f"node {found.node}: container {found.name} has just ended") from error
