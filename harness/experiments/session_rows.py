"""Rows of a budget that name no scenario, in a folder of several runs: of which parts they are.
Pure.

Who writes a session's loads in Python names phases, and does not know what its parts are called. A
row of a phase is held against each part that has the phase and sends what the row is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.checks import own_metrics
from harness.choices import listed
from harness.operations import Operation
from harness.scenario.budget import Row


def bound(rows: Sequence[Row], parts: Mapping[str, Mapping[str, Any]]) -> tuple[Row, ...]:
    """Return the rows, each that names no scenario once for each part that it is about; one that is
    about none stays as it is. `parts`: the metadata of each.
    """
    found = []
    for row in rows:
        whose = [row.conditions.scenario]
        if whose == [None]:
            whose = [name for name, facts in parts.items() if _is_about(row, facts)] or [None]
        found += [replace(row, conditions=replace(row.conditions, scenario=name)) for name in whose]
    return tuple(found)


def _is_about(row: Row, facts: Mapping[str, Any]) -> bool:
    """Whether a run has the row's phase, and sends in it what the row is about."""
    wanted = row.conditions.phase
    phases = {planned["name"] for planned in facts.get("plan", ())}
    sent = {
        stream["operation"]
        for stream in facts["load"].get("streams", ())
        if stream["phase"] == wanted
    }
    return wanted in phases and _operation(row) in (None, *sent)


def _operation(row: Row) -> str | None:
    """The word of the operation that a row is about; None where it is of the nodes."""
    word = row.metric.split(".")[0]
    is_known = word in {one.word for one in Operation} or own_metrics.is_own(row.metric)
    return word if is_known else None


def why_unbound(row: Row, parts: Iterable[str]) -> str:
    """Say that a row is about no part."""
    of = _operation(row)
    what = "" if of is None else f" in which {of} was sent"
    return f"none of {listed(parts)} has a phase {row.conditions.phase!r}{what}"
