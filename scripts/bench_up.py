"""Starting times, side by side in one run: netns clusters, and 100 Docker nodes against the same
containers bare.

The bare containers are started by the SDK alone, with the same image, mounts, limits, threads and
program, in the host's network and without links; both are timed until every node has said READY.
``make bench-up`` prints a table.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
from meshnode.identity import Authority

import harness
from harness import runtimes
from harness.control.client import Client
from harness.errors import HarnessError
from harness.runtimes.docker.engine import NOFILE_MAX, THREADS
from harness.scenario import shipped
from harness.supervisor.readiness import Readiness
from harness.systems.adapters.meshnode import PORT

CLUSTER = "bench"
LABEL = {"p2p-harness.cluster": "bench-bare"}
IDLE_S = 10.0


def harness_up(topology: str, where: str) -> tuple[float, list[int]]:
    """Seconds of `harness.up`, and the nodes' pids; the cluster stays up."""
    begun = time.monotonic()
    status = harness.up(shipped.find(topology, "topologies"), cluster=CLUSTER, runtime_name=where)
    return time.monotonic() - begun, [node["pid"] for node in status["nodes"]]


def idle(pids: list[int]) -> tuple[float, float]:
    """Cores that the nodes use together when nothing happens, and their proportional memory in
    GB.
    """

    def clocks() -> int:
        return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)

    time.sleep(5)  # what joining left to do
    first, begun = clocks(), time.monotonic_ns()
    time.sleep(IDLE_S)
    cores = (clocks() - first) / (time.monotonic_ns() - begun)
    pss = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return cores, pss / 1e6


def bare_up(count: int, image: str) -> float:
    """Seconds until `count` lone nodes in containers of the bare SDK are ready; they are removed
    again.
    """
    client = docker.DockerClient(timeout=300)
    with tempfile.TemporaryDirectory(prefix="bench-bare-") as folder:
        base = Path(folder)
        authority = Authority.load_or_create(base / "ca")
        readiness = Readiness(base / "notify" / "socket")
        begun = time.monotonic()

        def one(index: int) -> object:
            home = base / f"node-{index}"
            home.mkdir()
            authority.issue(home, home.name)
            config = {
                "version": 1,
                "name": home.name,
                "address": f"127.1.{index // 250}.{index % 250 + 1}",
                "port": PORT,
                "directory": str(home),
                "links": [],
                "options": {},
            }
            (home / "node.json").write_text(json.dumps(config))
            readiness.expect(home.name)
            return client.containers.run(
                image,
                ["run", "--config", str(home / "node.json")],
                entrypoint="meshnode",
                name=f"bench-bare-{index}",
                detach=True,
                network_mode="host",
                cap_add=["SYS_ADMIN"],
                labels=LABEL,
                environment={"NOTIFY_SOCKET": str(base / "notify" / "socket")},
                mounts=[
                    docker.types.Mount(str(home), str(home), "bind"),
                    docker.types.Mount(
                        str(base / "notify"), str(base / "notify"), "bind", read_only=True
                    ),
                ],
                ulimits=[docker.types.Ulimit(name="nofile", soft=NOFILE_MAX, hard=NOFILE_MAX)],
            )

        try:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(one, range(count)))
            silent = readiness.wait([f"node-{index}" for index in range(count)], 30, lambda _: None)
            if silent:
                raise HarnessError(
                    f"{len(silent)} bare containers did not become ready, {silent[0]} for one"
                )
            return time.monotonic() - begun
        finally:
            with ThreadPoolExecutor(THREADS) as pool:
                list(
                    pool.map(
                        lambda container: container.remove(force=True),
                        client.containers.list(
                            all=True, filters={"label": "p2p-harness.cluster=bench-bare"}
                        ),
                    )
                )
            readiness.close()
            client.close()


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("HARNESS_STATE", "/run/harness")
    print(f"{'what':44} {'seconds':>8}  remarks", flush=True)
    for topology in ("cluster-10", "cluster-100", "cluster-1000"):
        seconds, pids = harness_up(topology, "netns")
        cores, memory_gb = idle(pids)
        harness.down(CLUSTER)
        print(
            f"{'netns ' + topology:44} {seconds:8.2f}  idle {cores:.3f} cores, PSS "
            f"{memory_gb:.2f} GB together",
            flush=True,
        )
    if runtimes.choose("auto") != "docker":
        print("docker: no engine answers here, not measured")
        return
    harness_up("cluster-10", "docker")  # the image exists from here on
    with Client.connect(CLUSTER) as client:
        begun = client.begin(
            scenario="bench",
            phases=[{"name": "none", "duration_s": None}],
            seed=1,
            budget=None,
            runs=tempfile.mkdtemp(),
            load={},
            files={},
            start_in_s=0,
        )
        image = json.loads((Path(begun["run"]) / "metadata.json").read_text())["runtime"][
            "image_id"
        ]
        client.end()
    harness.down(CLUSTER)
    ratios = []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        bare = bare_up(100, image)
        ours, _ = harness_up("cluster-100", "docker")
        harness.down(CLUSTER)
        ratios.append(ours / bare)
        print(f"{'docker 100 bare SDK, lone nodes, until ready':44} {bare:8.2f}", flush=True)
        print(
            f"{'docker cluster-100, linked and joined':44} {ours:8.2f}  ratio {ours / bare:.2f} "
            "(wanted: at most 1.3)",
            flush=True,
        )
    print(f"{'docker, median ratio':44} {sorted(ratios)[len(ratios) // 2]:8.2f}")


if __name__ == "__main__":
    main()
