"""Nodes as processes of this host: conditions by signals, and commands beside them. Shared by all
runtimes. A node is all its processes (kernel/families.py), not only the first.

A container's process is a process of the host like any other. A signal through its pidfd costs 0.02
ms, where the engine's API takes 10 to 120, and cannot hit a process that took over the number.
"""

from __future__ import annotations

import hashlib
import os
import signal
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import ClassVar

from harness.choices import did_you_mean, listed
from harness.errors import HarnessError, NodeStartError, UnavailableError, UsageError
from harness.faults.fault import Condition
from harness.faults.limits import Limits
from harness.kernel import accounts, cgroups, namespaces, priority
from harness.kernel.accounts import Account
from harness.kernel.families import Census, family_of
from harness.kernel.proc import command_line, is_readable, send
from harness.redaction import redacted
from harness.runtimes import owner
from harness.runtimes.limiting import Limiter
from harness.runtimes.resident import KILL_TIMEOUT_S, Resident
from harness.runtimes.runtime import Ending, Ground, Place, Process, Reading, Running

BY_SIGKILL = (Condition.KILLED, Condition.CRASHED)
LAST_LINES = 10
WORDS_MOST = 60  # characters of a command line that are told
TAIL_BYTES, LINE_BYTES = 65536, 256  # of a log that are read, at least, and more a line


def log_of(place: Place) -> Path:
    """The file that a node's stdout and stderr are appended to."""
    return place.directory / "log"


def open_log(place: Place) -> int:
    """Open a node's log for appending; returns the descriptor. Raises NodeStartError."""
    try:
        return os.open(log_of(place), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NodeStartError(
            f"node {place.node.name}: its log {log_of(place)} cannot be written: {error.strerror}"
        ) from error


def last_lines(path: Path) -> str:
    """Return the tail of an error message: ``; its last log lines:`` and up to ten of them, or ``;
    it logged nothing``.
    """
    try:
        lines = tail(path, LAST_LINES)
    except OSError:
        lines = []
    return (
        "".join(["; its last log lines:", *(f"\n    {line}" for line in lines)])
        if lines
        else "; it logged nothing"
    )


def tail(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, at most `count`. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (TAIL_BYTES + count * LINE_BYTES)))
        return redacted(file.read().decode("utf-8", "replace")).splitlines()[-count:]


class HostProcesses(ABC):
    """The table of a cluster's nodes, with their conditions and the commands beside them.

    The descriptors of a Running stay open until `close`, also where its process has ended, so that
    whoever polls one meets no descriptor of something else.
    """

    in_user_namespace: ClassVar[bool] = False

    def __init__(self, *, label: str, state: Path) -> None:
        self.label = label
        self.state = state
        # What every process of the cluster gets, beside its own.
        self.environment = {"HARNESS_CLUSTER": label, **owner.mark(state)}
        self._residents: dict[str, Resident] = {}
        self._census = Census()
        self._pidfds: list[int] = []
        self._troubles: deque[str] = deque()

    @classmethod
    def is_available(cls) -> bool:
        """See Runtime. Always, where a runtime needs nothing but Linux."""
        return True

    @classmethod
    def sweep(cls, label: str, root: Path) -> list[str]:
        """See Runtime. The groups of limited nodes, where a cluster consists of its processes."""
        owner_ = _groups(label, root)
        gone = [*cgroups.remove_all(owner_), *accounts.remove_all(owner_)]
        return [f"control group {one}" for one in gone]

    @classmethod
    def orphans(cls, root: Path) -> list[str]:
        """See Runtime. Those with groups of limited nodes."""
        end = _groups("", root)
        found = {*cgroups.owners(), *accounts.owners()}
        return sorted(one.removesuffix(end) for one in found if one.endswith(end))

    def warm(self, zygotes: Collection[tuple[str, ...]], nodes: int = 0) -> None:
        """See Runtime. Nothing can begin before it is known where."""
        del zygotes, nodes

    def ground(self, moved: Callable[[str, int], None]) -> Mapping[str, Ground]:
        """See Runtime. Nowhere, where the runtime starts them."""
        del moved
        return {}

    def set_condition(self, node: str, condition: Condition) -> Running | None:
        """See Runtime. PAUSED raises UnavailableError for a node that has ended."""
        resident = self._resident(node)
        with resident.changing:
            running = resident.running
            end = resident.kill if condition in BY_SIGKILL else resident.end
            if running is None or is_readable(running.pidfd):
                if condition is not Condition.PAUSED:
                    end()
                if condition is Condition.RUNNING:
                    return self._move_in(resident)
                if condition is Condition.PAUSED:
                    raise UnavailableError(
                        f"node {node} has ended and cannot be "
                        f"paused{last_lines(log_of(resident.place))}"
                    )
            elif condition.is_down:
                end()
            elif condition is Condition.PAUSED:
                resident.pause()
            else:
                resident.go_on()
        return None

    def limit(self, node: str, limits: Limits) -> None:
        """See Runtime."""
        resident = self._resident(node)
        with resident.changing:
            self._limiter(resident).limit(limits)

    def replace(self, node: str, process: Process) -> None:
        """See Runtime."""
        resident = self._resident(node)
        with resident.changing:
            resident.process = process

    def process(self, node: str) -> Process:
        """See Runtime."""
        return self._resident(node).process

    def command(self, node: str) -> tuple[str, ...]:
        """See Runtime."""
        running = self._resident(node).running
        with suppress(OSError):
            if running is not None and not is_readable(running.pidfd):
                return command_line(running.pid)
        return ()

    def is_held(self, node: str) -> bool:
        """See Runtime."""
        throttle = self._resident(node).throttle
        return throttle is not None and throttle.is_holding

    def reading(self, node: str) -> Reading:
        """See Runtime."""
        try:
            return self._limiter(self._resident(node)).reading()
        except OSError as error:
            raise HarnessError(
                f"the limits of node {node} cannot be read back: {error.strerror}"
            ) from error

    def clear(self, node: str) -> None:
        """See Runtime."""
        resident = self._resident(node)
        with resident.changing:
            if resident.running is None or is_readable(resident.running.pidfd):
                resident.end()

    def members(self, node: str) -> list[int]:
        """See Runtime."""
        return self._resident(node).members()

    def _with_left(self, node: str, ending: Ending) -> Ending:
        """Return an ending of a node's first process, with what that left: of the processes that
        are there, each in so many words.
        """
        left = list[str]()
        for pid in self._resident(node).members():
            with suppress(OSError):  # it ended meanwhile
                left.append(" ".join(command_line(pid))[:WORDS_MOST])
        return replace(ending, left=tuple(sorted(filter(None, left))))

    def outside(self, node: str) -> list[str]:
        """See Runtime. None, where the host's files are all that there are."""
        self._resident(node)
        return []

    def troubles(self) -> list[str]:
        """See Runtime."""
        return [self._troubles.popleft() for _ in range(len(self._troubles))]

    def execute(self, node: str, argv: Sequence[str], stdio: tuple[int, int, int]) -> int:
        """See Runtime. The program is one of the host's. Raises UsageError where there is none of
        that name.
        """
        place = self._resident(node).place
        # Copies above the targets: with stdio (1, 0, 2) the first dup2 would overwrite the source
        # of the second.
        copies = [fcntl(descriptor, F_DUPFD_CLOEXEC, 3) for descriptor in stdio]
        try:
            # The thread stands inside while it spawns, and a child inherits its network namespace;
            # no code of ours runs between fork and exec. Not Popen, which would reap the child when
            # its object goes.
            with namespaces.inside(place.namespace):
                pid = os.posix_spawnp(
                    argv[0],
                    list(argv),
                    {**os.environ, **self.environment},
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, copy, target) for target, copy in enumerate(copies)
                    ],
                    setsid=True,  # ours goes before all others
                )
            os.setpriority(os.PRIO_PROCESS, pid, priority.of_nodes())
            return pid
        except OSError as error:
            raise UsageError(
                f"{argv[0]!r} cannot be run beside node {node}: {error.strerror}"
            ) from error
        finally:
            for copy in copies:
                os.close(copy)

    @abstractmethod
    def ending(self, node: str) -> Ending:
        """See Runtime."""

    @property
    def owner_of_groups(self) -> str:
        """The name by which the control groups of this cluster are found."""
        return _groups(self.label, self.state.parent)

    def uncounted(self) -> Collection[str]:
        """See Runtime. What a zygote forks is the harness's own program, which starts no other."""
        return [
            name
            for name, one in self._residents.items()
            if (one.running is None or one.running.account is None) and not one.process.zygote
        ]

    def _account(self, running: Running) -> Account | None:
        """Return the account that holds all that a process starts; None where nobody counts it."""
        del running
        return None

    @abstractmethod
    def _spawn(self, place: Place, process: Process) -> Running:
        """Start one process in its place, as only this runtime can."""

    def _move_in(self, resident: Resident) -> Running:
        running = self._register(
            resident.place, resident.process, self._spawn(resident.place, resident.process)
        )
        if resident.limiter is not None:
            try:
                resident.limiter.limit(resident.limiter.limits)
            except HarnessError:
                resident.kill()  # it did not start
                raise
            if resident.throttle is not None:
                resident.throttle.resume()
        return running

    def _limiter(self, resident: Resident) -> Limiter:
        if resident.limiter is None:
            resident.limiter = Limiter(
                self.owner_of_groups, resident.place.node.name, resident.members, resident.signal
            )
        return resident.limiter

    def _register(self, place: Place, process: Process, running: Running) -> Running:
        """Enter a process that has started into the table; returns it with its account."""
        running = replace(running, account=self._account(running))
        self._pidfds.append(running.pidfd)
        resident = self._residents.setdefault(
            place.node.name, Resident(place, process, self._census)
        )
        self._let_go(resident.earlier)
        resident.earlier, resident.running = resident.running, running
        resident.family = family_of(running.pid, place.namespace)
        return running

    def _let_go(self, earlier: Running | None) -> None:
        """Close the descriptor of a process of two lives ago; at that of the life before somebody
        who waits for its end may look still.
        """
        if earlier is not None and is_readable(earlier.pidfd):
            self._pidfds.remove(earlier.pidfd)
            os.close(earlier.pidfd)

    def _resident(self, node: str) -> Resident:
        if node not in self._residents:
            raise UsageError(
                f"there is no node {node!r} here{did_you_mean(node, self._residents)}; there are "
                f"{listed(self._residents, node)}"
            )
        return self._residents[node]

    def _kill_all(self) -> None:
        """Kill every process, wait until all have ended, close their descriptors."""
        for resident in self._residents.values():
            if resident.throttle is not None:
                resident.throttle.suspend()
                resident.throttle.close()
        for pidfd in self._pidfds:
            send(pidfd, signal.SIGKILL)
        survivors = [pidfd for pidfd in self._pidfds if not is_readable(pidfd, KILL_TIMEOUT_S)]
        if survivors:
            raise HarnessError(
                f"{len(survivors)} processes have not ended {KILL_TIMEOUT_S:.0f} s after SIGKILL"
            )
        while self._pidfds:
            os.close(self._pidfds.pop())
        self._residents.clear()
        cgroups.remove_all(self.owner_of_groups)
        accounts.remove_all(self.owner_of_groups)


def _groups(label: str, root: Path) -> str:
    """Name the owner of the control groups of a cluster below this state folder."""
    return f"{label}.{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}"
