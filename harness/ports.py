"""The seams, on one page: small Protocols between what is decided and what is done.

A runtime says where nodes live, an adapter says which system they run, a codec turns operations into bytes. Plugins
are loaded when they are named (the tables are in ``runtime/__init__.py`` and ``adapters/__init__.py``), so that
``--runtime netns`` works with no Docker SDK installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from harness.budget import Row
from harness.history import History
from harness.operation import Operation, Request, Response
from harness.topology import Node, Topology
from harness.verdict import Finding

if TYPE_CHECKING:
    from harness.inject.compiled import Compiled


class Condition(StrEnum):
    """The state of one node now."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node lives: its address, its folder and its network namespace. It outlives the node's process."""

    node: Node
    index: int                    # position in the topology, from 0
    address: str                  # IPv4, dotted
    directory: Path               # the node's own folder; the same path inside a container
    namespace: int                # descriptor of the network namespace, wired by the fabric
    log_from: int = 0             # bytes of its log that are of earlier lives


class Recipe(StrEnum):
    """How an image comes to be where the engine does not have it."""

    REFERENCE = "reference"       # the name is a reference: pulled from its registry
    PYTHON = "python"             # of an installed Python program: built from its Dockerfile, else from this host's Python
    PROGRAM = "program"           # of a program of this host: its file and the libraries that it needs, nothing else


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
    zygote: tuple[str, ...] = ()  # command of the zygote that forks such processes (meshnode PROTOCOL.md, section 3); the
                                  # runtime appends ``--socket-fd N`` or ``--connect PATH``. None: it is started as it is
    pod: bool = False             # Docker: it cannot enter a namespace itself, and joins a pause container that holds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that runs now, as the host sees it."""

    node: str
    pid: int                      # in the supervisor's PID namespace
    pidfd: int                    # readable when the process has ended
    container: str | None = None  # container id


class Runtime(Protocol):
    """Where nodes live. One object per cluster, made by ``harness.runtime.named(name)(label=…, state=…)``.

    ``start`` and ``set_condition`` block; they raise NodeStartError, UnavailableError or PermissionNeededError.
    """

    name: str

    def start(
        self, launches: Sequence[tuple[Place, Process]], started: Callable[[Running], None], doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start all, in parallel; `started` is called once a node, from any thread, as each process exists.

        `doing` is told, in words, what takes time before the first node starts; both may raise to give up.
        """

    def set_condition(self, node: str, condition: Condition) -> Running | None:
        """Bring a node into a condition; RUNNING from STOPPED starts it anew in the same place and returns it."""

    def execute(self, node: str, argv: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """Run a command beside the node, in its network namespace, with these descriptors; returns its host pid.

        The command is a child of the caller, who waits for it.
        """

    def facts(self) -> Mapping[str, str]:
        """What a run's metadata must say of this runtime: versions, image id, nodes a container."""

    def close(self) -> None:
        """End every process that `start` made and remove what carries the label. May be called twice."""


class Injector(Protocol):
    """How a part of a network state comes true. nftables.py chooses among what the others have made: that is the one atomic step."""

    name: str

    def prepare(self, wanted: Compiled) -> None:
        """Before packets choose what is new: make it, and narrow what gets narrower. Raises HarnessError."""

    def finish(self, wanted: Compiled) -> None:
        """Once no packet chooses it any more: take away what is not wanted. Raises HarnessError."""

    def agrees(self, wanted: Compiled) -> str:
        """Why what is there, read back, is not what was asked; empty where it is. Never raises."""

    def close(self) -> None:
        """Take away what it made, and nothing else."""


class Codec(Protocol):
    """Operations to bytes and bytes to outcomes, sans-IO: runs under gevent and in plain processes alike."""

    def encode(self, requests: Iterable[Request]) -> bytes:
        """One buffer that carries all requests."""

    def feed(self, data: bytes) -> list[Response]:
        """Take bytes as they arrive; return the responses that are complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where load reaches a node: a unix socket that no fault touches, and the name the node goes by on the wire."""

    node: str
    address: str
    control: str                  # path of the socket
    wire_id: bytes


class NodeAdapter(Protocol):
    """Which system is under test: one that speaks the control protocol (node_control.py) itself, or a DrivenAdapter."""

    name: str
    operations: frozenset[Operation]        # what it can do; asking for another is an error before anything starts
    budget: str | None                      # what its runs are judged by where nobody says: a shipped name or a file
    keeps_links: bool                       # whether nodes link with the topology's neighbours and nobody else; else those
                                            # are only whom a node is told of when it starts
    ports: tuple[int, ...]                  # TCP ports at which nodes dial each other: what a stream fault can be put on
    exempt: Mapping[str, str]               # operation word → why the delivery ledger cannot hold it to that: counted and said

    def prepare(self, topology: Topology, places: Sequence[Place], state: Path) -> list[tuple[Place, Process]]:
        """Write what every node needs (keys, configuration) and say what to run."""

    def endpoints(self, places: Sequence[Place]) -> list[Endpoint]:
        """Where load reaches each node, after `prepare`."""

    def codec(self) -> Codec:
        """A new codec for one connection."""

    def administer(self, endpoint: Endpoint) -> NodeControl:
        """A connection for readiness, journals and histograms."""


@runtime_checkable
class DrivenAdapter(NodeAdapter, Protocol):
    """A system that nobody wrote for this harness: the gateway serves its control sockets, through one driver a node."""

    confirmed: frozenset[Operation]         # done when the *target's* driver saw it arrive, whatever the sender was told

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """How to speak to that node; asked for at each start of the node. Runs in the gateway."""


class Saw(Protocol):
    """Tell that a node saw something: a kind of history.py (RECEIVED, DELIVERED, …), the operation's id, when (monotonic ns)."""

    def __call__(self, kind: int, id_: bytes, at_ns: int, *, peer: bytes = b"") -> None: ...


class Driver(Protocol):
    """One node, from start to end, in the gateway's event loop. Methods raise OSError or HarnessError: it does not answer."""

    async def ready(self, living: int) -> str:
        """What it still waits for; empty when it is ready. `living`: how many nodes should be there now."""

    async def observe(self, saw: Saw, standing: Callable[[], None]) -> None:
        """Tell all that the node sees, until it goes. `standing` is called once nothing can be missed any more."""

    async def perform(self, request: Request, sent: Callable[[], None]) -> Response:
        """Do one operation; `sent` is called when the node is asked. May be cancelled when its time is over."""

    async def health(self) -> dict[str, Any]:
        """Numbers that the node tells of itself; they are kept as gauges."""

    async def close(self) -> None:
        """Let go of every connection."""


class NodeControl(Protocol):
    """Administration of one node over its control plane. Blocking, with a timeout; raises UnavailableError."""

    def health(self) -> dict[str, Any]: ...

    def peers(self) -> list[str]:
        """Wire ids (hex) of the authenticated links that stand now."""

    def begin(self, journal: int) -> None:
        """Journal to this descriptor from now on; histograms start from zero."""

    def end(self) -> None: ...

    def histograms(self) -> dict[str, dict[int, int]]:
        """Operation → bucket index → count since `begin` (stats.py names the buckets)."""


class Checker(Protocol):
    """Holds a history against what was promised. Pure; one that crashes becomes UNKNOWN."""

    def __call__(self, history: History, rows: Sequence[Row], /) -> list[Finding]: ...
