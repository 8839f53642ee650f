"""Whether a cluster fits into this host: its limits, the runtime's estimate, and what to change."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import PreflightError
from harness.kernel.namespaces import read_sysctl
from harness.kernel.proc import memory_available_bytes
from harness.runtimes.runtime import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of each thing there may be; what is in use is counted in `tasks_now` only."""

    open_files: int  # hard limit of this process
    pids: int  # kernel.pid_max
    threads: int  # kernel.threads-max
    tasks_now: int  # threads of the whole system at this moment
    network_namespaces: int  # user.max_net_namespaces
    cgroup_tasks: int | None  # how many more this process's cgroup may have; None: not limited
    memory_available_bytes: int


@dataclass(frozen=True, slots=True)
class _Need:
    """How much of one thing there is, how much a cluster needs, and what mends a lack."""

    what: str
    found: int
    needed: int
    cure: str


# In the supervisor: namespace, pidfd, log, control connection, five of the sampler.
_DESCRIPTORS_A_NODE = 9
_DESCRIPTORS_BASE = 200
_PID_MAX_LIMIT = 4_194_304  # 2^22, the largest kernel.pid_max


def read_limits() -> Limits:
    """Read the limits of this process and system as they are now."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with open("/proc/loadavg", encoding="ascii") as file:
        tasks_now = int(file.read().split()[3].partition("/")[2])
    with open("/proc/meminfo", "rb") as file:
        available = memory_available_bytes(file.read())
    # Usage would count the page cache.
    memory = _cgroup_headroom("memory", ("memory.max", "memory.limit_in_bytes"), ())
    return Limits(
        open_files=int(read_sysctl("fs/nr_open")) if hard == resource.RLIM_INFINITY else hard,
        pids=int(read_sysctl("kernel/pid_max")),
        threads=int(read_sysctl("kernel/threads-max")),
        tasks_now=tasks_now,
        network_namespaces=int(read_sysctl("user/max_net_namespaces")),
        cgroup_tasks=_cgroup_headroom("pids", ("pids.max",), ("pids.current",)),
        memory_available_bytes=available if memory is None else min(available, memory),
    )


def preflight(nodes: int, runtime: str, cost: Cost, limits: Limits) -> None:
    """Raise PreflightError where this host cannot hold the cluster: each limit with what was found,
    needed, and the cure.

    Pure. `cost` is the runtime's estimate, not a measurement of this very cluster.
    """
    short = [
        f"  {need.what}: found {need.found:,}, needed {need.needed:,}: {need.cure}"
        for need in _needs(nodes, cost, limits)
        if need.needed > need.found
    ]
    if short:
        raise PreflightError(
            f"this host cannot hold {nodes:,} nodes on the {runtime} runtime:\n" + "\n".join(short)
        )


def _needs(nodes: int, cost: Cost, limits: Limits) -> tuple[_Need, ...]:
    descriptors = _DESCRIPTORS_BASE + _DESCRIPTORS_A_NODE * nodes
    containers = -(-nodes // cost.nodes_per_container)
    tasks = cost.node_tasks * nodes + cost.container_tasks * containers
    system = tasks + limits.tasks_now
    fit = limits.memory_available_bytes // cost.node_bytes
    return (
        _Need(
            "open files (hard limit)",
            limits.open_files,
            descriptors,
            f"`ulimit -Hn {descriptors}` as root, or LimitNOFILE={descriptors} in the unit that "
            "starts the harness",
        ),
        _Need(
            "kernel.pid_max",
            limits.pids,
            system,
            f"`sysctl -w kernel.pid_max={system}`"
            if system <= _PID_MAX_LIMIT
            else "no kernel allows so many",
        ),
        _Need(
            "kernel.threads-max",
            limits.threads,
            system,
            f"`sysctl -w kernel.threads-max={system}`",
        ),
        _Need(
            "user.max_net_namespaces",
            limits.network_namespaces,
            nodes + 1,
            f"`sysctl -w user.max_net_namespaces={nodes + 1}`",
        ),
        _Need(
            "tasks left in this cgroup (pids.max)",
            tasks if limits.cgroup_tasks is None else limits.cgroup_tasks,
            tasks,
            "raise pids.max of the cgroup, or TasksMax= of the unit",
        ),
        _Need(
            "memory available in MB",
            limits.memory_available_bytes // 1_000_000,
            cost.node_bytes * nodes // 1_000_000,
            f"fewer nodes ({fit:,} fit), or more memory",
        ),
    )


def _cgroup_headroom(
    controller: str, limit_files: tuple[str, ...], usage_files: tuple[str, ...]
) -> int | None:
    """Find the least (limit - usage) of this process's cgroup and those above it, of either cgroup
    version; None where nothing is limited.
    """
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        entries = [line.rstrip("\n").split(":", 2) for line in file]
    least: int | None = None
    for _, controllers, path in entries:
        if controllers and controller not in controllers.split(","):
            continue
        root = f"/sys/fs/cgroup/{controllers}".rstrip("/")
        for folder in (path, *(str(parent) for parent in PurePosixPath(path).parents)):
            limit = _number(root + folder, limit_files)
            if limit is not None:
                left = limit - (_number(root + folder, usage_files) or 0)
                least = left if least is None else min(least, left)
    return least


def _number(folder: str, names: tuple[str, ...]) -> int | None:
    for name in names:
        with (
            contextlib.suppress(OSError, ValueError),
            open(f"{folder}/{name}", encoding="ascii") as file,
        ):
            return int(file.read())  # ValueError: the file says "max"
    return None
