"""What others would use instead of a cluster of ours: the same nodes started by Docker Compose and
by the engine's bare SDK, and a node's traffic cut as Pumba and containerlab do it.

Neither Pumba nor containerlab is a Go module that can be fetched, so their steps are taken as their
sources have them, by the fewest calls that do the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker

from harness.errors import HarnessError
from harness.runtimes.docker.engine import NOFILE_MAX, THREADS, connect
from harness.runtimes.runtime import Image, Place
from harness.scenario import files, shipped
from harness.supervisor.readiness import Readiness
from harness.systems.adapters.meshnode import Meshnode
from harness.topology.topology import Topology

COMPOSE = "github.com/docker/compose/v2"
COMPOSE_VERSION = "v2.40.3"
# for Compose, a namespace and an address a container: the first that no network of the engine has
OWN_NETWORKS = [IPv4Network(f"10.{number}.0.0/16") for number in range(213, 223)]
HOSTS = IPv4Network("127.1.0.0/16")  # in the host's network: addresses of its loopback
SILENCE_S = 120
NEIGHBOURS, NEIGHBOURS_MOST = Path("/proc/sys/net/ipv4/neigh/default"), 16_384
# what a program of this host needs inside a container that has none of its files
HOST_FILES = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
LABEL = {"p2p-harness.cluster": "bench-peers"}
Node = dict[str, Any]  # as `status` tells it


def image_id() -> str:
    """The image of our nodes; it is made where the engine does not have it."""
    with contextlib.closing(connect()) as engine:
        return str(engine.image(Image("meshnode"), print)["image_id"])


def compose() -> list[str]:
    """Docker Compose: the client's plugin, the program, or one built with Go (two minutes)."""
    plugin = ["docker", "compose", "version"]
    if not subprocess.run(plugin, capture_output=True, check=False).returncode:
        return plugin[:2]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2p-harness"
    built = cache / f"docker-compose-{COMPOSE_VERSION}"
    if (found := shutil.which("docker-compose")) is not None and not built.exists():
        return [found]
    if not built.exists():
        if (go := shutil.which("go")) is None:
            raise HarnessError("there is neither Docker Compose here, nor Go to build it with")
        _build(go, built)
    return [str(built)]


def compose_version() -> str:
    command = [*compose(), "version", "--short"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _build(go: str, built: Path) -> None:
    """Build Compose in a module that requires it: its own has directives that `install` refuses."""
    print(f"bench: building Compose {COMPOSE_VERSION} with Go, once, some minutes", flush=True)
    stamp = f"-s -w -X {COMPOSE}/internal.Version={COMPOSE_VERSION}"
    with tempfile.TemporaryDirectory(prefix="bench-compose-") as folder:
        for argv in (
            ["mod", "init", "bench/compose"],
            ["get", f"{COMPOSE}@{COMPOSE_VERSION}"],
            ["build", "-mod=mod", "-ldflags", stamp, "-o", str(built), f"{COMPOSE}/cmd"],
        ):
            done = subprocess.run(
                [go, *argv], cwd=folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise HarnessError(f"go {argv[0]}: {done.stderr.strip()[-300:]}")


def compose_up(image: str, own_network: bool) -> float:
    """Seconds until a hundred containers of Compose are ready: the nodes of cluster-100, linked and
    joined as ours are.
    """
    topology = files.read_topology(shipped.find("cluster-100", "topologies"))
    with (
        tempfile.TemporaryDirectory(prefix="bench-compose-") as folder,
        _readiness(folder) as ready,
        _room_for_neighbours(),
    ):
        command = [*compose(), "-p", f"bench-{os.getpid()}", "-f", f"{folder}/compose.json"]
        block = _free_network() if own_network else HOSTS
        begun = time.monotonic()
        places = prepare(topology, block, Path(folder))
        services = {
            place.node.name: _service(image, place, folder, own_network) for place in places
        }
        networks = {"default": {"ipam": {"config": [{"subnet": str(block)}]}}}
        whole = {"services": services, **({"networks": networks} if own_network else {})}
        Path(folder, "compose.json").write_text(json.dumps(whole))
        try:
            _run([*command, "up", "-d"])
            _wait(ready, [place.node.name for place in places], "of Compose")
            return time.monotonic() - begun
        finally:
            _compose_down([*command, "down", "-t", "0"])


@contextlib.contextmanager
def _room_for_neighbours() -> Iterator[None]:
    """Let the kernel keep more neighbours than it does by default: all containers of the host
    share the table, and a hundred nodes on a bridge overflow it. Clusters of ours need none.
    """
    limits = [NEIGHBOURS / f"gc_thresh{number}" for number in (3, 2, 1)]
    before = [one.read_text() for one in limits]
    for one, was in zip(limits, before, strict=True):
        one.write_text(str(max(int(was), NEIGHBOURS_MOST)))
    try:
        yield
    finally:
        for one, was in zip(limits, before, strict=True):
            one.write_text(was)


def _free_network() -> IPv4Network:
    with contextlib.closing(docker.DockerClient()) as client:
        used = [one.attrs["IPAM"]["Config"] or [] for one in client.networks.list()]
    taken = {config.get("Subnet") for configs in used for config in configs}
    return next(one for one in OWN_NETWORKS if str(one) not in taken)


def _compose_down(command: Sequence[str]) -> None:
    """Take Compose's project down; again where the engine was not done with a container yet."""
    for _ in range(5):
        if not subprocess.run(command, capture_output=True, check=False).returncode:
            return
        time.sleep(2)
    _run(command)


def prepare(topology: Topology, block: IPv4Network, state: Path) -> list[Place]:
    """Write identities, links and configuration, as a cluster of ours has them."""
    places = [
        Place(
            node=node,
            index=index,
            address=str(block[257 + index]),
            directory=state / "nodes" / node.name,
            namespace=-1,
        )
        for index, node in enumerate(topology.nodes)
    ]
    Meshnode().prepare(topology, places, state)
    return places


def _service(image: str, place: Place, folder: str, own_network: bool) -> dict[str, Any]:
    home, notify = str(place.directory), f"{folder}/notify"
    network: dict[str, Any] = {"network_mode": "host"}
    if own_network:
        network = {"networks": {"default": {"ipv4_address": place.address}}}
    return {
        "image": image,
        "entrypoint": ["meshnode"],
        "command": ["run", "--config", f"{home}/node.json"],
        "environment": {"NOTIFY_SOCKET": f"{notify}/socket"},
        "volumes": [f"{home}:{home}", f"{notify}:{notify}:ro"],
        "ulimits": {"nofile": NOFILE_MAX},
        **network,
    }


def bare_up(image: str) -> float:
    """Seconds until a hundred containers of the bare SDK are ready; they are removed again. Their
    nodes have no links, and stay in the host's network.
    """
    topology = files.read_topology(shipped.find("cluster-100", "topologies"))
    lone = replace(topology, links=frozenset())
    client = docker.DockerClient(timeout=300)
    with tempfile.TemporaryDirectory(prefix="bench-bare-") as folder, _readiness(folder) as ready:
        begun = time.monotonic()
        places = prepare(lone, HOSTS, Path(folder))

        def one(place: Place) -> object:
            home, notify = str(place.directory), f"{folder}/notify"
            return client.containers.run(
                image,
                ["run", "--config", f"{home}/node.json"],
                entrypoint="meshnode",
                name=f"bench-bare-{place.node.name}",
                detach=True,
                network_mode="host",
                cap_add=["SYS_ADMIN"],
                labels=LABEL,
                environment={"NOTIFY_SOCKET": f"{notify}/socket"},
                mounts=[
                    docker.types.Mount(home, home, "bind"),
                    docker.types.Mount(notify, notify, "bind", read_only=True),
                ],
                ulimits=[docker.types.Ulimit(name="nofile", soft=NOFILE_MAX, hard=NOFILE_MAX)],
            )

        try:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(one, places))
            _wait(ready, [place.node.name for place in places], "of the bare SDK")
            return time.monotonic() - begun
        finally:
            remove(client)
            client.close()


def remove(client: Any) -> None:
    """Remove every container of the peers."""
    label = "=".join(*LABEL.items())
    found = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: one.remove(force=True), found))


@contextlib.contextmanager
def _readiness(folder: str) -> Iterator[Readiness]:
    readiness = Readiness(Path(folder) / "notify" / "socket")
    try:
        yield readiness
    finally:
        readiness.close()


def _wait(readiness: Readiness, nodes: Sequence[str], whose: str) -> None:
    silent = readiness.wait(nodes, SILENCE_S, lambda _: None)
    if silent:
        last = readiness.statuses.get(silent[0], "nothing")
        raise HarnessError(
            f"{len(silent)} nodes {whose} did not become ready; {silent[0]} last said: {last}"
        )


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HarnessError(f"{argv[0]}: {done.stderr.strip()[-300:]}")


def iptables(nodes: Sequence[Node], half: Sequence[Node], *, undo: bool = False) -> None:
    """One iptables command for each node of a half: it drops what comes from the other half."""
    far = [ipaddress.ip_network(node["address"]) for node in nodes if node not in half]
    others = ",".join(map(str, ipaddress.collapse_addresses(far)))
    rule = f"iptables -w {'-D' if undo else '-I'} INPUT -s {others} -j DROP"
    for node in half:
        _run(f"nsenter -t {node['pid']} -n {rule}".split())


def traffic_control(half: Sequence[Node], *, undo: bool = False) -> None:
    """One tc command for each node of a half: nothing leaves it any more. As `containerlab tools
    netem set --loss 100` does it, a program for each node enters its namespace and has netlink
    replace the interface's qdisc (blackhole: not every kernel has netem).
    """
    qdisc = "tc qdisc del dev eth0 root" if undo else "tc qdisc replace dev eth0 root blackhole"
    for node in half:
        _run(f"nsenter -t {node['pid']} -n {qdisc}".split())


def sidecars(image: str, containers: Sequence[str], *, undo: bool = False) -> None:
    """As `pumba iptables loss` does it with its tools in an image: for each container at once, one
    beside it in its network, one iptables command executed there, and gone again.
    """
    client = docker.DockerClient(timeout=300, max_pool_size=len(containers))
    loss = "-m statistic --mode random --probability 1.00 -j DROP"
    rule = f"{shutil.which('iptables')} -w {'-D' if undo else '-I'} INPUT -i eth0 {loss}"

    def one(container: str) -> None:
        beside = client.containers.run(
            image,
            ["-f", "/dev/null"],
            entrypoint="tail",
            detach=True,
            network_mode=f"container:{container}",
            cap_add=["NET_ADMIN"],
            stop_signal="SIGKILL",
            labels=LABEL,
            mounts=[docker.types.Mount(path, path, "bind", read_only=True) for path in HOST_FILES],
        )
        code, said = beside.exec_run(rule.split())
        if code:
            raise HarnessError(f"iptables beside {container}: {said.decode().strip()[-300:]}")
        beside.remove(force=True)

    try:
        with ThreadPoolExecutor(len(containers)) as pool:
            list(pool.map(one, containers))
    finally:
        remove(client)
        client.close()
