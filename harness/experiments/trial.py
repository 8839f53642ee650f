"""A trial: one load worker against null nodes, without Locust and without a cluster, to measure the
generator itself.

The worker is a process of its own, `python -m harness.load.trial`: it reads the trial as JSON from
standard input and prints what it measured as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass

from harness.errors import UnavailableError
from harness.scenario.budget import LATE_NS_LEAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Messages at a rate to the null nodes of a folder, for some seconds."""

    folder: str
    nodes: int
    rate_per_s: float
    seconds: float = 2.0
    payload_bytes: int = 256
    late_ns: int = LATE_NS_LEAST  # how late a message may be sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one worker did in a trial. Times in microseconds; None of nothing."""

    rate_per_s: float
    asked: int
    ok: int
    cpu_s: float
    lag_p50_us: float | None
    lag_p99_us: float | None
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None

    @property
    def per_cpu_second(self) -> float:
        """Messages for each second of CPU time of the worker."""
        return self.ok / self.cpu_s if self.cpu_s else 0.0


def measure(trial: Trial) -> Measured:
    """Run a trial in a process of its own: a worker's process has nothing else to do. Raises
    UnavailableError where it ends without an answer.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "harness.load.trial"],
        input=json.dumps(asdict(trial)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise UnavailableError(f"the load worker of a trial ended with code {ended.returncode}")
    return Measured(**json.loads(ended.stdout))
