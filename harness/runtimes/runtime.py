"""The seams, on one page: small Protocols between what is decided and what is done.

A runtime says where nodes live, an adapter says which system they run, a codec turns operations
into bytes. Plugins are loaded when they are named (the tables are in ``runtime/__init__.py`` and
``adapters/__init__.py``), so that ``--runtime netns`` works with no Docker SDK installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

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


class Runtime(Protocol):
    """Where nodes live. One object per cluster, made by ``harness.runtimes.named(name)(label=…,
    state=…)``.

    ``start`` and ``set_condition`` block; they raise NodeStartError, UnavailableError or
    PermissionNeededError.
    """

    name: str

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
