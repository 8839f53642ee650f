"""`make bench-project [PARTS="setup tests wheel"]`: what the project promises of itself, measured
in a fresh checkout: clean set-up, full tests, wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.experiments import bench
from harness.scenario import shipped

ROOT = Path(__file__).parent.parent
PARTS = ("setup", "tests", "wheel")


def timed(argv: list[str], where: Path) -> tuple[float, int]:
    """Nanoseconds and exit code of a command in a folder."""
    begun_ns = time.monotonic_ns()
    print(f"bench-project: {' '.join(argv)}", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile() as output:
        code = subprocess.run(argv, cwd=where, stdout=output, stderr=output, check=False).returncode
        if code:
            output.seek(0)
            print(output.read().decode(errors="replace")[-20_000:], file=sys.stderr)
    return float(time.monotonic_ns() - begun_ns), code


def main(parts: list[str]) -> int:
    """Measure these parts, or all; record, judge. What failed, or was not asked for, is not
    measured, and its row UNKNOWN.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        print(f"bench-project: {unknown[0]}: expected {', '.join(PARTS)}", file=sys.stderr)
        return 64
    parts = parts or list(PARTS)
    begun_ns = time.monotonic_ns()
    found: dict[str, list[float]] = {}
    host = [bench.host_use()]
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        for part, target in (("setup", "setup"), ("tests", "test")):
            if part not in parts:
                continue
            took_ns, code = timed(["make", target], checkout)
            if code == 0:
                found[f"project.{part}"] = [took_ns]
            host.append(bench.host_use())
        if "wheel" in parts and timed(["make", "wheel"], checkout)[1] == 0:
            found["project.wheel"] = [
                float(next(checkout.glob("dist/p2p_harness-*.whl")).stat().st_size)
            ]
    judged = bench.record(
        "project",
        found,
        budget=shipped.find("project", "budgets"),
        runs=Path(os.environ.get("HARNESS_RUNS", "runs")),
        begun_ns=begun_ns,
        runtime={"name": "host"},
        # Nodes of tests outlive whoever started them: of a suite nobody knows what is its own.
        host=[] if "tests" in parts else host,
    )
    print(judged.rendered("text"), end="")
    return judged.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
