"""Whether a cluster fits into this host: limits, estimates, and what to change."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import PreflightError, UsageError
from harness.kernel.namespaces import read_sysctl
from harness.kernel.proc import memory_available_bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cost:
    """What one node, and one container, take (measured, rounded up)."""

    node_bytes: int
    node_tasks: int
    container_tasks: int = 0


_COSTS = {
    "netns": _Cost(node_bytes=5_000_000, node_tasks=1),
    "docker": _Cost(
        node_bytes=20_000_000, node_tasks=0, container_tasks=14
    ),  # the node is one of the 14
    "docker, packed": _Cost(node_bytes=8_000_000, node_tasks=1, container_tasks=14),
}


_DESCRIPTORS_A_NODE = (
    8  # in the supervisor: namespace, pidfd, log, control connection, three of the sampler
)

_DESCRIPTORS_BASE = 200

_PID_MAX_LIMIT = 4_194_304  # 2^22, the largest kernel.pid_max


def read_limits() -> Limits:
    """The limits of this process and system as they are now."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with open("/proc/loadavg", encoding="ascii") as file:
        tasks_now = int(file.read().split()[3].partition("/")[2])
    with open("/proc/meminfo", "rb") as file:
        available = memory_available_bytes(file.read())
    memory = _cgroup_headroom(
        "memory", ("memory.max", "memory.limit_in_bytes"), ()
    )  # usage would count the page cache
    return Limits(
        open_files=int(read_sysctl("fs/nr_open")) if hard == resource.RLIM_INFINITY else hard,
        pids=int(read_sysctl("kernel/pid_max")),
        threads=int(read_sysctl("kernel/threads-max")),
        tasks_now=tasks_now,
        network_namespaces=int(read_sysctl("user/max_net_namespaces")),
        cgroup_tasks=_cgroup_headroom("pids", ("pids.max",), ("pids.current",)),
        memory_available_bytes=available if memory is None else min(available, memory),
    )


def preflight(nodes: int, runtime: str, limits: Limits, *, nodes_per_container: int = 1) -> None:
    """Raise PreflightError where this host cannot hold the cluster: each limit with what was found,
    needed, and the cure.

    Pure. Estimates, not measurements of this very cluster: 5 MB a node on netns, 20 MB a container,
    8 MB a node where several share one. Raises UsageError for a runtime that has no estimate.
    """
    packed = runtime == "docker" and nodes_per_container > 1
    cost = _COSTS.get("docker, packed" if packed else runtime)
    if cost is None:
        raise UsageError(f"runtime {runtime!r}: expected netns or docker")
    descriptors = _DESCRIPTORS_BASE + _DESCRIPTORS_A_NODE * nodes
    tasks = cost.node_tasks * nodes + cost.container_tasks * -(-nodes // nodes_per_container)
    system = tasks + limits.tasks_now
    memory = cost.node_bytes * nodes
    cgroup = tasks if limits.cgroup_tasks is None else limits.cgroup_tasks
    checks = (
        (
            "open files (hard limit)",
            limits.open_files,
            descriptors,
            (
                f"`ulimit -Hn {descriptors}` as root, or LimitNOFILE={descriptors} in the unit "
                "that starts the harness"
            ),
        ),
        (
            "kernel.pid_max",
            limits.pids,
            system,
            f"`sysctl -w kernel.pid_max={system}`"
            if system <= _PID_MAX_LIMIT
            else "no kernel allows so many",
        ),
        ("kernel.threads-max", limits.threads, system, f"`sysctl -w kernel.threads-max={system}`"),
        (
            "user.max_net_namespaces",
            limits.network_namespaces,
            nodes + 1,
            f"`sysctl -w user.max_net_namespaces={nodes + 1}`",
        ),
        (
            "tasks left in this cgroup (pids.max)",
            cgroup,
            tasks,
            "raise pids.max of the cgroup, or TasksMax= of the unit",
        ),
        (
            "memory available in MB",
            limits.memory_available_bytes // 1_000_000,
            memory // 1_000_000,
            (
                f"fewer nodes ({limits.memory_available_bytes // cost.node_bytes:,} fit), or more "
                "memory"
            ),
        ),
    )
    short = [
        f"  {what}: found {found:,}, needed {needed:,}: {cure}"
        for what, found, needed, cure in checks
        if needed > found
    ]
    if short:
        raise PreflightError(
            f"this host cannot hold {nodes:,} nodes on the {runtime} runtime:\n" + "\n".join(short)
        )


def _cgroup_headroom(
    controller: str, limit_files: tuple[str, ...], usage_files: tuple[str, ...]
) -> int | None:
    """The least (limit - usage) of this process's cgroup and those above it, of either cgroup
    version; None: no limit.
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
