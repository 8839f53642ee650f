"""CPU quotas of processes by control groups, of version 1 or 2: whichever has the controller here.

A group that is made stands below one of ours at the top of the hierarchy, named after its owner,
and is removed once it has no process. What a killed owner left is found by that name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UnavailableError

TOP = "p2p-harness"
PERIOD_US = 100_000
_REMOVE_TRIES, _REMOVE_EVERY_S = 50, 0.02  # an ended process stays until somebody waits for it


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where the controller of CPU time is mounted, and the version of its files."""

    mount: Path
    version: int
    root: str  # the group that is mounted there

    def of(self, pid: int) -> Path:
        """Return the group that a process is in. Raises OSError where it is gone."""
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if (self.version == 1 and "cpu" in controllers.split(",")) or (
                self.version == 2 and not controllers
            ):
                return self.mount / path.removeprefix(self.root).lstrip("/")
        raise FileNotFoundError(f"/proc/{pid}/cgroup")

    def above(self, pid: int) -> list[Path]:
        """Return the group that a process is in, and all above it. Raises OSError where it is
        gone.
        """
        group = self.of(pid)
        return [one for one in (group, *group.parents) if one.is_relative_to(self.mount)]


@cache
def hierarchy() -> Hierarchy | None:
    """Find the mounted hierarchy that has the controller; None where there is none."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, mount = fields.split()[3].rstrip("/"), Path(fields.split()[4])
        if kind == "cgroup" and "cpu" in options.split(","):
            return Hierarchy(mount, 1, root)
        if kind == "cgroup2":
            with suppress(OSError):
                if "cpu" in (mount / "cgroup.controllers").read_text().split():
                    return Hierarchy(mount, 2, root)
    return None


class Group:
    """One group, of which the CPU quota is set and read. Raises OSError."""

    def __init__(self, path: Path, version: int) -> None:
        self.path, self._version = path, version

    @property
    def takes_quota(self) -> bool:
        """Whether it has the controller: an account (accounts.py) has none."""
        return (self.path / ("cpu.cfs_quota_us" if self._version == 1 else "cpu.max")).exists()

    def set_quota(self, cores: float | None) -> None:
        """Give all processes of the group together so much CPU time; None: without a limit."""
        quota = None if cores is None else round(cores * PERIOD_US)
        if self._version == 1:
            self._write("cpu.cfs_period_us", str(PERIOD_US))
            self._write("cpu.cfs_quota_us", "-1" if quota is None else str(quota))
        else:
            self._write("cpu.max", f"{'max' if quota is None else quota} {PERIOD_US}")

    def quota(self) -> float | None:
        """Read the quota back, in cores."""
        if self._version == 1:
            quota, period = self._read("cpu.cfs_quota_us"), self._read("cpu.cfs_period_us")
        else:
            quota, period = self._read("cpu.max").split()
        return None if quota in ("-1", "max") else int(quota) / int(period)

    def throttled(self) -> int:
        """Read how many periods the group used its quota up in, since it was made."""
        lines = (line.split() for line in self._read("cpu.stat").splitlines())
        return next((int(value) for name, value in lines if name == "nr_throttled"), 0)

    def pids(self) -> set[int]:
        """List the group's processes; those that were not waited for may be among them."""
        return set(map(int, self._read("cgroup.procs").split()))

    def add(self, pid: int) -> None:
        """Move a process into the group; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            self._write("cgroup.procs", str(pid))

    def remove(self) -> None:
        """Remove the group, whose processes have ended or were moved away."""
        for _ in range(_REMOVE_TRIES):
            with suppress(OSError):
                self.path.rmdir()
            if not self.path.exists():
                return
            time.sleep(_REMOVE_EVERY_S)
        self.path.rmdir()

    def _read(self, name: str) -> str:
        return (self.path / name).read_text().strip()

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(self.path / name, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def found(pid: int) -> Group:
    """Return the group that a process is in. Raises UnavailableError, OSError."""
    there = _here()
    return Group(there.of(pid), there.version)


def open_stats(pid: int) -> list[int]:
    """Open what the groups that a process is in tell of their CPU time; the caller closes them."""
    there, found = hierarchy(), list[int]()
    with suppress(OSError):
        for group in there.above(pid) if there is not None else ():
            with suppress(OSError):
                found.append(os.open(group / "cpu.stat", os.O_RDONLY | os.O_CLOEXEC))
    return found


def throttled_us(stat: bytes) -> int | None:
    """Read from a cpu.stat how long a group that had used its quota up was kept from its cores, all
    cores together, in µs; None where it does not tell.
    """
    for line in stat.splitlines():
        name, _, value = line.partition(b" ")
        if name == b"throttled_usec":
            return int(value)
        if name == b"throttled_time":  # version 1: ns
            return int(value) // 1000
    return None


def make(owner: str, name: str) -> Group:
    """Make a group of this owner, or return the one that stands. Raises UnavailableError."""
    there = _here()
    path = there.mount
    try:
        for part in (TOP, owner, name):
            if there.version == 2:
                Group(path, 2)._write("cgroup.subtree_control", "+cpu")
            path /= part
            path.mkdir(exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cpu: {_why(error)}") from error
    return Group(path, there.version)


@cache
def are_ours() -> bool:
    """Whether a group can be made here and given a quota, which is kept; it is tried once.

    `HARNESS_CPU_BY=signals` says no.
    """
    if os.environ.get("HARNESS_CPU_BY") == "signals":
        return False
    name = f"try-{os.getpid()}-{time.monotonic_ns()}"
    try:
        group = make(name, "one")
        group.set_quota(0.5)
        return group.quota() == 0.5
    except (OSError, UnavailableError):
        return False
    finally:
        remove_all(name)


def owners() -> list[str]:
    """List the owners of groups that stand."""
    there = hierarchy()
    top = there.mount / TOP if there is not None else Path("/nowhere")
    return sorted(path.name for path in top.iterdir() if path.is_dir()) if top.is_dir() else []


def remove_all(owner: str) -> list[str]:
    """Remove the groups of an owner, which have no process any more; returns their paths."""
    there = hierarchy()
    if there is None or owner not in owners():
        return []
    path = there.mount / TOP / owner
    gone = [str(one) for one in _emptied(there, path.iterdir())]
    with suppress(OSError):  # another owner has one still, or has just made one
        path.rmdir()
        path.parent.rmdir()
    return gone


def _emptied(there: Hierarchy, paths: Iterable[Path]) -> list[Path]:
    folders = [path for path in paths if path.is_dir()]
    for path in folders:
        with suppress(OSError):
            Group(path, there.version).remove()
    return [path for path in folders if not path.exists()]


def _here() -> Hierarchy:
    there = hierarchy()
    if there is None:
        raise UnavailableError("cpu: no control groups with CPU time are mounted here")
    return there


def _why(error: OSError) -> str:
    at = f"{error.filename}: " if error.filename else ""
    return f"control groups cannot be written here ({at}{error.strerror})"
