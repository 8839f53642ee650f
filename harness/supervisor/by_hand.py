"""Faults by hand are those of a run that its timeline does not have: somebody set them, before it
or in it. Its metadata tell of them, for two runs of one scenario may differ in nothing else.
"""

from __future__ import annotations

from typing import Any

from harness.faults.fault import Change, Condition, Verb, cut_of
from harness.scenario.timeline import Timeline


class ByHand:
    """Follows the changes of a run's faults, each told once, in order."""

    def __init__(self, timeline: Timeline) -> None:
        self._others = {change.fault.name for change in timeline.changes}
        self._others |= {cut_of(name) for name in self._others}
        self._stood: list[dict[str, Any]] = []

    def changed(self, change: Change) -> None:
        """Hear of a change."""
        name = change.fault.name
        if name in self._others:
            return
        if change.fault.condition is Condition.CRASHED:
            self._others.add(cut_of(name))  # a part of it
        self._end(name, change.at_ns)
        if change.verb is Verb.SET:
            said = {"name": name, "words": change.fault.words}
            self._stood.append({**said, "from_ns": change.at_ns, "to_ns": None})

    def _end(self, name: str, at_ns: int) -> None:
        for one in self._stood:
            if one["name"] == name and one["to_ns"] is None:
                one["to_ns"] = at_ns

    def facts(self, t0_ns: int) -> dict[str, Any]:
        """Return what metadata.json says of them (`by_hand`): from which second of the run until
        which each stood; from 0 where it stood before, until None where it did at the end.
        """

        def seconds(at_ns: int | None) -> float | None:
            return None if at_ns is None else max(at_ns - t0_ns, 0) / 1e9

        return {
            "by_hand": [
                {
                    "name": one["name"],
                    "words": one["words"],
                    "from_s": seconds(one["from_ns"]),
                    "to_s": seconds(one["to_ns"]),
                }
                for one in self._stood
                if one["name"] not in self._others  # a cut comes before the crash that it is of
            ]
        }
