"""What is seen of a cluster at a moment, as values; families/ make metrics of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.history.shown import Standing
from harness.monitoring.counts import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFault:
    """A fault in force."""

    name: str
    does: str
    in_force_s: float
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A cluster as it is: empty where nothing is known."""

    cluster: Mapping[str, Any] = field(default_factory=dict)  # the answer to `metrics`; empty: none
    faults: tuple[SeenFault, ...] = ()
    run: Path | None = None  # the run under way, or else the last one
    looks: Mapping[str, int] = field(default_factory=dict)  # at faults in this run, by answer
    counts: Mapping[str, Count] = field(default_factory=dict)  # by the operation's word
    look: Mapping[str, Any] | None = None  # the verdict so far, or the final one (live_verdict.py)
    took_s: float = 0.0  # to look

    @property
    def is_up(self) -> bool:
        """Whether there is a supervisor that answers."""
        return bool(self.cluster)
