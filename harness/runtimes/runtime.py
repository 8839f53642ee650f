"""The port of all runtimes: what one is given (Place, Process), gives back (Running), must do
(Runtime), and takes of the host (Cost).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

from harness.faults.fault import Condition
from harness.faults.limits import Limits
from harness.faults.programs import Program
from harness.kernel.accounts import Account
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
    container: str | None = None  # that was brought as this node; None: the harness starts it

    @property
    def fields(self) -> dict[str, str]:
        """What texts that are written for each node may name of it, in braces."""
        return {
            "name": self.node.name,
            "index": str(self.index),
            "address": self.address,
            "directory": str(self.directory),
        }


# The link that the fabric adds to the namespace of a node that was brought.
GROUND_LINK, GROUND_IFINDEX = "p2p0", 990_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where a node that was brought stands already: its network namespace (a descriptor, which is
    the fabric's to close), its address in it, and the name of its container.
    """

    namespace: int
    address: str
    container: str


class Recipe(StrEnum):
    """How an image comes to be where the engine does not have it."""

    # The name is a reference: the image is pulled from its registry.
    REFERENCE = "reference"
    # The name is an installed Python program's: built from its Dockerfile, else from this host's
    # Python.
    PYTHON = "python"
    # The name is a program of this host: its file and the libraries that it needs, nothing else.
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
    # Command of the zygote that forks such processes (meshnode PROTOCOL.md, section 3); the runtime
    # appends ``--socket-fd N`` or ``--connect PATH``. It holds them until all have started, which
    # they may before the network stands. Empty: the program is executed, and runs at once.
    zygote: tuple[str, ...] = ()
    # Docker: its container cannot enter a namespace, and joins a pause container that stands in it.
    pod: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that runs now, as the host sees it."""

    node: str
    pid: int  # in the supervisor's PID namespace
    pidfd: int  # readable when the process has ended
    container: str | None = None  # container id
    account: Account | None = None  # holds all that it starts; None: nobody counts that here


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended: with an exit code or by a signal. Neither: nobody can say. `left` are
    the command lines of the node's other processes that lived on.
    """

    code: int | None = None
    signal: int | None = None
    with_holder: bool = False  # what held it, a process of ours, ended and took it along
    left: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what a run's record says of it."""
        return {"code": self.code, "signal": self.signal, "left": self.left}

    @property
    def words(self) -> str:
        """The ending as a person says it: ``exit code 3``, ``signal 13 (SIGPIPE)``."""
        left = f", and left {self.left[0]}" if self.left else ""
        more = f" and {len(self.left) - 1} more" if len(self.left) > 1 else ""
        return f"{self._how}{left}{more}"

    @property
    def words_at_start(self) -> str:
        """The same of a node that was starting, and what to do about it."""
        if self.code != 0 and not self.left:
            return self.words
        return (
            f"{self.words}. A node lives as long as the process that it was started with: have a "
            "program that goes into the background stay in front"
        )

    @property
    def _how(self) -> str:
        if self.with_holder:
            return "the zygote that held it ended"
        if self.signal is not None:
            try:
                return f"signal {self.signal} ({signal.Signals(self.signal).name})"
            except ValueError:  # a real-time signal has no name
                return f"signal {self.signal}"
        return "exit code unknown" if self.code is None else f"exit code {self.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a cluster takes of the host, measured and rounded up."""

    node_bytes: int  # of memory
    node_tasks: int  # processes and threads of a node, beside those of its container
    nodes_per_container: int = 1
    container_tasks: int = 0  # 0: this runtime has no containers


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the kernel says of a node's limits and of what it used. From `begun_ns` on it was read,
    and by `at_ns` all of it (CLOCK_MONOTONIC): on a busy host that is not one moment.
    """

    begun_ns: int
    at_ns: int
    processes: int
    quota: float | None  # of CPU time, in cores; None: some process of it has none
    cpu_ns: int  # that its living processes have used
    throttled: int  # periods in which the quota was used up
    # Of its processes, each value once; None: without a limit.
    memory_bytes: frozenset[int | None]
    fds: frozenset[int | None]
    # The same as they were before they were limited last.
    own_memory_bytes: frozenset[int | None] = frozenset()
    own_fds: frozenset[int | None] = frozenset()


class Runtime(Protocol):
    """Where nodes live. ``harness.runtimes.named(name)(label=…, state=…)`` makes one for each
    cluster; `label` is the cluster's name, `state` its folder.

    ``start`` and ``set_condition`` block; they raise NodeStartError, UnavailableError or
    PermissionNeededError. `HostProcesses` (processes.py) has everything but ``name``, ``start``,
    ``cost``, ``ending``, ``facts``, ``close`` and ``_spawn``, by which it starts one process.
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
    def sweep(cls, label: str, root: Path) -> list[str]:
        """Remove what a dead cluster below the state folder `root` left in this runtime, and
        nothing of its namesakes in other folders; returns it, a line each ("container NAME").

        Processes need no sweep of the runtime's own: they carry the cluster's mark (owner.py).
        """

    @classmethod
    def orphans(cls, root: Path) -> list[str]:
        """List the clusters below the state folder `root`, living or dead, of which `sweep` would
        remove something.
        """

    @classmethod
    def require_program(cls, program: Program) -> None:
        """Raise UnavailableError where no node can start with this program here, as far as that
        shows before there are nodes: `require` looks again.
        """

    def cost(self, nodes: int) -> Cost:
        """Estimate what so many nodes take; host/preflight.py decides by it whether they fit."""

    def ground(self, moved: Callable[[str, int], None]) -> Mapping[str, Ground]:
        """Tell where nodes stand already, each by its name: those that were brought; empty where
        the harness makes their namespaces. `moved` is told of one that runs anew in another
        namespace, by a descriptor that it takes. Raises UsageError, UnavailableError.
        """

    def warm(self, zygotes: Collection[tuple[str, ...]], nodes: int = 0) -> None:
        """Begin what takes its time before processes of these zygotes can be started, about so many
        of them, and go on beside the caller. `start` does without.
        """

    def start(
        self,
        launches: Iterable[tuple[Place, Process]],
        started: Callable[[Running], None],
        doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start all, in parallel. `started` is called once for each node as its process exists,
        from any thread. `launches` may take its time, and raise; what a zygote forks begins when it
        has ended.

        `doing` is told, in words, what takes time before the first node starts. Both may raise to
        give up.
        """

    def set_condition(self, node: str, condition: Condition) -> Running | None:
        """Bring a node into a condition. RUNNING starts a node that is down anew in the same place,
        and returns its process. CRASHED is KILLED here: the network is not a runtime's.
        """

    def limit(self, node: str, limits: Limits) -> None:
        """Limit what a node may use, now and when it starts anew. Raises HarnessError."""

    def require(self, node: str, process: Process) -> None:
        """Raise UnavailableError where a node cannot start as this process here; may fetch its
        image.
        """

    def replace(self, node: str, process: Process) -> None:
        """Have a node, which is down, start as this process from now on. Raises HarnessError;
        nothing has changed then.
        """

    def process(self, node: str) -> Process:
        """Tell what a node starts as."""

    def command(self, node: str) -> tuple[str, ...]:
        """Read the command line of a node's first process from the kernel; empty where it has
        ended.
        """

    def is_held(self, node: str) -> bool:
        """Whether a node's processes are stopped for a moment, for it has used the CPU time that it
        may use.
        """

    def reading(self, node: str) -> Reading:
        """Read back what a node may use, and what it used. Raises HarnessError."""

    def ending(self, node: str) -> Ending:
        """Tell how the node's last process, which has ended, did so. Waits a moment for whoever
        reaps it to say so.
        """

    def clear(self, node: str) -> None:
        """End what a node's first process left when it ended; nothing where the node runs again.
        Raises HarnessError where a process outlives SIGKILL.
        """

    def members(self, node: str) -> list[int]:
        """Return the pids of all living processes of a node, as the supervisor sees them. A first
        process that could not be looked at may be missing.
        """

    def outside(self, node: str) -> list[str]:
        """List files that a node wrote outside of its directory and finds again when it starts
        anew, as far as the runtime can tell.
        """

    def execute(self, node: str, argv: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """Run a command beside the node, in its network namespace, with these descriptors; returns
        its pid on the host.

        The command is a child of the caller, who waits for it.
        """

    def troubles(self) -> list[str]:
        """Take what went wrong since the last call and no request has told, a sentence each: what
        is known of the nodes is not whole.
        """

    def facts(self) -> Mapping[str, str]:
        """Tell what a run's metadata says of this runtime: versions, image id, nodes a
        container.
        """

    def uncounted(self) -> Collection[str]:
        """Name the nodes that have no account, and whose processes may start others: CPU time of
        those that came and went between two looks at them is in no count.
        """

    def close(self) -> None:
        """End every process that `start` made and remove what carries the label. May be called
        twice.
        """
