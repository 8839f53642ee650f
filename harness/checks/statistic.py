"""A statistic is one number of what was measured, and where it was measured."""

from __future__ import annotations

import math

import numpy as np

from harness.checks.metric import UNSAMPLED, Bounded, Floats, PerNode, Samples
from harness.checks.operation_metrics import SHARES
from harness.checks.verdict import Cause
from harness.history.history import History
from harness.scenario.budget import Row
from harness.stats import rank_of

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
NAMES = (*PERCENTILES, "min", "mean", "max", "count")


class NoValueError(Exception):
    """The statistic cannot be taken: nothing was measured, or too little."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


def take(measured: Samples | PerNode, history: History, row: Row) -> tuple[float, str]:
    """The row's statistic in base units, and where it was measured (" at node-3")."""
    if isinstance(measured, Samples):
        known, some, which = measured.known, measured.values, row.statistic
        if row.statistic == "count":
            some = came_true(some, row.metric)
        elif wants_more_time(row):  # what never arrived is not slow: it is no time at all
            which, some = f"{which} of what arrived", some[np.isfinite(some)]
        if which not in known:
            known[which] = of(some, row.statistic)
        return known[which], f" (n={len(measured.values):,})"
    for index, why in measured.refused.items():
        if row.conditions.node in (None, history.nodes[index]):
            raise why
    if isinstance(measured, Bounded):
        index, value = worst(bounds(measured, history, row), row)
        return value, f" at {history.nodes[index]}"
    if row.conditions.node is not None:
        index = history.index(row.conditions.node)
        if index not in measured.series:
            raise NoValueError(
                Cause.NOT_MEASURED,
                f"nothing was sampled of {row.conditions.node} in this phase"
                if measured.lack == UNSAMPLED
                else f"{row.conditions.node} {measured.lack} in this phase",
            )
        return of(measured.series[index], row.statistic), f" at {row.conditions.node}"
    missing = [name for index, name in enumerate(history.nodes) if index not in measured.series]
    if missing:
        raise NoValueError(
            Cause.NOT_MEASURED,
            f"{len(missing)} of {len(history.nodes)} nodes {measured.lack} in this phase, "
            f"{missing[0]} for one",
        )
    values = {index: of(series, row.statistic) for index, series in measured.series.items()}
    index, value = worst({index: (value, value) for index, value in values.items()}, row)
    return value, f" at {history.nodes[index]}"


def bounds(measured: Bounded, history: History, row: Row) -> dict[int, tuple[float, float]]:
    """Between what the row's statistic lies at each node that it is about. Raises NoValueError."""
    node = row.conditions.node
    chosen = range(len(history.nodes)) if node is None else [history.index(node)]
    missing = [one for one in chosen if one not in measured.within and one not in measured.quiet]
    if missing:
        raise NoValueError(
            Cause.NOT_MEASURED,
            f"{len(missing)} of {len(history.nodes)} nodes {measured.lack} in this phase, "
            f"{history.nodes[missing[0]]} for one",
        )
    found = {
        one: measured.within[one].of(row.statistic) for one in chosen if one in measured.within
    }
    if row.statistic == "count":  # none is a count too
        found |= {one: (0.0, 0.0) for one in chosen if one in measured.quiet}
    if not found:
        raise NoValueError(Cause.NOT_MEASURED, "nothing of this was measured in the phase")
    return found


def worst(pairs: dict[int, tuple[float, float]], row: Row) -> tuple[int, float]:
    """The node that is the worst for the row's promise, were each as bad as it can be, and how bad
    it is then.
    """
    ends = {index: pair[0 if row.comparison in (">", ">=") else 1] for index, pair in pairs.items()}
    index = min(ends, key=lambda index: (_goodness(row, ends[index]), index))
    return index, ends[index]


def wants_more_time(row: Row) -> bool:
    """Whether a row promises that times are long."""
    return row.kind == "time" and row.comparison in (">", ">=")


def came_true(values: Floats, metric: str) -> Floats:
    """Those of operations that came true: what failed is no share of anything, and has no speed;
    what never arrived took for ever. A count is of them.
    """
    return values[np.isfinite(values) & ((values >= 1) | (metric not in SHARES))]


def _goodness(row: Row, value: float) -> float:
    """How good a value in base units is for the row's promise, against others: more is better."""
    if row.comparison in {">", ">="}:
        return value
    if row.comparison == "==" and row.bound is not None:
        return -abs(row.in_unit(value) - row.bound)
    return -value


def of(values: Floats, statistic: str) -> float:
    """A statistic of values; a percentile by nearest rank. Raises NoValueError."""
    if statistic == "count":
        return float(len(values))
    if not len(values):
        raise NoValueError(Cause.NOT_MEASURED, "nothing of this was measured in the phase")
    if statistic in PERCENTILES:
        least(statistic, len(values))
        at = rank_of(len(values), PERCENTILES[statistic]) - 1
        return float(np.partition(values, at)[at])
    plain: dict[str, float] = {"min": values.min(), "mean": values.mean(), "max": values.max()}
    return float(plain[statistic])


def samples(statistic: str) -> int:
    """Return how many values a statistic wants: of fewer than 1 / (1 − q) none lies beyond a
    percentile. It would be their maximum by another name.
    """
    if statistic not in PERCENTILES:
        return 1
    return math.ceil(round(1 / (1 - PERCENTILES[statistic]), 6))


def least(statistic: str, count: int) -> None:
    """Raise NoValueError where there are too few values for a percentile."""
    wanted = samples(statistic)
    if count < wanted:
        raise NoValueError(
            Cause.TOO_FEW, f"{statistic} wants at least {wanted:,} samples, there are {count:,}"
        )


def spread(values: Floats) -> float:
    """Standard deviation ÷ mean; 0 of a single value."""
    return float(values.std(ddof=1) / values.mean()) if len(values) > 1 else 0.0
