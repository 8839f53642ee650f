"""The port of all runtimes: what a runtime is given (Place, Process), what it gives back (Running),
what it must do (Runtime), and what it takes of the host (Cost).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol

from harness.faults.fault import Condition
from harness.topology.topology import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node lives: its address, its folder and its network namespace. It outlives the node's
    process.
    """

    node: Node
    index: int  # position in the topology, from 0
    address: str  # IPv4, dotted
    directory: Path  # the node's own folder; the same path inside a container
    namespace: int  # descriptor of the network namespace, wired by the fabric
    log_from: int = 0  # bytes of its log that are of earlier lives


class Recipe(StrEnum):
    """How an image comes to be where the engine does not have it."""

    REFERENCE = "reference"  # the name is a reference: pulled from its registry
    # of an installed Python program: built from its Dockerfile, else from this host's Python
    PYTHON = "python"
    # of a program of this host: its file and the libraries that it needs, nothing else
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Image:
    """What a container is made of."""

    name: str
    recipe: Recipe = Recipe.PYTHON


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs in a place."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    image: Image
    zygote: tuple[
        str, ...
    ] = ()  # command of the zygote that forks such processes (meshnode PROTOCOL.md, section 3); the
    # runtime appends ``--socket-fd N`` or ``--connect PATH``. None: it is started as it is
    # Docker: it cannot enter a namespace itself, and joins a pause container that holds it
    pod: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that runs now, as the host sees it."""

    node: str
    pid: int  # in the supervisor's PID namespace
    pidfd: int  # readable when the process has ended
    container: str | None = None  # container id


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a cluster takes of the host: measured, and rounded up."""

    node_bytes: int  # of memory
    node_tasks: int  # processes and threads of a node, beside those of its container
    nodes_per_container: int = 1
    container_tasks: int = 0  # 0: this runtime has no containers


class Runtime(Protocol):
    """Where nodes live. One object per cluster, made by ``harness.runtimes.named(name)(label=…,
    state=…)``; `label` is the cluster's name, `state` its folder.

    ``start`` and ``set_condition`` block; they raise NodeStartError, UnavailableError or
    PermissionNeededError. `HostProcesses` (processes.py) has all of it but ``start``, ``cost``,
    ``facts``, ``close`` and the making of one process.
    """

    name: ClassVar[str]
    # Whether the supervisor enters a user namespace where it is not root. If not, the runtime needs
    # root and says so itself.
    in_user_namespace: ClassVar[bool]

    def __init__(self, *, label: str, state: Path) -> None: ...

    @classmethod
    def is_available(cls) -> bool:
        """Whether nodes can be started here and now; ``auto`` takes the first that says so."""

    @classmethod
    def sweep(cls, label: str) -> list[str]:
        """Remove what a dead cluster left in this runtime, a line each ("container NAME").

        Its marked processes (owner.py) are no business of the runtime's.
        """

    @classmethod
    def orphans(cls, root: Path) -> list[str]:
        """Labels of the clusters below the state folder `root` that have something to sweep, living
        or dead.
        """

    def cost(self, nodes: int) -> Cost:
        """What so many nodes take; whether they fit is decided by it (host/preflight.py)."""

    def start(
        self,
        launches: Sequence[tuple[Place, Process]],
        started: Callable[[Running], None],
        doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start all, in parallel; `started` is called once a node, from any thread, as each process
        exists.

        `doing` is told, in words, what takes time before the first node starts; both may raise to
        give up.
        """

    def set_condition(self, node: str, condition: Condition) -> Running | None:
        """Bring a node into a condition; RUNNING from STOPPED starts it anew in the same place and
        returns it.
        """

    def execute(self, node: str, argv: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """Run a command beside the node, in its network namespace, with these descriptors; returns
        its host pid.

        The command is a child of the caller, who waits for it.
        """

    def facts(self) -> Mapping[str, str]:
        """What a run's metadata must say of this runtime: versions, image id, nodes a container."""

    def close(self) -> None:
        """End every process that `start` made and remove what carries the label. May be called
        twice.
        """
