"""The finding of a budget's row: what it named, and what became of it. Pure."""

from __future__ import annotations

import math

from harness.checks.promises import promised
from harness.checks.verdict import Answer, Cause, Finding
from harness.scenario.budget import Row


def unknown(row: Row, cause: Cause, sentence: str, measured: str = "–") -> Finding:
    """Make the finding of a row of which nobody knows whether it was kept, and why."""
    return finding(row, Answer.UNKNOWN, measured, sentence, cause=cause)


def finding(
    row: Row,
    answer: Answer,
    measured: str,
    sentence: str,
    *,
    cause: Cause | None = None,
    value: float | None = None,
) -> Finding:
    """Make the finding of a row; an infinite value is none that a number can be."""
    return Finding(
        name=row.name,
        answer=answer,
        promised=promised(row),
        measured=measured,
        sentence=sentence,
        cause=cause,
        phase=row.conditions.phase,
        value=None if value is None or math.isinf(value) else value,
        source=row.source,
        metric=row.metric,
        statistic=row.statistic,
        unit=row.unit,
        bound=row.bound,
    )
