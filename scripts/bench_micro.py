"""`make bench-micro`: the micro benchmarks inside the node's image, judged by budgets/micro.toml.

RUNTIME=docker runs them in a container of the image, netns in this host's Python, which the image
is made of. They run on one core, in several processes one after another. A value is the median of
the looks of three of these that lie far apart, so that neither a busy or a lucky moment of the
machine nor the chance of where a process has its memory is taken for the program's time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

from harness import runtimes
from harness.checks.measurements import SIZES
from harness.errors import HarnessError
from harness.experiments import bench
from harness.runtimes.docker import runtime as engine
from harness.runtimes.runtime import Image
from harness.scenario import shipped

SCRIPT = Path(__file__).parent / "micro.py"
VALUES, EACH = 8, 3


def command(where: str) -> tuple[list[str], dict[str, str]]:
    """What to run for one process, and the facts of where it runs."""
    core = str(max(os.sched_getaffinity(0)))
    if where != "docker":
        return ["taskset", "-c", core, sys.executable, str(SCRIPT)], {"name": where}
    connected = engine.connect()
    try:
        image = connected.image(Image("meshnode"), print)
    finally:
        connected.close()
    options = ["--rm", "--network", "none", "--cpuset-cpus", core, "--entrypoint", "python3"]
    options += ["--env", "PYTHONPATH=/opt/site", "--volume", f"{SCRIPT}:/opt/micro.py:ro"]
    return ["docker", "run", *options, image["image_id"], "/opt/micro.py"], {
        "name": where,
        **image,
    }


def measurements(argv: list[str]) -> dict[str, list[float]]:
    """The values in ns, rates of the encryptions, and how much each differs."""
    looks: dict[str, list[list[float]]] = {}
    for number in range(VALUES * EACH):
        print(f"bench-micro: {number + 1} of {VALUES * EACH}", file=sys.stderr, flush=True)
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise HarnessError("the micro benchmarks ended with an error, said above")
        for name, took in json.loads(done.stdout).items():
            looks.setdefault(f"micro.{name}", []).append([one * 1e9 for one in took])
    found = {
        name: [statistics.median(chain(*each[first::VALUES])) for first in range(VALUES)]
        for name, each in looks.items()
    }
    spread = [statistics.stdev(values) / statistics.mean(values) for values in found.values()]
    rates = {
        f"micro.encrypt_{size}_rate": [
            size * 1e9 / value for value in found[f"micro.encrypt_{size}"]
        ]
        for size in SIZES
    }
    return found | rates | {"micro.variance": spread}


def main() -> int:
    """Run, record, judge; the verdict's exit code."""
    where = runtimes.choose(os.environ.get("RUNTIME") or "auto")
    begun_ns = time.monotonic_ns()
    argv, facts = command(where)
    print(f"bench-micro: about two minutes, on {where}", file=sys.stderr)
    found = measurements(argv)
    judged = bench.record(
        "micro",
        found,
        budget=shipped.find("micro", "budgets"),
        runs=Path(os.environ.get("HARNESS_RUNS", "runs")),
        begun_ns=begun_ns,
        runtime=facts,
    )
    print(judged.rendered("text"), end="")
    return judged.exit_code


if __name__ == "__main__":
    sys.exit(main())
