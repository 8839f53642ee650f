"""What a cluster costs, each beside what others would use, in turns in one run: nodes ready on
netns and on Docker, a sample against `docker stats`, a cut against a command a node, the delay
engine.

`make bench-cluster` measures all parts; `scripts/bench_cluster.py PART …` some. Each writes its
section of docs/benchmarks.md as soon as it is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cluster_peers as peers
import cluster_wires as wires
from sections import BENCHMARKS, ROOT, publish

from harness import runtimes
from harness.control import state
from harness.control.client import Client
from harness.errors import HarnessError
from harness.experiments import run
from harness.host.facts import host_facts
from harness.runtimes.docker import labels
from harness.scenario import shipped
from harness.supervisor.sampler import Sampler

CLUSTER = "bench"
TURNS = 3
LOAD = ["--private-message-rate", "50", "PrivateMessageUser"]
# as `docker stats` needs them; the kernel keeps 15 characters of a name
ENGINE = "dockerd|containerd|containerd-shim"
Node = peers.Node
Pairs = wires.Pairs


@contextlib.contextmanager
def up(topology: str, where: str) -> Iterator[tuple[float, list[Node]]]:
    """A cluster: the seconds until all nodes were ready, and the nodes."""
    begun = time.monotonic()
    status = run.up(shipped.find(topology, "topologies"), cluster=CLUSTER, runtime_name=where)
    try:
        yield time.monotonic() - begun, status["nodes"]
    finally:
        run.down(CLUSTER)


def ready(topology: str, where: str) -> float:
    with up(topology, where) as (seconds, _):
        return seconds


def starting(turns: int) -> Iterator[str]:
    """100 nodes ready on Docker beside Compose and the bare SDK, and on netns beside our own
    Docker.
    """
    image = peers.image_id()
    ways: dict[str, Callable[[], float]] = {
        "docker": lambda: ready("cluster-100", "docker"),
        "netns": lambda: ready("cluster-100", "netns"),
        "compose": lambda: peers.compose_up(image, own_network=True),
        "host": lambda: peers.compose_up(image, own_network=False),
        "bare": lambda: peers.bare_up(image),
    }
    took = in_turns(ways, turns)
    what, compose = "100 nodes ready, Docker", f"Compose {peers.compose_version()}, same image"
    network = f"{compose}, a network of its own, until the same nodes are linked and joined"
    yield row(what, network, 0.8, took["docker"], took["compose"], "s")
    alike = f"{compose} in the host's network, whose nodes have no namespace of their own"
    yield row(what, alike, None, took["docker"], took["host"], "s")
    lone = "the bare SDK, same image, lone nodes in the host's network"
    yield row(what, lone, 1.15, took["docker"], took["bare"], "s")
    yield row("100 nodes ready, netns", "our own Docker", 0.25, took["netns"], took["docker"], "s")


def starting_1000(turns: int) -> Iterator[str]:
    """1,000 nodes ready on netns beside our own Docker."""
    took = in_turns(
        {where: lambda where=where: ready("cluster-1000", where) for where in ("netns", "docker")},
        turns,
    )
    ours = "our own Docker, ten nodes a container"
    yield row("1,000 nodes ready, netns", ours, 0.25, took["netns"], took["docker"], "s")


def in_turns(ways: dict[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """Let each have its turn, several times; another begins each time."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns):
        first = turn % len(ways)
        for name, way in [*ways.items()][first:] + [*ways.items()][:first]:
            found[name].append(way())
            print(f"turn {turn + 1}: {name}: {found[name][-1]:.4g}", flush=True)
    return found


def sampling(turns: int) -> Iterator[str]:
    """One sample of 100 containers, by us and by `docker stats`: CPU of all who work for it."""
    with up("cluster-100", "docker") as (_, nodes), contextlib.ExitStack() as stack:
        namespaces = [
            stack.enter_context(open(f"/proc/{node['pid']}/ns/net", "rb")).fileno()
            for node in nodes
        ]
        sampler = stack.enter_context(contextlib.closing(Sampler(namespaces)))
        for index, node in enumerate(nodes):
            sampler.track(index, node["pid"])

        def ours() -> float:
            begun = time.process_time()
            for _ in range(20):
                if (taken := sampler.take({}).num_rows) != len(nodes):
                    raise HarnessError(f"{taken} of {len(nodes)} nodes sampled by us")
            return (time.process_time() - begun) / 20 * 1e3

        took = in_turns({"ours": ours, "docker stats": lambda: docker_stats(nodes)}, turns)
    against = "`docker stats --no-stream`, the client's and the engine's CPU"
    what = "one sample of 100 nodes, CPU"
    yield row(what, against, 1 / 50, took["ours"], took["docker stats"], "ms")


def docker_stats(nodes: Sequence[Node]) -> float:
    """CPU ms of one `docker stats --no-stream`, the client and the engine's processes together."""
    before, own = engine_cpu_s(), os.times()
    command = ["docker", "stats", "--no-stream", "--format", "{{.Name}}", *containers(nodes)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = os.times()
    client = sum(after[2:4]) - sum(own[2:4])
    if (told := len(said.splitlines())) != len(nodes):
        raise HarnessError(f"docker stats told of {told} containers instead of {len(nodes)}")
    return (engine_cpu_s() - before + client) * 1e3


def containers(nodes: Sequence[Node]) -> list[str]:
    return [labels.container_name(CLUSTER, state.root(), node["name"]) for node in nodes]


def engine_cpu_s() -> float:
    """CPU seconds that the engine's processes used so far."""
    found = subprocess.run(["pgrep", "-x", ENGINE], capture_output=True, text=True, check=True)
    return sum(time.clock_gettime((~int(pid) << 3) | 2) for pid in found.stdout.split())


@contextlib.contextmanager
def load() -> Iterator[None]:
    """A run with private messages among the nodes, from when its first second is over."""
    command = [sys.executable, "-m", "locust", "--headless", "-t", "600s", *LOAD]
    environment = {**os.environ, "HARNESS_CLUSTER": CLUSTER}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        try:
            with Client.connect(CLUSTER) as client:
                until = time.monotonic() + 60
                while client.call("status")["phase"] is None:
                    if running.poll() is not None or time.monotonic() > until:
                        raise HarnessError("locust did not begin a run")
                    time.sleep(0.2)
            time.sleep(5)
            yield
        finally:
            running.terminate()
            running.communicate()


def cutting(topology: str, turns: int) -> Iterator[str]:
    """A cut in halves during a run, by us and by one command a node."""
    with up(topology, "netns") as (_, nodes), load(), Client.connect(CLUSTER) as client:
        half, rest = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
        into: Pairs = [(rest[0], half[0]), (rest[-1], half[-1])]
        out: Pairs = [(target, source) for source, target in into]
        took = in_turns(
            {
                "cut": lambda: our_cut(client, [*into, *out]),
                "iptables": lambda: cut_by(into, peers.iptables, nodes, half),
                "tc": lambda: cut_by(out, peers.traffic_control, half),
            },
            turns,
        )
    what = f"cut of {len(nodes):,} nodes in halves during a run, call to effective, netns"
    yield row(what, "one iptables command a node", 0.01, took["cut"], took["iptables"], "ms")
    against = "containerlab's way: one tc command a node (netlink in its namespace)"
    yield row(what, against, 0.01, took["cut"], took["tc"], "ms")


def cutting_containers(turns: int) -> Iterator[str]:
    """The same with containers, by us and in Pumba's way."""
    image = peers.image_id()
    with up("cluster-100", "docker") as (_, nodes), load(), Client.connect(CLUSTER) as client:
        half, rest = nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]
        into: Pairs = [(rest[0], half[0]), (rest[-1], half[-1])]
        out: Pairs = [(target, source) for source, target in into]
        took = in_turns(
            {
                "cut": lambda: our_cut(client, [*into, *out]),
                "pumba": lambda: cut_by(into, peers.sidecars, image, containers(half)),
            },
            turns,
        )
    what = f"cut of {len(nodes):,} nodes in halves during a run, call to effective, Docker"
    against = "Pumba's way: a container beside each of a half, all at once, and iptables in it"
    yield row(what, against, 0.01, took["cut"], took["pumba"], "ms")


def our_cut(client: Client, pairs: Pairs) -> float:
    words = {"cut": "halves", "name": "bench"}  # the first half and the second, as the peers' are
    took_ms = wires.effective_ms(pairs, lambda: client.call("fault-set", {"words": words}))
    client.call("fault-clear", {"name": "bench"})
    return took_ms


def cut_by(pairs: Pairs, cut: Callable[..., None], *words: Any) -> float:
    took_ms = wires.effective_ms(pairs, lambda: cut(*words))
    cut(*words, undo=True)
    return took_ms


def delaying(turns: int) -> Iterator[str]:
    """What the delay engine adds to a delay that was asked for, and its share of a core."""
    looks = [wires.delayed() for _ in range(turns)]
    p50, p99, share, rates = zip(*looks, strict=True)
    what = f"delay engine, {wires.DELAY_MS} ms at {statistics.median(rates):,.0f} packets/s"
    slow = min(rates) < 0.95 * wires.PACKETS_PER_S  # another load than the aim is about
    yield bound(f"{what}: p50", "what was asked", 0.2, p50, "ms more", slow=slow)
    yield bound(f"{what}: p99", "what was asked", 1.0, p99, "ms more", slow=slow)
    yield bound(f"{what}: CPU", "a core", 1 / 3, share, "of a core", slow=slow)


def row(
    what: str,
    against: str,
    most: float | None,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
) -> str:
    """A line of the section: ours ÷ theirs of the same turn, the median and the least and most."""
    ratios = [ours / theirs for ours, theirs in zip(ours, theirs, strict=True)]
    middle, spread = statistics.median(ratios), ""
    if len(ratios) > 1:
        spread = f" [{ratio(min(ratios))}–{ratio(max(ratios))}]"
    figures = f"{values(ours, unit)} · {values(theirs, unit)}"
    aim = "–" if most is None else f"≤ {ratio(most)}"
    kept = "" if most is None else told(middle <= most)
    return line(what, against, aim, f"{ratio(middle)}{spread}", kept, figures)


def bound(
    what: str, against: str, most: float, seen: Sequence[float], unit: str, *, slow: bool
) -> str:
    """A line for what is held against a bound of its own; not where the host was too `slow`."""
    middle = statistics.median(seen)
    aim, said = f"≤ {most:.2g} {unit}", f"{middle:.2f} {unit}"
    kept = "not known: the host was too busy to send so many" if slow else told(middle <= most)
    return line(what, against, aim, said, kept, values(seen, unit))


def told(is_kept: bool) -> str:
    return "kept" if is_kept else "**missed**"


def line(what: str, against: str, aim: str, said: str, kept: str, figures: str) -> str:
    print(f"{what}; {against}: {said} ({aim} {kept}); {figures}", flush=True)
    return f"| {what} | {against} | {aim} | {said} | {kept} | {figures} |"


def ratio(part: float) -> str:
    return f"1/{1 / part:,.3g}" if part < 0.5 else f"{part:.2f}"


def values(seen: Sequence[float], unit: str) -> str:
    """The median, and the least and the most."""
    middle = f"{statistics.median(seen):,.3g}"
    return f"{middle} [{min(seen):,.3g}–{max(seen):,.3g}] {unit}" if len(seen) > 1 else middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section: what is measured for it, and what must be known to read it."""

    title: str
    note: str
    needs_docker: bool
    measures: Sequence[Callable[[int], Iterator[str]]]


EFFECTIVE = (
    "Effective is when the first datagram was sent since which none crossed. Neither Pumba nor "
    "containerlab is served as a Go module, so their steps are taken as their sources have them, "
    "by the fewest calls; theirs cut one direction, ours both."
)
PARTS = {
    "ready": Part(
        title="Nodes ready",
        note="All write identities and configuration within their time, and end when each node "
        "said that it is ready. The kernel's neighbour table is widened for Compose, whose nodes "
        "would overflow it.",
        needs_docker=True,
        measures=[starting],
    ),
    "ready-1000": Part(
        title="1,000 nodes ready",
        note="On Docker ten of them share a container.",
        needs_docker=True,
        measures=[starting_1000],
    ),
    "sample": Part(
        title="A sample of all nodes",
        note="CPU of all who work for it: ours is one thread; theirs the client, dockerd, "
        "containerd and its shims.",
        needs_docker=True,
        measures=[sampling],
    ),
    "cut": Part(
        title="A cut during a run",
        note=EFFECTIVE,
        needs_docker=True,
        measures=[partial(cutting, "cluster-100"), cutting_containers],
    ),
    "cut-1000": Part(
        title="A cut of 1,000 nodes during a run",
        note=EFFECTIVE,
        needs_docker=False,
        measures=[partial(cutting, "cluster-1000")],
    ),
    "delay": Part(
        title="The delay engine",
        note="Datagrams through one path, sent by a process that does nothing else, and the "
        "kernel's stamp of when they arrived.",
        needs_docker=False,
        measures=[delaying],
    ),
}


def measure(part: str, turns: int) -> None:
    """Measure a part and write its section."""
    it = PARTS[part]
    if part.endswith("-1000"):
        turns = 1  # which takes minutes
    lines = [one for each in it.measures for one in each(turns)]
    host = host_facts()
    head = [
        f"## {it.title}",
        "",
        f"By `make bench-cluster` on {host['cores']} cores ({host['cpu']},",
        f"Linux {host['kernel']}), in turns: medians [least–most] of {turns}.",
        f"The host's load was {os.getloadavg()[1]:.1f} at the end.",
        *textwrap.wrap(it.note, 98),
        "",
        "| what | against | aim | seen | | ours · theirs |",
        "|---|---|---|---|---|---|",
    ]
    publish(BENCHMARKS, f"cluster: {part}", "\n".join([*head, *lines]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"of each ({TURNS})")
    options = parser.parse_args()
    asked = options.parts or list(PARTS)
    if unknown := set(asked) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; possible: {', '.join(PARTS)}")
    if options.turns < 1:
        parser.error(f"--turns: expected at least 1, found {options.turns}")
    os.environ.setdefault("HARNESS_STATE", "/run/harness")
    has_docker = runtimes.choose("auto") == "docker"
    for part in asked:
        if PARTS[part].needs_docker and not has_docker:
            print(f"{part}: no engine answers here, so it is not measured", file=sys.stderr)
        else:
            measure(part, options.turns)


if __name__ == "__main__":
    main()
