"""The verdict so far, or the final one: rows of the budget, and what every run is held to.

Only ROWS_MOST findings have series of their own, the worst first. Values and bounds are in base
units, which the label `unit` names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import Metric

from harness.checks.verdict import Answer
from harness.monitoring.families.family import gauge, states, value
from harness.monitoring.seen import Seen
from harness.scenario.budget import UNITS

ROWS_MOST = 150
ANSWERS = [str(one) for one in Answer]
JUDGED = [str(one) for one in (Answer.PASS, Answer.FAIL, Answer.UNKNOWN)]
WORST = [str(one) for one in (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED)]
# Kind of a quantity → its base unit here, and how many of scenario.budget's base it is.
BASES = {
    "time": ("seconds", 1e9),
    "size": ("bytes", 1.0),
    "byte rate": ("bytes_per_second", 1.0),
    "share": ("ratio", 1.0),
    "number": ("1", 1.0),
    "rate": ("per_second", 1.0),
    "growth in bytes": ("bytes_per_second", 1.0),
    "growth in fds": ("per_second", 1.0),
    "growth in threads": ("per_second", 1.0),
    "growth in connections": ("per_second", 1.0),
}
Row = Mapping[str, Any]


def make(seen: Seen) -> Iterator[Metric]:
    """The families of the verdict; none while there is no look at it."""
    if seen.look is None:
        return
    said = seen.look["verdict"]
    yield value(
        "harness_verdict_final",
        "Whether the run is over and this is its verdict; 0: so far.",
        float(seen.look["is_final"]),
    )
    yield value(
        "harness_verdict_as_of_seconds",
        "Seconds into the run of the moment that the verdict so far is of.",
        seen.look.get("at_s"),
    )
    yield gauge(
        "harness_verdict_answer",
        "The answer: 1 for the one that it is.",
        ("answer",),
        states(said["answer"], JUDGED),
    )
    counts = Counter(one["answer"] for one in said["findings"])
    yield gauge(
        "harness_verdict_findings",
        "Findings by answer.",
        ("answer",),
        [((each,), float(counts[each])) for each in ANSWERS],
    )
    shown, others = _chosen(said["findings"])
    yield value(
        "harness_verdict_rows_without_series",
        f"Findings that have no series of their own: more than {ROWS_MOST}.",
        float(others),
    )
    yield from _rows(shown)


def _chosen(findings: Sequence[Row]) -> tuple[list[Row], int]:
    """The findings that have series, one of each name and phase, and how many others there are."""
    ordered = sorted(
        findings,
        key=lambda one: WORST.index(one["answer"]) if one["answer"] in WORST else len(WORST),
    )
    by_name: dict[tuple[str, str], Row] = {}
    for one in ordered:
        by_name.setdefault(_labels(one), one)
    found = [*by_name.values()]
    return found[:ROWS_MOST], max(0, len(found) - ROWS_MOST)


def _labels(row: Row) -> tuple[str, str]:
    return row["name"], row["phase"]


def _rows(rows: Sequence[Row]) -> Iterator[Metric]:
    yield gauge(
        "harness_verdict_row_answer",
        "The answer of a row of the budget, or of a check (metric is empty): 1 for what it is.",
        ("row", "phase", "metric", "answer"),
        [
            sample
            for row in rows
            for sample in states(row["answer"], ANSWERS, *_labels(row), row.get("metric", ""))
        ],
    )
    for key, says in (
        ("value", "What a row of the budget measured, in base units."),
        ("bound", "What a row of the budget promises, in base units."),
    ):
        yield gauge(
            f"harness_verdict_row_{key}",
            says,
            ("row", "phase", "unit"),
            [((*_labels(row), *_unit(row)), _in_base(row, key)) for row in rows],
        )
    yield gauge(
        "harness_verdict_row_cause",
        "Why a finding is UNKNOWN.",
        ("row", "phase", "cause"),
        [((*_labels(row), str(row["cause"])), 1.0) for row in rows if row.get("cause")],
    )


def _unit(row: Row) -> tuple[str]:
    kind = UNITS.get(row.get("unit", ""), ("", 1.0))[0]
    return (BASES[kind][0] if kind else "",)


def _in_base(row: Row, key: str) -> float | None:
    known = row.get(key)
    if known is None or row.get("unit") not in UNITS:
        return None
    kind, factor = UNITS[row["unit"]]
    return float(known) * factor / BASES[kind][1]
