"""Starting times, side by side in one run: netns clusters, and 100 Docker nodes against the same
containers bare.

The bare containers are started by the SDK alone, with the same image, mounts, limits, threads and
program, in the host's network and without links; both are timed until every node has said READY.
``make bench-up`` prints a table.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from cluster_peers import bare_up, image_id

from harness import runtimes
from harness.experiments import run
from harness.scenario import shipped

CLUSTER = "bench"
IDLE_S = 10.0


def harness_up(topology: str, where: str) -> tuple[float, list[int]]:
    """Seconds of `harness.up`, and the nodes' pids; the cluster stays up."""
    begun = time.monotonic()
    status = run.up(shipped.find(topology, "topologies"), cluster=CLUSTER, runtime_name=where)
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


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("HARNESS_STATE", "/run/harness")
    print(f"{'what':44} {'seconds':>8}  remarks", flush=True)
    for topology in ("cluster-10", "cluster-100", "cluster-1000"):
        seconds, pids = harness_up(topology, "netns")
        cores, memory_gb = idle(pids)
        run.down(CLUSTER)
        print(
            f"{'netns ' + topology:44} {seconds:8.2f}  idle {cores:.3f} cores, PSS "
            f"{memory_gb:.2f} GB together",
            flush=True,
        )
    if runtimes.choose("auto") != "docker":
        print("docker: no engine answers here, not measured")
        return
    harness_up("cluster-10", "docker")  # the image exists from here on
    run.down(CLUSTER)
    image = image_id()
    ratios = []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        bare = bare_up(image)
        ours, _ = harness_up("cluster-100", "docker")
        run.down(CLUSTER)
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
