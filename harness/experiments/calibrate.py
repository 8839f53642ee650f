"""A calibration measures what this machine can send and sample, against null nodes: some twenty
seconds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from harness.control.progress import Progress, nobody
from harness.experiments.trial import Measured, Trial, measure
from harness.host import calibration
from harness.host.calibration import Calibration
from harness.host.facts import host_facts
from harness.systems.null_nodes import null_nodes

NODES = 50
SECONDS = 1.2  # of load, for each rate tried
FIRST_PER_S = 10_000.0
MOST_PER_S = 640_000.0
HALVINGS = 3  # of the span between a rate that holds and one that does not
LAG_P99_US_MAX = 1_000.0

Try = Callable[[float], Measured]


def calibrate(progress: Progress = nobody) -> Calibration:
    """Measure this machine and keep what was found. Raises UnavailableError where a load worker, or
    the null nodes, do not run, StorageError.
    """
    with (
        tempfile.TemporaryDirectory(prefix="calibrate-") as folder,
        null_nodes(Path(folder), NODES),
    ):
        held, failed = _search(lambda rate: _tried(folder, rate, progress))
    samples, why = _samples()
    facts = host_facts()
    found = Calibration(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        kernel=facts["kernel"],
        cpu=facts["cpu"],
        cores=facts["cores"],
        messages_per_s=held.rate_per_s if held is not None else 0.0,
        lag_p99_us=(held.lag_p99_us or 0.0) if held is not None else 0.0,
        messages_per_cpu_s=held.per_cpu_second if held is not None else 0.0,
        fails_at_per_s=failed,
        samples_per_s=samples,
        why_no_samples=why,
    )
    calibration.keep(found)
    return found


def holds(found: Measured) -> bool:
    """Whether a worker did what it was asked for, in time."""
    lag = found.lag_p99_us
    return found.ok == found.asked > 0 and lag is not None and lag < LAG_P99_US_MAX


def _search(attempt: Try) -> tuple[Measured | None, float | None]:
    """Find the highest rate that holds, and the lowest tried that does not."""
    held: Measured | None = None
    failed: float | None = None
    for rate in _doubled():
        found = attempt(rate)
        if not holds(found):
            failed = rate
            break
        held = found
    for _ in range(HALVINGS if failed is not None else 0):
        low = held.rate_per_s if held is not None else 0.0
        assert failed is not None
        found = attempt((low + failed) / 2)
        if holds(found):
            held = found
        else:
            failed = found.rate_per_s
    return held, failed


def _doubled() -> Iterator[float]:
    rate = FIRST_PER_S
    while rate <= MOST_PER_S:
        yield rate
        rate *= 2


def _tried(folder: str, rate_per_s: float, progress: Progress) -> Measured:
    progress(f"{rate_per_s:,.0f} messages/s", 0, 1)
    found = measure(Trial(folder=folder, nodes=NODES, rate_per_s=rate_per_s, seconds=SECONDS))
    progress(f"{rate_per_s:,.0f} messages/s", 1, 1)
    return found


def _samples() -> tuple[float | None, str]:
    """How many samples of nodes one core takes in a second; None and why where it cannot."""
    ended = subprocess.run(
        [sys.executable, "-m", "harness.supervisor.sampling_trial"],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        return None, (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return float(ended.stdout), ""
