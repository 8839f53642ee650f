"""The metrics that a budget's row may name: one table, put together from those of
operations, their recovery, nodes, resources and benches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from harness.checks import told_metrics
from harness.checks.measurements import MEASURED_METRICS
from harness.checks.metric import Measured, Metric
from harness.checks.node_metrics import NODE_METRICS
from harness.checks.operation_metrics import OPERATION_METRICS
from harness.checks.recovery import RECOVERY_METRICS
from harness.checks.resource_metrics import RESOURCE_METRICS
from harness.choices import one_of
from harness.errors import BadFileError
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row


class Metrics(dict[str, Metric]):
    """Those that we know by name; `[]` also makes one of what a system tells by a name of its
    own.
    """

    def __missing__(self, name: str) -> Metric:
        """Raise KeyError for a name that is none."""
        try:
            made = told_metrics.find(name)
        except BadFileError:
            made = None
        if made is None:
            raise KeyError(name)
        return made

    def find(self, name: str) -> Metric | None:
        """Return a metric; None: there is none of this name."""
        try:
            return self[name]
        except KeyError:
            return None


METRICS = Metrics(
    OPERATION_METRICS | RECOVERY_METRICS | NODE_METRICS | RESOURCE_METRICS | MEASURED_METRICS
)


def require(name: str) -> Metric:
    """Return a metric. Raises BadFileError with what is possible where there is none."""
    if name not in METRICS and told_metrics.find(name) is None:
        own = " or ".join(f"{word}.NAME" for word in told_metrics.WORDS)
        raise BadFileError(f"{one_of(name, METRICS)} (and of what the system tells itself {own})")
    return METRICS[name]


def take(history: History, row: Row, phase: PhaseWindow) -> Measured:
    """Take what a row is about from a phase. Raises NoValueError."""
    metric = METRICS[row.metric]
    if metric.take_within is not None and row.within_ms is not None:
        return metric.take_within(history, phase, row.within_ms * 1e6)
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
