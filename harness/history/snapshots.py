"""Snapshots are what each node told of itself at a phase's end: cumulative histograms, and gauges.

They are the lines of histograms.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import stats
from harness.errors import BadFileError
from harness.history import shape

WANTED: Mapping[str, Any] = {
    "phase": str | None,
    "node": int,
    "histograms": dict[str, dict[str, int]],
    "gauges?": dict[str, float],
}
Buckets = dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one node told; `phase` is the one that had just ended, None before the first."""

    phase: str | None
    node: int
    histograms: Mapping[str, Buckets]
    gauges: Mapping[str, float]

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Snapshot:
        """Read a line of histograms.jsonl. Raises BadFileError for what is no snapshot."""
        if wrong := shape.misses(said, WANTED):
            raise BadFileError(wrong)
        try:
            histograms = {
                operation: {int(bucket): count for bucket, count in buckets.items()}
                for operation, buckets in said["histograms"].items()
            }
        except ValueError as error:
            raise BadFileError(str(error)) from None
        if said["node"] < 0 or any(
            not 0 <= bucket < stats.BUCKETS or count < 0
            for buckets in histograms.values()
            for bucket, count in buckets.items()
        ):
            raise BadFileError("a node or a bucket that there is not")
        return cls(
            phase=said["phase"],
            node=said["node"],
            histograms=histograms,
            gauges=said.get("gauges", {}),
        )


@dataclass(slots=True)
class Gains:
    """What the histograms gained in each phase, and the gauges at its end."""

    # (phase, node, operation) → bucket → count
    histograms: dict[tuple[str, int, str], Buckets] = field(default_factory=dict)
    # (phase, node, name) → value
    gauges: dict[tuple[str, int, str], float] = field(default_factory=dict)
    # (phase, node) that told → its counts had not fallen
    told: dict[tuple[str, int], bool] = field(default_factory=dict)


def gains(snapshots: Iterable[Snapshot]) -> Gains:
    """Subtract neighbours; a node whose counts fell began anew, and gained what it has now."""
    found = Gains()
    before: dict[int, Mapping[str, Buckets]] = {}
    for one in snapshots:
        earlier = before.get(one.node, {})
        fallen = any(
            one.histograms.get(operation, {}).get(bucket, 0) < count
            for operation, buckets in earlier.items()
            for bucket, count in buckets.items()
        )
        before[one.node] = one.histograms
        if one.phase is None:
            continue
        key = (one.phase, one.node)
        found.told[key] = not fallen and found.told.get(key, True)
        for operation, now in one.histograms.items():
            had = {} if fallen else earlier.get(operation, {})
            gained = {
                bucket: count - had.get(bucket, 0)
                for bucket, count in now.items()
                if count != had.get(bucket, 0)
            }
            if gained:
                found.histograms[one.phase, one.node, operation] = gained
        found.gauges |= {(one.phase, one.node, name): one.gauges[name] for name in one.gauges}
    return found
