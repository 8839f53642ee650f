"""How much of the default rates a plain `locust` sends: all to a hundred nodes and fewer; to more,
what fits the cluster and the host.

A message to a new peer, a broadcast and a lookup reach a share of all nodes, and there are more of
them: what a rate costs grows with the square of the nodes.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache

from harness.control.client import Client
from harness.errors import HarnessError
from harness.kernel.proc import cpu_ticks

SCENARIO = "HARNESS_SCENARIO"  # as request.py, which imports the options
NODES = 100  # whom this host's two idle cores can carry at the documented rates
CORES = 2.0
PROBE_S = 2.0


def share(nodes: int, idle_cores: float) -> float:
    """Compute the share of the documented rates for so many nodes, on so many idle cores."""
    if nodes <= NODES:
        return 1.0
    return min(1.0, (NODES / nodes) ** 2 * max(idle_cores, CORES / 10) / CORES)


@cache
def share_here() -> float:
    """Look at the cluster that is up and, where it is large, for two seconds at the host; says so
    once where the share is not all. All where no cluster answers, or a scenario says the rates.
    """
    if SCENARIO in os.environ:
        return 1.0
    try:
        with Client.connect(None) as client:
            nodes = len(client.status()["nodes"])
    except HarnessError:
        return 1.0
    idle = idle_cores(PROBE_S) if nodes > NODES else CORES
    found = share(nodes, idle)
    if found < 1:
        print(
            f"locust: {nodes:,} nodes and {idle:.1f} idle cores: the default rates are "
            f"{found:.2g} of the documented ones",
            file=sys.stderr,
            flush=True,
        )
    return found


def rate(documented_per_s: float) -> float:
    """Return a default rate that fits, of two digits where it is not the documented one."""
    part = share_here()
    return documented_per_s if part == 1 else float(f"{documented_per_s * part:.2g}")


def idle_cores(seconds: float) -> float:
    """Measure how many cores were idle for so long: what is left of those of this process."""
    cores = len(os.sched_getaffinity(0))
    before, begun_s = sum(_ticks()), time.monotonic()
    time.sleep(seconds)
    busy_s = (sum(_ticks()) - before) / os.sysconf("SC_CLK_TCK")
    return max(0.0, cores - busy_s / (time.monotonic() - begun_s))


def _ticks() -> tuple[int, int]:
    with open("/proc/stat", "rb") as file:
        return cpu_ticks(file.read())
