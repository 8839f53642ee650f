"""Churn is read from a scenario's ``[[phase.churn]]``."""

from __future__ import annotations

from harness.faults.churn import WAYS, Churn, Sessions
from harness.faults.fault import Condition, State
from harness.scenario.tables import Table, with_file


def read_churn(table: Table) -> Churn:
    """Read one table. Raises BadFileError."""
    built = with_file(
        table.where,
        lambda: Churn(
            rate_per_s=table.take("rate_per_s", float),
            down_s=table.take("down_s", float),
            floor=table.take("floor", int),
            where=table.take("where", str, "all"),
            sessions=Sessions(table.choice("sessions", Sessions, Sessions.EXPONENTIAL)),
            shape=table.take_or_none("shape", float),
            how=Condition(table.choice("how", WAYS, Condition.KILLED)),
            state=State(table.choice("state", State, State.KEEP)),
            name=table.take("name", str, ""),
            at_s=table.take("at_s", float, 0.0),
            for_s=table.take_or_none("for_s", float),
        ),
    )
    table.finish()
    return built
