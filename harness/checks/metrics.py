"""The metrics that a budget's row may name: one table, put together from those of
operations, their recovery, nodes, resources and benches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from harness.checks import own_metrics, recovery, told_metrics
from harness.checks.measurements import MEASURED_METRICS
from harness.checks.metric import Measured, Metric, Samples
from harness.checks.node_metrics import NODE_METRICS
from harness.checks.operation_metrics import GENERIC, OPERATION_METRICS, OPERATIONS, WITNESSED
from harness.checks.recovery import RECOVERY_METRICS
from harness.checks.resource_metrics import RESOURCE_METRICS
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Cause
from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError
from harness.history.history import History, PhaseWindow
from harness.operations import Operation, own
from harness.operations.operation import Taken
from harness.operations.own import TIME_SENTENCE
from harness.scenario.budget import Row


class Metrics(dict[str, Metric]):
    """Those that we know by name; `[]` also makes one of what a system tells by a name of its
    own, and of an operation of its own.
    """

    def __missing__(self, name: str) -> Metric:
        """Raise KeyError for a name that is none."""
        try:
            made = told_metrics.find(name)
        except BadFileError:
            made = None
        made = made or _own(name)
        if made is None:
            raise KeyError(name)
        return made

    def find(self, name: str) -> Metric | None:
        """Return a metric; None: there is none of this name."""
        try:
            return self[name]
        except KeyError:
            return None


def _own(name: str) -> Metric | None:
    """Return the metric of an operation of a system's own; None where no such one can have it."""
    found = own_metrics.split(name)
    if found is None:
        return None
    word, what = found
    is_time, is_return = own_metrics.is_time(name), own_metrics.is_return(name)
    made_of: Callable[[Operation], Callable[..., Samples]] = (
        recovery.of if is_return else GENERIC[Taken.LATENCY if is_time else Taken.SHARE]
    )

    def take(history: History, *of: Any) -> Samples:
        operation = history.kind_named(word)
        if operation is None or name not in own.metrics([operation]):
            said = f"this run's load has no operation {word} with a {what}"
            raise NoValueError(Cause.NOT_MEASURED, said)
        return made_of(operation)(history, *of)

    if is_return:
        return recovery.made(take)
    return Metric(
        kind=(Taken.LATENCY if is_time else Taken.SHARE).value,
        take=take,
        sentence=TIME_SENTENCE if is_time else "share that came true, as its sender was told",
        needs=WITNESSED if is_time else OPERATIONS,
    )


METRICS = Metrics(
    OPERATION_METRICS | RECOVERY_METRICS | NODE_METRICS | RESOURCE_METRICS | MEASURED_METRICS
)


def require(name: str, words: Collection[str] | None = ()) -> Metric:
    """Return a metric. Raises BadFileError with what is possible where there is none.

    `words`: of operations that a system may have of its own; a word that is none of these, and
    close to one of the harness, is taken for that, misspelt. None: whichever.
    """
    if name not in METRICS and told_metrics.find(name) is None and not _may_be_own(name, words):
        told = " or ".join(f"{word}.NAME" for word in told_metrics.WORDS)
        raise BadFileError(f"{one_of(name, METRICS)} (and of what the system tells itself {told})")
    return METRICS[name]


def _may_be_own(name: str, words: Collection[str] | None) -> bool:
    """Whether it may be a metric of an operation of a system's own."""
    found = own_metrics.split(name)
    if found is None or words is None or found[0] in words:
        return found is not None
    return not did_you_mean(found[0], [name.partition(".")[0] for name in METRICS])


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
