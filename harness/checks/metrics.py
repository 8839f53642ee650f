"""The metrics that a budget's row may name: one table, put together from those of
operations, their recovery, nodes, resources and benches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from harness.checks.measurements import MEASURED_METRICS
from harness.checks.metric import Measured, Metric
from harness.checks.node_metrics import NODE_METRICS
from harness.checks.operation_metrics import OPERATION_METRICS
from harness.checks.recovery import RECOVERY_METRICS
from harness.checks.resource_metrics import RESOURCE_METRICS
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

METRICS: dict[str, Metric] = {
    **OPERATION_METRICS,
    **RECOVERY_METRICS,
    **NODE_METRICS,
    **RESOURCE_METRICS,
    **MEASURED_METRICS,
}


def take(history: History, row: Row, phase: PhaseWindow) -> Measured:
    """Take what a row is about from a phase. Raises NoValueError."""
    metric = METRICS[row.metric]
    if metric.take_by is None or row.factor is None:
        return metric.take(history, phase)
    return metric.take_by(history, phase, row.factor)


def taken_over(history: History, metric: str, phase: PhaseWindow) -> list[PhaseWindow]:
    """The stretches that a metric of this phase is taken from, in order of time."""
    over = METRICS[metric].over
    return [phase] if over is None else over(history, phase)


def as_one(windows: Sequence[PhaseWindow]) -> PhaseWindow:
    """One window of stretches that are in order of time, without what is between them."""
    between = [
        (one.end_ns, later.begin_ns)
        for one, later in pairwise(windows)
        if one.end_ns < later.begin_ns
    ]
    if len(windows) == 1:
        return windows[0]
    return replace(windows[0], end_ns=windows[-1].end_ns, left_out=tuple(between))
