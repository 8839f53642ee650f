"""Timeline: when phases begin and end, and when faults come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A phase as planned: seconds from the first one's beginning; `end_s` None: until the run
    ends.
    """

    name: str
    begin_s: float
    end_s: float | None


def plan(phases: Sequence[tuple[str, float | None]]) -> list[Planned]:
    """Names and durations to begin and end times."""
    found, at = [], 0.0
    for name, duration_s in phases:
        found.append(
            Planned(name=name, begin_s=at, end_s=None if duration_s is None else at + duration_s)
        )
        at += duration_s or 0.0
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A fault that comes, or goes, so many seconds after the first phase began."""

    at_s: float
    words: Mapping[str, Any]
    comes: bool


def steps(phases: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The faults of all phases as comings and goings in order; of one moment, what goes comes
    first.
    """
    found, begin_s = [], 0.0
    for phase in phases:
        end_s = begin_s + (phase["duration_s"] or 0.0)
        for number, fault in enumerate(phase.get("faults", ())):
            words = {"name": f"{phase['name']}-{number + 1}", **fault["words"]}
            at_s = begin_s + fault["at_s"]
            gone_s = end_s if fault["for_s"] is None else at_s + fault["for_s"]
            flap_s = fault.get("flap_s") or gone_s - at_s
            while at_s < gone_s:
                found += [
                    Step(at_s=at_s, words=words, comes=True),
                    Step(at_s=min(at_s + flap_s, gone_s), words=words, comes=False),
                ]
                at_s += 2 * flap_s
        begin_s = end_s
    return sorted(found, key=lambda step: (step.at_s, step.comes))
