"""`make bench-micro`: the micro benchmarks inside the node's image, judged by budgets/micro.toml.

RUNTIME=docker runs them in a container of the image, netns in this host's Python, which the image
is made of. They run on one core and in rounds, each benchmark once a round in a process of its own.
A value is the least of several rounds that lie far apart, so that neither a busy minute of the
machine nor the chance of where a process has its memory is taken for the program's time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyperf

from harness import runtimes
from harness.checks.measurements import SIZES
from harness.errors import HarnessError
from harness.experiments import bench
from harness.runtimes.docker import runtime as engine
from harness.runtimes.runtime import Image
from harness.scenario import shipped

SCRIPT = Path(__file__).parent / "micro.py"
VALUES, ROUNDS = 8, 24
OPTIONS = ["--processes", "1", "--values", "1", "--loops", "1", "--warmups", "0", "--quiet"]
OPTIONS += ["--affinity", str(max(os.sched_getaffinity(0)))]


def command(where: str, output: Path) -> tuple[list[str], dict[str, str]]:
    """What to run for a round, and the facts of where it runs."""
    if where != "docker":
        return [sys.executable, str(SCRIPT), *OPTIONS, "--append", str(output / "micro.json")], {
            "name": where
        }
    connected = engine.connect()
    try:
        image = connected.image(Image("meshnode"), print)
    finally:
        connected.close()
    package = Path(pyperf.__file__).parent
    return [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "python3",
        "--env",
        "PYTHONPATH=/opt/site:/opt/bench",
        "--env",
        "HOME=/tmp",
        "--volume",
        f"{package}:/opt/bench/pyperf:ro",
        "--volume",
        f"{SCRIPT}:/opt/bench/micro.py:ro",
        "--volume",
        f"{output}:/out",
        image["image_id"],
        "/opt/bench/micro.py",
        *OPTIONS,
        "--append",
        "/out/micro.json",
    ], {"name": where, **image}


def measurements(file: Path) -> dict[str, list[float]]:
    """The values in ns, rates of the encryptions, and how much each differs."""
    suite = pyperf.BenchmarkSuite.load(str(file))
    rounds = {
        f"micro.{one.get_name()}": [value * 1e9 for value in one.get_values()] for one in suite
    }
    found = {
        name: [min(values[first::VALUES]) for first in range(VALUES)]
        for name, values in rounds.items()
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
    with tempfile.TemporaryDirectory() as folder:
        argv, facts = command(where, Path(folder))
        print(f"bench-micro: about three minutes, on {where}", file=sys.stderr)
        for number in range(ROUNDS):
            print(f"bench-micro: round {number + 1} of {ROUNDS}", file=sys.stderr)
            if subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode:
                raise HarnessError("the micro benchmarks ended with an error, said above")
        found = measurements(Path(folder) / "micro.json")
    judged = bench.record(
        "micro",
        found,
        budget=shipped.find("micro", "budgets"),
        runs=Path("runs"),
        begun_ns=begun_ns,
        runtime=facts,
    )
    print(judged.rendered("text"), end="")
    return judged.exit_code


if __name__ == "__main__":
    sys.exit(main())
