"""The run that is under way, or else the last one: which, and its phase."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from harness.monitoring.families.family import gauge, value
from harness.monitoring.seen import Seen


def make(seen: Seen) -> Iterator[Metric]:
    """The families of the run."""
    if seen.run is not None:
        yield gauge(
            "harness_run_info",
            "The run that the load and the verdict are of: the one under way, else the last one.",
            ("run",),
            [((str(seen.run),), 1.0)],
        )
    if not seen.cluster:
        return
    yield value(
        "harness_run_in_progress",
        "Whether a run is under way.",
        float(seen.cluster["run"] is not None),
    )
    phase = seen.cluster["phase"]
    yield gauge(
        "harness_run_phase",
        "The phase that is played now; none before the first and after the last.",
        ("phase",),
        [] if phase is None else [((phase,), 1.0)],
    )
