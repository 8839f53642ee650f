"""Whether a cluster is as it was before anything was done to it, told from outside: what the kernel
has for its hub and its nodes, and whether each node reaches each other one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.kernel.namespaces import inside, open_socket
from kit.desk import Desk

PORT = 4_200
OF_NETWORKS = (
    "nft list ruleset; tc qdisc; tc class; ip -o link; ip rule; ip route; "
    "iptables-legacy -t mangle -S"
)
LIMITS = ("Max open files", "Max address space")


def described(desk: Desk) -> dict[str, str]:
    """What there is of faults, links, rules, queues and limits, by where: two healthy moments of a
    cluster are alike.
    """
    nodes = desk.status()["nodes"]
    told = desk.ask("fault-list")
    found = {"faults": json.dumps([told["faults"], told["away"]])}
    for name, namespace in _namespaces(desk, nodes):
        with inside(namespace):
            done = subprocess.run(
                ["sh", "-c", OF_NETWORKS], capture_output=True, text=True, check=True
            )
        found[f"network of {name}"] = done.stdout
    for node in nodes:
        found[f"node {node['name']}"] = f"{node['condition']}, {_process(node['pid'])}"
    return found


def _process(pid: int) -> str:
    """The state, limits and CPU quota of a process."""
    place = Path(f"/proc/{pid}")
    state = (place / "stat").read_text().rpartition(")")[2].split()[0]
    limits = [
        " ".join(line.split())
        for line in (place / "limits").read_text().splitlines()
        if line.startswith(LIMITS)
    ]
    group = [line.split(":")[2] for line in (place / "cgroup").read_text().splitlines()]
    is_stopped = "stopped" if state in "Tt" else "running"
    return f"{is_stopped}, {limits}, {[one for one in group if 'p2p-harness' in one]}"


def _namespaces(desk: Desk, nodes: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """The hub's network namespace and each node's, opened while the caller looks."""
    with _hub(desk) as hub:
        yield "the hub", hub
    for node in nodes:
        namespace = os.open(f"/proc/{node['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield node["name"], namespace
        finally:
            os.close(namespace)


@contextmanager
def _hub(desk: Desk) -> Iterator[int]:
    """The namespace among the supervisor's that has the other ends of the nodes' links."""
    supervisor = desk.supervisor()
    for number in os.listdir(f"/proc/{supervisor}/fd"):
        path, namespace = f"/proc/{supervisor}/fd/{number}", None
        with suppress(OSError):
            if os.readlink(path).startswith("net:"):
                namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if namespace is None:
            continue
        try:
            with inside(namespace):
                links = Path("/proc/thread-self/net/dev").read_text().split()
            if "n0:" in links:
                yield namespace
                return
        finally:
            os.close(namespace)
    raise AssertionError("the supervisor holds no namespace with the link n0")


def unreached(desk: Desk) -> list[str]:
    """The paths on which no connection is made and nothing arrives; each is tried three times."""
    nodes = desk.status()["nodes"]
    with ExitStack() as stack:
        namespaces = {}
        for node in nodes:
            namespaces[node["name"]] = namespace = os.open(
                f"/proc/{node['pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC
            )
            stack.callback(os.close, namespace)
            listener = stack.enter_context(_tcp(namespace))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((node["address"], PORT))
            listener.listen(len(nodes) * 3)
        return [
            f"{source['name']} -> {target['name']}"
            for source in nodes
            for target in nodes
            if source is not target
            and not any(_connects(namespaces[source["name"]], target) for _ in range(3))
        ]


def _tcp(namespace: int) -> socket.socket:
    return open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM)


def _connects(namespace: int, target: dict[str, Any]) -> bool:
    with _tcp(namespace) as here:
        here.settimeout(3)
        with suppress(OSError):
            here.connect((target["address"], PORT))
            return True
    return False
