"""A dry run compiles what a run would play, and starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.experiments import run, suite
from harness.experiments.cluster import with_system
from harness.scenario import files
from harness.scenario.scenario import Scenario
from harness.scenario.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A scenario, and the timeline that it is compiled to."""

    planned: Scenario
    played: Timeline

    def as_json(self) -> dict[str, Any]:
        """Return what `run --dry-run --json` says of it: the timeline and the streams are those
        that the run folder would have.
        """
        planned = self.planned
        return {
            "scenario": planned.name,
            "topology": planned.topology.name,
            "nodes": len(planned.topology.nodes),
            "system": planned.topology.adapter,
            "seed": planned.seed,
            "budget": None if planned.budget is None else str(planned.budget),
            "timeline": self.played.as_json(),
            "streams": [said for phase in planned.phases for said in phase.streams_as_json()],
        }


def compiled(scenario: Path, system: str | None = None) -> list[DryRun]:
    """Compile a scenario, or each part of a suite; `system` is put under test instead of theirs.

    A system that is Python of the user's own is not imported. Raises BadFileError and UsageError
    for what `run` would refuse of the files.
    """
    planned = files.read_suite(scenario)
    if planned is not None:
        suite.check(planned, imports=False)
    found = []
    for part in (scenario,) if planned is None else planned.parts:
        one = files.read_scenario(part)
        one = replace(one, topology=with_system(one.topology, system))
        found.append(DryRun(planned=one, played=run.check(one, imports=False)))
    return found
