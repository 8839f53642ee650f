"""Nodes as containers, in prepared namespaces and without Docker's networking.

A container starts in the host's network, which costs the engine nothing; the helper in it
(entry.py) enters the node's namespace before the node's program runs. In a large cluster ten nodes
share a container, whose program is a zygote. A node of a pod joins the network of a pause
container, whose helper has entered the namespace.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from harness.errors import HarnessError, NodeStartError, UnavailableError, close_all
from harness.faults.programs import Program
from harness.kernel import accounts
from harness.kernel.accounts import Account
from harness.kernel.proc import is_readable
from harness.runtimes import processes, zygote
from harness.runtimes.docker import entry, image, labels, output
from harness.runtimes.docker.engine import THREADS, Engine, connect
from harness.runtimes.runtime import Cost, Ending, Image, Place, Process, Running
from harness.runtimes.zygote import Zygote

NODES_A_CONTAINER = 10
PACKED_ABOVE = 100
FILES_SAID = 3
HOLD = "--hold"  # the helper's command of a pause container: enter, and stay


class DockerRuntime(processes.HostProcesses):
    """One cluster's nodes in containers of this host's engine. Raises as Runtime says."""

    name = "docker"

    def __init__(
        self,
        *,
        label: str,
        state: Path,
        packed_above: int = PACKED_ABOVE,
        nodes_a_container: int = NODES_A_CONTAINER,
    ) -> None:
        """Let `nodes_a_container` nodes share a container in clusters of more than
        `packed_above`.
        """
        super().__init__(label=label, state=state)
        self._packed_above = packed_above
        self._nodes_a_container = nodes_a_container
        self._engine: Engine | None = None
        self._containers: dict[str, str] = {}  # node → container, where it has one to itself
        self._pauses: dict[str, str] = {}  # node of a pod → the container whose network it joins
        self._replaced = itertools.count(1)
        self._zygotes: dict[str, Zygote] = {}  # node → its container's zygote, where it shares one
        self._images: dict[Image, dict[str, str]] = {}
        self._facts: dict[str, str] = {}
        self._doors = state / "enter"
        self._labels = labels.of(label, state.parent)

    @classmethod
    def is_available(cls) -> bool:
        """See Runtime. An engine of this host must answer."""
        try:
            connect().close()
        except HarnessError:
            return False
        return True

    @classmethod
    def require_program(cls, program: Program) -> None:
        """See Runtime. What an image has shows in its container."""

    @classmethod
    def sweep(cls, label: str, root: Path) -> list[str]:
        """See Runtime. Removes the containers that carry both labels; raises UnavailableError where
        no engine answers.
        """
        with closing(connect()) as engine:
            return [f"container {name}" for name in engine.sweep(labels.of(label, root))]

    @classmethod
    def orphans(cls, root: Path) -> list[str]:
        """See Runtime. Lists clusters that have a container; raises as `sweep`."""
        with closing(connect()) as engine:
            found = engine.containers(labels.below(root))
            return sorted({label for _, label in found.values()})

    def cost(self, nodes: int) -> Cost:
        """See Runtime. A node that has a container to itself is one of the container's 14 tasks."""
        if nodes > self._packed_above:
            return Cost(
                node_bytes=8_000_000,
                node_tasks=1,
                nodes_per_container=self._nodes_a_container,
                container_tasks=14,
            )
        return Cost(node_bytes=20_000_000, node_tasks=0, container_tasks=14)

    @property
    def _running_engine(self) -> Engine:
        if self._engine is None:
            raise HarnessError(
                "the docker runtime was asked for a node before `start` or after `close`"
            )
        return self._engine

    def start(
        self,
        launches: Iterable[tuple[Place, Process]],
        started: Callable[[Running], None],
        doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """See Runtime. Where one container fails, none is left."""
        launches = list(launches)  # an engine starts many at once
        self._engine = self._engine or connect()
        try:
            helper = entry.helper()
            self._doors.mkdir(mode=0o700, exist_ok=True)
            shutil.copy2(helper, self._doors / "enter")
            for wanted in {process.image for _, process in launches}:
                self._images[wanted] = self._engine.image(wanted, doing)
            # What no zygote forks has a container of its own, however many there are.
            packed = len(launches) > self._packed_above and all(
                process.zygote and not process.pod for _, process in launches
            )
            each = self._nodes_a_container if packed else 1
            self._facts = {
                **self._engine.versions(),
                **next(iter(self._images.values()), {}),
                "nodes_per_container": str(each),
                "entry": helper.name,
            }
            self._start_parallel(self._jobs(launches, each, started))
        except BaseException:
            self.close()
            raise

    def ending(self, node: str) -> Ending:
        """See Runtime. A zygote says it of the nodes that share its container, else the engine: by
        an exit code alone, which a signal may have given.
        """
        if node in self._zygotes:
            return self._with_left(node, self._zygotes[node].ending(node))
        with suppress(HarnessError):
            return Ending(code=self._running_engine.exit_code(self._containers[node]))
        return Ending()

    def require(self, node: str, process: Process) -> None:
        """See Runtime. Another command or image is another container, which has nothing that the
        node wrote in the one before.
        """
        if node not in self._containers:
            raise UnavailableError(
                f"node {node} cannot start otherwise: it shares its container; expected a cluster "
                f"of at most {self._packed_above} nodes, which have one each"
            )
        if outside := self.outside(node):
            raise UnavailableError(
                f"node {node} cannot start otherwise: it wrote outside of its directory "
                f"({', '.join(outside[:FILES_SAID])}), which another container does not have"
            )
        self._images[process.image] = self._running_engine.image(process.image, lambda _: None)

    def replace(self, node: str, process: Process) -> None:
        """See Runtime."""
        before, place = self._containers[node], self._resident(node).place
        name = f"{node}-{next(self._replaced)}"
        self._containers[node] = self._create_alone(name, place, process)
        super().replace(node, process)
        self._running_engine.remove(before)

    def outside(self, node: str) -> list[str]:
        """See Runtime. A container keeps its own layer of files over its image, from one start to
        the next; nodes that share one share that too.
        """
        running = self._resident(node).running
        container = self._containers.get(node) or (running.container if running else None)
        written = self._running_engine.changes(container) if container is not None else []
        return [one for one in written if not Path(one).is_relative_to(self.state)]

    def facts(self) -> Mapping[str, str]:
        """See Runtime: versions, image, and ``nodes_per_container``."""
        return {"runtime": self.name, **self._facts}

    def close(self) -> None:
        """See Runtime."""
        engine, self._engine = self._engine, None
        ends = () if engine is None else (partial(engine.sweep, self._labels), engine.close)
        close_all(
            "the docker runtime",
            *(one.close for one in set(self._zygotes.values())),
            *ends,
            self._kill_all,
            self._zygotes.clear,
            self._containers.clear,
            self._pauses.clear,
            partial(shutil.rmtree, self._doors, ignore_errors=True),
        )

    def _jobs(
        self,
        launches: Sequence[tuple[Place, Process]],
        each: int,
        started: Callable[[Running], None],
    ) -> list[Callable[[], None]]:
        if each == 1:
            return [
                partial(self._start_alone, place, process, started) for place, process in launches
            ]
        kinds: dict[tuple[Image, tuple[str, ...]], list[tuple[Place, Process]]] = {}
        for place, process in launches:
            kinds.setdefault((process.image, process.zygote), []).append((place, process))
        packs = [
            kind[at : at + each] for kind in kinds.values() for at in range(0, len(kind), each)
        ]
        return [
            partial(self._start_pack, number, pack, started) for number, pack in enumerate(packs)
        ]

    def _start_parallel(self, jobs: Sequence[Callable[[], None]]) -> None:
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        try:
            for future in as_completed([pool.submit(job) for job in jobs]):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _start_alone(
        self, place: Place, process: Process, started: Callable[[Running], None]
    ) -> None:
        name = place.node.name
        if process.pod:
            pause = self._create(f"{name}-pod", process, [*self._helper(name), HOLD], [], user="0")
            with entry.Doorway(self._door(name)) as doorway:
                os.close(
                    entry.let_in(doorway, self._running_engine.start(pause, name), place).pidfd
                )
            self._pauses[name] = pause
        self._containers[name] = self._create_alone(name, place, process)
        started(self._register(place, process, self._spawn(place, process)))

    def _create_alone(self, name: str, place: Place, process: Process) -> str:
        """Make a container of one node, without starting it."""
        node, residents = place.node.name, [(place, process)]
        if node in self._pauses:
            return self._create(name, process, process.argv, residents, joins=self._pauses[node])
        return self._create(name, process, [*self._helper(node), *process.argv], residents)

    def _helper(self, node: str) -> list[str]:
        return [str(self._doors / "enter"), str(self._door(node))]

    def _start_pack(
        self, number: int, pack: Sequence[tuple[Place, Process]], started: Callable[[Running], None]
    ) -> None:
        name = f"zygote-{number}"
        _, first = pack[0]
        container = self._create(
            name, first, [*first.zygote, "--connect", str(self._door(name))], pack
        )
        with entry.Doorway(self._door(name)) as doorway:
            running = self._running_engine.start(container, name)
            connection, _ = doorway.call(running)
        made = Zygote(
            connection,
            environment={**self.environment, **image.ENVIRONMENT},
            container=container,
            last_words=lambda: f"; its container said: {running.said() or 'nothing'}",
        )
        self._zygotes |= {place.node.name: made for place, _ in pack}
        zygote.start_all(
            ((made, place, process) for place, process in pack),
            lambda place, process, running: started(self._register(place, process, running)),
        )

    def _create(
        self,
        name: str,
        process: Process,
        argv: Sequence[str],
        residents: Sequence[tuple[Place, Process]],
        *,
        joins: str | None = None,
        user: str | None = None,
    ) -> str:
        mounts = {self._doors: False} | {place.directory: True for place, _ in residents}
        notify = Path(process.environment.get("NOTIFY_SOCKET", ""))
        if (
            notify.is_absolute()
        ):  # abstract sockets are reachable without a mount, in the network namespace only
            mounts[notify if notify.parent == self.state else notify.parent] = False
        environment = {**self.environment, **process.environment}
        return self._running_engine.create(
            labels.container_name(self.label, self.state.parent, name),
            self._images[process.image]["image_id"],
            argv,
            environment=environment,
            mounts=mounts,
            labels=self._labels,
            joins=joins,
            user=user,
            directory=residents[0][0].directory if len(residents) == 1 else None,
        )

    def _door(self, name: str) -> Path:
        return self._doors / f"{name}.sock"

    def _account(self, running: Running) -> Account | None:
        container = self._containers.get(running.node)  # that it has to itself
        return None if container is None else accounts.of_container(running.pid, container)

    def _spawn(self, place: Place, process: Process) -> Running:
        name = place.node.name
        if name in self._zygotes:
            return self._zygotes[name].ask(place, process).result(zygote.ANSWER_TIMEOUT_S)
        if process.pod:
            return self._in_pod(
                place,
                self._running_engine.start(
                    self._containers[name], name, again=name in self._residents
                ),
            )
        with entry.Doorway(self._door(name)) as doorway:
            container = self._running_engine.start(
                self._containers[name], name, again=name in self._residents
            )
            return entry.let_in(doorway, container, place)

    def _in_pod(self, place: Place, container: entry.Container) -> Running:
        """Check that the process of a container that joined a pause container's network stands in
        the node's namespace. Raises NodeStartError where it does not.
        """
        name, pid, pidfd = place.node.name, self._running_engine.pid(container.id), -1
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)  # 0: it ended already
        if pidfd < 0 or is_readable(pidfd):
            raise NodeStartError(
                f"node {name} ended as soon as it had started; it said: "
                f"{container.said() or 'nothing'}"
            )
        where = os.stat(f"/proc/{pid}/ns/net")
        if not entry.belongs(pid, container.id) or not os.path.samestat(
            where, os.fstat(place.namespace)
        ):
            os.close(pidfd)
            raise NodeStartError(
                f"node {name} is not in its own network namespace: it would have run in another "
                "network, and was not let"
            )
        output.follow(
            *(self._running_engine, container.id, container.started_s, place),
            self._troubles.append,
        )
        return Running(node=name, pid=pid, pidfd=pidfd, container=container.id)
