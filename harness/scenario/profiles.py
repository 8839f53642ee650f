"""Profiles are read from a scenario's ``[[phase.profile]]``."""

from __future__ import annotations

from harness import profiles
from harness.profiles.spec import ProfileSpec, Start
from harness.scenario.tables import Table, with_file


def read_profile(table: Table) -> ProfileSpec:
    """Read one table. Raises BadFileError."""
    built = with_file(
        table.where,
        lambda: ProfileSpec(
            who=table.take("who", str),
            tool=table.choice("with", profiles.TABLE, profiles.DEFAULT),
            start=Start(table.choice("start", Start, Start.PHASE)),
            at_s=table.take("at_s", float, 0.0),
            for_s=table.take_or_none("for_s", float),
        ),
    )
    table.finish()
    return built
