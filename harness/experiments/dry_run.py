"""A dry run compiles what a run would play, and starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checks import asked
from harness.experiments import run, suite
from harness.scenario import files
from harness.scenario.budget import Row
from harness.scenario.scenario import Scenario
from harness.scenario.timeline import Timeline
from harness.systems import abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A scenario, and the timeline that it is compiled to. `rows`: those of its budget, or of its
    suite's, that are about it and promise something.
    """

    planned: Scenario
    played: Timeline
    rows: tuple[Row, ...] = ()

    def left_out(self) -> list[str]:
        """Say what is left out of the files for the system that is under test instead."""
        return left_out(self.planned, self.rows)

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
            "left_out": self.left_out(),
            "timeline": self.played.as_json(),
            "streams": [said for phase in planned.phases for said in phase.streams_as_json()],
        }


def left_out(planned: Scenario, rows: Sequence[Row]) -> list[str]:
    """Say what is left out of a scenario, and of how many of these rows that promise something."""
    other = planned.other_system
    if other is None:
        return []
    found = [*other.sentences()]
    if count := len(asked.beforehand(other, rows)):
        found.append(f"{count} of {len(rows)} rows of the budget are about what it does not have")
    return found


def rows_of(planned: Scenario, budget: Path | None) -> tuple[Row, ...]:
    """The rows of a budget that are about a scenario and promise something."""
    rows = () if budget is None else files.read_budget(budget).rows
    return tuple(
        row
        for row in rows
        if row.bound is not None and row.conditions.scenario in (None, planned.name)
    )


def compiled(scenario: Path, system: str | None = None) -> list[DryRun]:
    """Compile a scenario, or each part of a suite; `system` is put under test instead of theirs.

    A system that is Python of the user's own is not imported. Raises BadFileError and UsageError
    for what `run` would refuse of the files.
    """
    planned = files.read_suite(scenario)
    if planned is not None:
        suite.check(planned, system, imports=False)
    found = []
    shared = None if planned is None else planned.budget
    for part in (scenario,) if planned is None else planned.parts:
        one = abilities.fitted(files.read_scenario(part, system), system, imports=False)
        played, budget = run.check(one, imports=False), shared or one.budget
        found.append(DryRun(planned=one, played=played, rows=rows_of(one, budget)))
    return found
