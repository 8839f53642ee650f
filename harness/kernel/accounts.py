"""An account is a control group of all that a node starts. The kernel keeps in it whatever process
comes of the first one, in whichever namespace, session or parent's care it is, and counts the CPU
time of all, also of those that ended and that nobody waited for.

Accounts are groups of version 2 without a controller: nobody is scheduled otherwise for being in
one. They stand below the group of whoever made them, and are found by their owner's name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

PREFIX = "p2p-harness."
PROCESSES = "cgroup.procs"
_REMOVE_TRIES, _REMOVE_EVERY_S = 50, 0.02  # an ended process stays until somebody waits for it


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a node, of one life: `base_ns` is what was in it before. `usage` is the file
    with the CPU time.
    """

    path: Path
    usage: str = "cpu.stat"
    base_ns: int = 0

    @property
    def entrance(self) -> str:
        """The file that a process writes a 0 into to enter the group."""
        return str(self.path / PROCESSES)

    def pids(self) -> list[int]:
        """List the processes that live, also in groups that the node made in its own; none where
        the group is gone.
        """
        found: list[int] = []
        for folder, _, _ in os.walk(self.path):
            with suppress(OSError):
                found += map(int, Path(folder, PROCESSES).read_text().split())
        return found

    def cpu_ns(self) -> int | None:
        """Read what all processes of this life have used; None where the group is gone."""
        try:
            text = (self.path / self.usage).read_text()
        except OSError:
            return None
        if self.usage != "cpu.stat":  # version 1
            return int(text) - self.base_ns
        return int(text.split(None, 2)[1]) * 1000 - self.base_ns

    def anew(self) -> Account:
        """Return the account for the node's next life; its processes have ended."""
        return replace(self, base_ns=(self.cpu_ns() or 0) + self.base_ns)

    def has(self, pid: int) -> bool:
        """Whether a process is in the group."""
        return pid in self.pids()

    def signal(self, *numbers: signal.Signals, but: Collection[int] = ()) -> None:
        """Send signals to every process `but` some; one that starts meanwhile may be missed."""
        for pid in (one for one in self.pids() if one not in but):
            with suppress(OSError):  # it ended meanwhile
                pidfd = os.pidfd_open(pid)
                try:
                    if self.has(pid):  # and not whoever took the number over
                        for number in numbers:
                            signal.pidfd_send_signal(pidfd, number)
                finally:
                    os.close(pidfd)


def make(owner: str, name: str) -> Account | None:
    """Make the account of a node of this owner; None where that cannot be done here."""
    mount, own = _mounts().get(""), _groups_of("self").get("")
    if mount is None or own is None:
        return None
    path = mount / own / f"{PREFIX}{owner}" / name
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = Account(path)
        with open(found.entrance, "w"):  # whether anybody may be let in
            pass
    except OSError:
        return None
    return None if found.cpu_ns() is None else found


def of_container(pid: int, container: str) -> Account | None:
    """Find the group of the container that a process is the first of; None where it has none of
    its own that counts CPU time.
    """
    groups, mounts = _groups_of(pid), _mounts()
    for controller, usage in (("", "cpu.stat"), ("cpuacct", "cpuacct.usage")):
        mount, group = mounts.get(controller), groups.get(controller)
        if mount is not None and group is not None and container in group:
            found = Account(mount / group, usage)
            if found.cpu_ns() is not None and found.has(pid):
                return found
    return None


def owners() -> list[str]:
    """List the owners of accounts that stand."""
    return sorted(path.name.removeprefix(PREFIX) for path in _standing())


def remove_all(owner: str) -> list[str]:
    """Remove the accounts of an owner, which have no process any more; returns their paths."""
    gone = []
    for top in [path for path in _standing() if path.name == f"{PREFIX}{owner}"]:
        for folder, _, _ in os.walk(top, topdown=False):
            gone += [folder] if _removed(Path(folder)) and Path(folder).parent == top else []
    return gone


def _removed(path: Path) -> bool:
    for _ in range(_REMOVE_TRIES):
        with suppress(OSError):
            path.rmdir()
        if not path.exists():
            return True
        time.sleep(_REMOVE_EVERY_S)
    return False


def _standing() -> Iterator[Path]:
    """Every owner's folder in the hierarchy."""
    mount = _mounts().get("")
    for folder, folders, _ in os.walk(mount) if mount is not None else ():
        ours = [name for name in folders if name.startswith(PREFIX)]
        yield from (Path(folder) / name for name in ours)
        folders[:] = [name for name in folders if name not in ours]


@cache
def _mounts() -> dict[str, Path]:
    """Where the hierarchies are mounted, by controller; version 2 by an empty name."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, mount = fields.split()[3], Path(fields.split()[4])
        if kind == "cgroup2" and root == "/":
            found.setdefault("", mount)
        elif kind == "cgroup" and root == "/":
            for name in options.split(","):
                found.setdefault(name, mount)
    return found


def _groups_of(pid: int | str) -> dict[str, str]:
    """The groups that a process is in, by controller, as paths below the mount."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                found[name] = path.lstrip("/")
    return found
