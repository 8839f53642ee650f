"""What a soak costs: disk, planned before it begins, and measured and extrapolated while it goes
on. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.operations import Operation
from harness.scenario.scenario import Scenario

# Bytes that a run folder takes, as measured (docs/soak.md) and then doubled: a plan must not be too
# small. Of a run; of a node in it; of a node and second; of an operation; of each of its records.
OF_RUN, OF_NODE, OF_NODE_SECOND, OF_OPERATION, OF_RECORD = 3e6, 40e3, 200.0, 200.0, 80.0
OF_SUMMARY, OF_SUMMARY_NODE = 400e3, 20e3  # of a window that is summarised; of each node in it
RECORDS = 4  # of an operation between two nodes
CONFIDENCE = 0.95
WINDOWS_LEAST = 3  # or nobody knows how much they differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and the interval in which it will be (CONFIDENCE); without bounds where too few
    windows were measured.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the judged windows of one length took: bytes of each, raw and summarised, and how many
    of those old enough to be let go were kept for what was found in them.
    """

    raw: tuple[float, ...]
    kept: tuple[float, ...]
    window_s: float
    found_share: float = 0.0


def window_bytes(window: Scenario) -> float:
    """Return at most how many raw bytes a window will take, before any was played."""
    nodes, total = len(window.topology.nodes), OF_RUN
    for phase in window.phases:
        seconds = phase.duration_s or 0.0
        total += nodes * seconds * OF_NODE_SECOND
        for stream in phase.streams:
            to_all = stream.operation is Operation.BROADCAST
            records = 2 * nodes if to_all else RECORDS
            count = stream.planned_per_s(seconds) * seconds
            total += count * (OF_OPERATION + records * OF_RECORD)
    return total + nodes * OF_NODE


def planned_bytes(window: Scenario, windows: int, window_s: float, raw_s: float) -> int:
    """Return at most how many bytes a soak will take at one time, where nothing is found: the raw
    windows of the last `raw_s`, the one that is played, one more that is being judged, and the
    summaries of all.
    """
    raw = min(windows, math.ceil(raw_s / window_s) + 2)
    of_summary = OF_SUMMARY + OF_SUMMARY_NODE * len(window.topology.nodes)
    return round(raw * window_bytes(window) + windows * of_summary)


def after(measured: Measured, for_s: float, raw_s: float) -> Estimate:
    """Extrapolate how many bytes a folder has after so long: the summaries of all windows, the raw
    values of the last `raw_s`, and those of the share in which something was found.

    The interval is one of prediction: windows of the same soak, each as likely to be large as those
    that were measured (Student's t; Geisser 1993, section 2.2), found shares as they were.
    """
    windows = for_s / measured.window_s
    raw = min(windows, raw_s / measured.window_s)
    raw += (windows - raw) * measured.found_share
    parts = [(measured.kept, windows), (measured.raw, raw)]
    value = sum(count * _mean(some) for some, count in parts)
    if min(len(some) for some, _ in parts) < WINDOWS_LEAST:
        return Estimate(value=value)
    within = math.sqrt(sum(_within(some, count) ** 2 for some, count in parts))
    return Estimate(value=value, low=max(value - within, 0.0), high=value + within)


def _mean(some: Sequence[float]) -> float:
    return sum(some) / len(some) if some else 0.0


def _within(some: Sequence[float], count: float) -> float:
    """Return by how much the sum of `count` further values may differ from `count` means."""
    from scipy.special import stdtrit  # a sixth of a second

    measured, mean = len(some), _mean(some)
    variance = sum((one - mean) ** 2 for one in some) / (measured - 1)
    t = float(stdtrit(measured - 1, (1 + CONFIDENCE) / 2))
    return t * math.sqrt(variance * (count + count * count / measured))


def an_hour(measured: Measured) -> float:
    """Return how many bytes an hour of raw values takes."""
    return _mean(measured.raw) * 3600 / measured.window_s
