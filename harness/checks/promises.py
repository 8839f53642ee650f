"""What a row promises, what would keep and miss it, and what became of it, as a reader sees it.

Pure.
"""

from __future__ import annotations

import math

from harness.checks.metric import Floats
from harness.scenario.budget import COMPARISONS, RETURN, UNITS, Row
from harness.topology.quantities import number


def promised(row: Row) -> str:
    """Show the promise with all of its digits: ``< 10 ms``."""
    if row.bound is None:
        return "–"
    in_time = "" if row.within_ms is None else f" within {number(row.within_ms / 1e3)} s"
    return f"{row.comparison} {number(row.bound, row.bound)}{_unit(row)}{in_time}"


def shown(row: Row, value: float) -> str:
    """Show a value in the row's unit, with as many digits as tell it from the bound: ``9.98 ms``;
    a share is shown as 100 % only where it is.
    """
    return f"{_number(row, value)}{_unit(row)}"


def missed(row: Row, value: float) -> str:
    """Say that a value in the row's unit is not what was promised."""
    if not math.isinf(value):
        return f"missed: {_number(row, value)} is not {promised(row)}"
    if row.metric.endswith(RETURN):
        return "it did not return in all the time that was looked at"
    never = "were never sent" if row.metric == "pacer.lag" else "never arrived"
    return f"some {never}, and they are more than this statistic leaves out"


def stretch(row: Row, value: float) -> str:
    """Say whether a value in the row's unit reached its further aim, as the end of a sentence;
    empty without one.
    """
    if row.stretch is None:
        return ""
    reached = "reached" if COMPARISONS[row.comparison](value, row.stretch) else "not reached"
    return f"; stretch {row.comparison} {number(row.stretch, row.stretch)}: {reached}"


def keeping(row: Row, values: Floats) -> float:
    """Return what an operation measures that keeps the promise, in the base unit of the row's kind.

    `values`: those of the others.
    """
    assert row.bound is not None
    if row.comparison in ("<", "<="):
        return 0.0
    bound = row.bound * UNITS[row.unit][1]
    if row.comparison == "==":
        return bound
    if row.kind == "share":
        return 1.0
    if row.comparison == ">":  # which the bound itself does not meet
        bound = 2 * abs(bound) + 1
    return float(max(bound, values.max(initial=0.0)))


def missing(row: Row) -> float:
    """Return what an operation measures that misses the promise, likewise."""
    if row.comparison in (">", ">=") or (row.comparison == "==" and row.bound):
        return 0.0
    return 1.0 if row.kind == "share" else math.inf


def _number(row: Row, value: float) -> str:
    beside = [one for one in (row.bound, row.stretch) if one is not None]
    return number(value, *beside, *([100.0] if row.unit == "%" else []))


def _unit(row: Row) -> str:
    return "" if row.unit == "1" else f" {row.unit}"
