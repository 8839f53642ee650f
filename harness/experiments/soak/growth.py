"""Rows about slopes are about all of a soak, in whatever phase: its windows are judged by the
others. Pure, but for the budget's file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.checks import growth
from harness.checks.leaks import Watched
from harness.checks.row_finding import unknown
from harness.checks.verdict import Cause, Finding
from harness.errors import BadFileError
from harness.experiments.soak.series import OWN_PREFIX
from harness.scenario import files, writer
from harness.scenario.budget import Row
from harness.scenario.tables import load

WHERE = "the soak"


def without_slopes(budget: Path) -> str:
    """Return the text of a budget without its rows about slopes. Raises BadFileError, also where
    there is no other row: no window would be judged by any.
    """
    values = load(budget)
    rows = values.get("row", [])
    assert isinstance(rows, list)
    left = [one for one in rows if one.get("statistic") != growth.SLOPE]
    if len(left) == len(rows):
        return budget.read_text()
    if not left:
        raise BadFileError(
            f"{budget}: row: expected one that is not about a slope: those are about all of a "
            "soak, and nothing would be promised of its windows"
        )
    return writer.text_of({**values, "row": left})


def findings(budget: Path | None, watched: Sequence[Watched]) -> list[Finding]:
    """Return a finding for each row about a slope. Raises BadFileError."""
    rows = () if budget is None else files.read_budget(budget).rows
    return [_finding(row, watched) for row in rows if row.statistic == growth.SLOPE]


def _finding(row: Row, watched: Sequence[Watched]) -> Finding:
    mine = [one for one in watched if one.resource == row.metric and _is_about(row, one)]
    if not mine:
        return unknown(row, Cause.NOT_MEASURED, f"no {row.metric} was sampled of whom it is about")
    return growth.of_series(row, mine, WHERE)


def _is_about(row: Row, one: Watched) -> bool:
    process, node = row.conditions.process, row.conditions.node
    if process is None:
        return one.is_node and node in (None, one.of)
    name = one.of.removeprefix(OWN_PREFIX)
    return not one.is_node and process in (growth.ALL, growth.kind_of(name))
