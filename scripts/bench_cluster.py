"""What a cluster costs, each beside what others would use, in turns in one run: nodes ready on
netns and on Docker, a sample against `docker stats`, a cut against a command a node. `make
bench-cluster` (about 15 minutes) writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sections import BENCHMARKS, publish

import harness
from harness import runtimes
from harness.control.client import Client
from harness.errors import HarnessError
from harness.kernel.namespaces import open_socket
from harness.scenario import shipped
from harness.supervisor.sampler import Sampler

CLUSTER = "bench"
REPEATS = 3
PORT = 7999
EVERY_S = 0.0005
Node = dict[str, Any]  # as `status` tells it
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def up(topology: str, where: str) -> Iterator[tuple[float, list[Node]]]:
    """A cluster: the seconds until all nodes were ready, and the nodes."""
    begun = time.monotonic()
    status = harness.up(shipped.find(topology, "topologies"), cluster=CLUSTER, runtime_name=where)
    try:
        yield time.monotonic() - begun, status["nodes"]
    finally:
        harness.down(CLUSTER)


def ready(topology: str, where: str) -> float:
    with up(topology, where) as (seconds, _):
        return seconds


def starting() -> Iterator[str]:
    """100 and 1000 nodes ready, netns beside Docker."""
    ready("cluster-10", "docker")  # the image exists from here on
    for topology, repeats in (("cluster-100", REPEATS), ("cluster-1000", 1)):
        pairs = [(ready(topology, "netns"), ready(topology, "docker")) for _ in range(repeats)]
        netns, docker = (statistics.median(times) for times in zip(*pairs, strict=True))
        yield row(
            f"{topology} ready, netns",
            "our own Docker",
            "≤ 1/4",
            ratio(netns / docker),
            f"{netns:.1f} s, {docker:.1f} s (medians of {repeats})",
            netns / docker <= 1 / 4,
        )


def cpu_s(*pids: int) -> float:
    """CPU seconds that these processes used so far, with their children that ended."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])
    return total * _TICK_S


def engine() -> list[int]:
    """The engine's processes."""
    found = subprocess.run(
        ["pgrep", "-x", "dockerd|containerd"], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in found.stdout.split()]


def sampling() -> Iterator[str]:
    """One sample of 100 containers, by us and by `docker stats`: CPU seconds of all who work."""
    with up("cluster-100", "docker") as (_, nodes), contextlib.ExitStack() as stack:
        namespaces = [
            stack.enter_context(open(f"/proc/{node['pid']}/ns/net", "rb")).fileno()
            for node in nodes
        ]
        sampler = stack.enter_context(contextlib.closing(Sampler(namespaces)))
        for index, node in enumerate(nodes):
            sampler.track(index, node["pid"])
        ours, theirs, containers = [], [], 0
        for _ in range(REPEATS):
            begun = time.thread_time()
            for _ in range(20):
                taken = sampler.take({}).num_rows
            ours.append((time.thread_time() - begun) / 20)
            before, own = cpu_s(*engine()), os.times()
            said = subprocess.run(
                ["docker", "stats", "--no-stream", "--format", "{{.Name}}"],
                capture_output=True,
                text=True,
                check=True,
            )
            after = os.times()
            spent = after.children_user - own.children_user
            spent += after.children_system - own.children_system
            theirs.append(cpu_s(*engine()) - before + spent)
            containers = len(said.stdout.splitlines())
    if taken != 100 or containers != 100:
        raise HarnessError(f"{taken} nodes sampled by us, {containers} by docker stats")
    part = statistics.median(ours) / statistics.median(theirs)
    yield row(
        "one sample of 100 nodes, CPU",
        "`docker stats --no-stream`, with the engine's part",
        "≤ 1/50",
        ratio(part),
        f"{statistics.median(ours) * 1e3:.1f} ms, {statistics.median(theirs) * 1e3:.0f} ms",
        part <= 1 / 50,
    )


class Crossing:
    """A sender of ours on every side of the cut: when the last datagram crossed."""

    def __init__(self, pairs: Sequence[tuple[Node, Node]]) -> None:
        self.last_ns = 0
        self._over = threading.Event()
        self._threads = []
        for source, target in pairs:
            receiver, sender = (namespace_socket(node["pid"]) for node in (target, source))
            receiver.bind((target["address"], PORT))
            receiver.settimeout(0.1)
            to = (target["address"], PORT)
            self._threads += [
                threading.Thread(target=self._send, args=(sender, to)),
                threading.Thread(target=self._receive, args=(receiver,)),
            ]
        for thread in self._threads:
            thread.start()

    def _send(self, sender: socket.socket, to: tuple[str, int]) -> None:
        while not self._over.wait(EVERY_S * len(self._threads)):
            with contextlib.suppress(OSError):
                sender.sendto(b"x", to)
        sender.close()

    def _receive(self, receiver: socket.socket) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                receiver.recv(16)
                self.last_ns = max(self.last_ns, time.monotonic_ns())
        receiver.close()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def namespace_socket(pid: int) -> socket.socket:
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:
        return open_socket(namespace.fileno(), socket.AF_INET, socket.SOCK_DGRAM)


def effective_ms(pairs: Sequence[tuple[Node, Node]], act: Callable[[], object]) -> float:
    """How long after the call the last datagram crossed that may not."""
    crossing = Crossing(pairs)
    try:
        time.sleep(0.5)
        begun_ns = time.monotonic_ns()
        act()
        acted_ns = time.monotonic_ns()
        time.sleep(0.5)
        if crossing.last_ns > acted_ns + 400_000_000:
            raise HarnessError("datagrams still cross half a second after the cut")
        return max(crossing.last_ns - begun_ns, 0) / 1e6
    finally:
        crossing.close()


def commands(nodes: Sequence[Node], half: Sequence[Node], rule: str) -> None:
    """One iptables command for each node of a half: it drops what comes from the other half."""
    far = [ipaddress.ip_address(node["address"]) for node in nodes if node not in half]
    others = ",".join(map(str, ipaddress.collapse_addresses(map(ipaddress.ip_network, far))))
    for node in half:
        subprocess.run(
            f"nsenter -t {node['pid']} -n iptables -w {rule} INPUT -s {others} -j DROP".split(),
            check=True,
            capture_output=True,
        )


def cutting(topology: str) -> Iterator[str]:
    """A cut in halves: call to effective, by us and by one command a node."""
    with up(topology, "netns") as (_, nodes), Client.connect(CLUSTER) as client:
        half, rest = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
        pairs = [(rest[0], half[0]), (rest[-1], half[-1])]
        words = {"cut": "halves", "name": "bench"}  # the first half and the second, as here
        ours, theirs = [], []
        for _ in range(REPEATS):
            ours.append(effective_ms(pairs, lambda: client.call("fault-set", {"words": words})))
            client.call("fault-clear", {"name": "bench"})
            theirs.append(effective_ms(pairs, lambda: commands(nodes, half, "-A")))
            commands(nodes, half, "-D")
    part = statistics.median(ours) / statistics.median(theirs)
    yield row(
        f"cut of {len(nodes):,} nodes in halves, call to effective",
        "one iptables command a node",
        "≤ 1/100",
        ratio(part),
        f"{statistics.median(ours):.1f} ms, {statistics.median(theirs):,.0f} ms",
        part <= 1 / 100,
    )


def ratio(part: float) -> str:
    return f"1/{1 / part:.1f}" if part < 0.5 else f"{part:.2f}"


def row(what: str, against: str, aim: str, seen: str, figures: str, kept: bool) -> str:
    print(f"{what}: {seen} ({aim}); {figures}", flush=True)
    return f"| {what} | {against} | {aim} | {seen if kept else f'**{seen}, missed**'} | {figures} |"


def main() -> None:
    os.environ.setdefault("HARNESS_STATE", "/run/harness")
    lines = [*cutting("cluster-100"), *cutting("cluster-1000")]
    if runtimes.choose("auto") == "docker":
        lines += [*sampling(), *starting()]
    else:
        print("docker: no engine answers here, not measured")
    head = [
        "## A cluster (`make bench-cluster`)",
        "",
        "| what | against | aim | seen | figures |",
        "|---|---|---|---|---|",
    ]
    publish(BENCHMARKS, "cluster", "\n".join([*head, *lines]))


if __name__ == "__main__":
    main()
