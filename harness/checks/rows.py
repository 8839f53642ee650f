"""The budget's rows, each against the phase that it names. A row that was not measured is UNKNOWN,
never PASS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.checks import faults, host, lateness, record, records
from harness.checks.measurements import SPREAD_MAX
from harness.checks.metric import Floats, PerNode, Samples
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import received
from harness.checks.verdict import Answer, Cause, Finding
from harness.errors import BadFileError
from harness.history.gaps import ALWAYS, Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import COMPARISONS, UNITS, Row
from harness.stats import rank_of

# A uniform open model delivers exactly its rate; what is under way at the two edges of a phase may
# be one per cent of it.
RECEIVED_TOLERANCE = 0.01
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
STATISTICS = (*PERCENTILES, "min", "mean", "max", "count")


def validate(rows: Sequence[Row]) -> None:
    """Raise BadFileError for a row whose metric or statistic there is not, or whose unit is none of
    the metric's.
    """
    for row in rows:
        metric = METRICS.get(row.metric)
        if metric is None:
            raise BadFileError(
                f"row {row.name}: metric: expected one of {', '.join(METRICS)}; found "
                f"{row.metric!r}"
            )
        if row.statistic not in STATISTICS:
            raise BadFileError(
                f"row {row.name}: statistic: expected one of {', '.join(STATISTICS)}; found "
                f"{row.statistic!r}"
            )
        if row.statistic != "count" and row.kind != metric.kind:
            raise BadFileError(
                f"row {row.name}: unit: {row.metric} is a {metric.kind}, {row.unit!r} measures a "
                f"{row.kind}"
            )


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """One finding a row, in the order of the rows; rows of another scenario are left out. Raises
    BadFileError as `validate` does.
    """
    validate(rows)
    return [
        _judge_alone(history, row)
        for row in rows
        if row.conditions.scenario in (None, history.name)
    ]


def _judge_alone(history: History, row: Row) -> Finding:
    """The finding of a row; one that breaks is UNKNOWN and leaves the others their answers."""
    try:
        return _judge(history, row)
    except Exception as error:  # whatever broke, the row was not judged, and says so
        return _unknown(row, Cause.CHECKER_BROKE, f"it broke: {type(error).__name__}: {error}")


def _judge(history: History, row: Row) -> Finding:
    phase = history.phase(row.conditions.phase)
    if phase is None:
        return _unknown(
            row, Cause.NOT_MEASURED, f"the run played no phase {row.conditions.phase!r}"
        )
    if phase.end_ns <= phase.begin_ns:
        return _unknown(row, Cause.NOT_MEASURED, f"phase {phase.name} was over at once")
    gap = _gap(history, row, phase)
    if gap is not None:
        return _unknown(row, Cause.GAP, gap)
    unmet = _unmet(history, row, phase)
    if unmet is not None:
        return unmet
    if row.conditions.under is not None:
        history, phase = faults.under(history, row.conditions.under, phase)
    try:
        taken = METRICS[row.metric].take(history, phase)
        worst = row.in_unit(_statistic(taken, history, row)[0])
    except _NoValueError as lacking:
        return _unknown(row, lacking.cause, str(lacking))
    excused = lateness.excused(history, phase, lateness.late_ns(row))
    fair = _fair(history, row, phase, taken, excused)
    measured, value = _shown(history, row, fair, taken)
    if (
        row.metric.startswith("micro.")
        and isinstance(taken, Samples)
        and _spread(taken.values) >= SPREAD_MAX
    ):
        return _unknown(
            row,
            Cause.UNSTABLE,
            f"its values differ by ± {_spread(taken.values):.0%}, {SPREAD_MAX:.0%} is the most "
            "that is judged",
            measured,
        )
    if row.bound is None:
        return _finding(row, Answer.MEASURED, measured, "measured, not promised", value=value)
    best = _best(history, row, fair, taken)
    doubt = _doubt(history, row, phase, excused, best=best, worst=row.holds(worst))
    if doubt is not None:
        return _unknown(row, doubt[0], doubt[1], measured)
    if not best:
        needs, lost = METRICS[row.metric].needs, math.isinf(value)
        gap = record.excuse(history, needs, row.kind, phase, lost=lost)
        if gap is not None:
            return _unknown(row, Cause.GAP, gap, measured)
        return _finding(row, Answer.FAIL, measured, _missed(row, value), value=value)
    measured, value = _shown(history, row, taken, fair)
    kept = f"kept{_stretch(row, value)}{lateness.tick(history, row, phase)}"
    return _finding(row, Answer.PASS, measured, kept, value=value)


Measured = Samples | PerNode


def _fair(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: lateness.Excused
) -> Measured:
    """What was measured of the operations that are the system's."""
    if isinstance(taken, PerNode) or not excused.all.any():
        return taken
    return METRICS[row.metric].take(excused.rest(history), phase)


def _shown(history: History, row: Row, first: Measured, second: Measured) -> tuple[str, float]:
    """The statistic as it is shown, and in the row's unit: of the first of two that has one; an
    infinity of the second is nobody's and not shown.
    """
    try:
        value, at = _statistic(first, history, row)
    except _NoValueError:
        value, at = _statistic(second, history, row)
        if math.isinf(value):
            return "–", value
    return f"{_number(row.in_unit(value))} {row.unit}".removesuffix(" 1") + at, row.in_unit(value)


def _best(history: History, row: Row, fair: Measured, taken: Measured) -> bool:
    """Whether the promise was kept, had every operation that is not the system's met it."""
    if isinstance(fair, Samples) and isinstance(taken, Samples) and row.statistic != "count":
        more = len(taken.values) - len(fair.values)
        fair = Samples(values=np.append(fair.values, np.full(more, _met(row, fair.values))))
    try:
        return row.holds(row.in_unit(_statistic(fair, history, row)[0]))
    except _NoValueError:
        return True


def _met(row: Row, values: Floats) -> float:
    """The value of an operation that met the promise, in the base unit of the row's kind."""
    assert row.bound is not None
    if row.comparison in ("<", "<="):
        return 0.0
    if row.kind == "share":
        return 1.0
    return float(max(row.bound * UNITS[row.unit][1], values.max(initial=0.0)))


def _doubt(
    history: History,
    row: Row,
    phase: PhaseWindow,
    excused: lateness.Excused,
    *,
    best: bool,
    worst: bool,
) -> tuple[Cause, str] | None:
    """Why generator or host leave the answer open; None where it is the system's.

    `best` and `worst`: whether the promise was kept with the operations that are none of the
    system's counted as if they had met it, and as they came.
    """
    if best != worst:
        due = int(records.due(history, phase).sum())
        return excused.cause(), excused.sentence(history, due) + host.busy(history, phase)
    if mixed := lateness.two_phases(history, row, phase):
        return Cause.HOST_LIMITED, mixed
    wants_more = row.kind in ("rate", "byte rate") and row.comparison in (">", ">=")
    if (best or wants_more) and lateness.rests_on_load(row):
        behind = lateness.behind(history, phase)
        if behind is not None and behind[0] is Cause.GENERATOR_BEHIND:
            return behind[0], behind[1] + host.busy(history, phase)
    limited = None if best else host.limits(history, row, phase)
    return None if limited is None else (Cause.HOST_LIMITED, limited)


def _gap(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """What the record lacks of that which the row needs; None where it lacks nothing."""
    metric = METRICS[row.metric]
    needs = metric.needs | ALWAYS
    if row.conditions.under is not None:
        needs |= {Part.PROOFS, Part.PLAN}
    if row.conditions.received_per_s is not None:
        needs |= METRICS["private_message.received"].needs
    return record.lacking(
        history,
        needs,
        None if metric.whole_run else phase,
        row.conditions.node if metric.by_node else None,
    )


def _unmet(history: History, row: Row, phase: PhaseWindow) -> Finding | None:
    """The finding of a row one of whose conditions was not met; None where all were."""
    conditions = row.conditions
    if conditions.nodes is not None and conditions.nodes != len(history.nodes):
        return _unknown(
            row,
            Cause.CONDITIONS,
            f"the row is about {conditions.nodes} nodes, the run had {len(history.nodes)}",
        )
    if conditions.node is not None and conditions.node not in history.nodes:
        return _unknown(
            row,
            Cause.CONDITIONS,
            f"the row is about node {conditions.node}, the run had none of that name",
        )
    if (
        conditions.node is not None
        and conditions.received_per_s is None
        and not METRICS[row.metric].by_node
    ):
        return _unknown(
            row,
            Cause.CONDITIONS,
            f"the row is about node {conditions.node}, and {row.metric} is not measured by node",
        )
    if unkept := _unkept(history, row):
        return _unknown(row, Cause.NOT_MEASURED, unkept)
    if conditions.under is not None and (
        lacking := faults.not_shown(history, conditions.under, phase)
    ):
        return _unknown(row, Cause.FAULT_NOT_PROVEN, lacking)
    if conditions.received_per_s is not None:
        if conditions.node is None:
            return _unknown(
                row, Cause.CONDITIONS, "received_per_s needs `node`: the one that received it"
            )
        rates = received(history, phase)
        rate_per_s = float(rates.series[history.index(conditions.node)][0])
        if rate_per_s < conditions.received_per_s * (1 - RECEIVED_TOLERANCE):
            return _unknown(
                row,
                Cause.LOAD_NOT_DELIVERED,
                f"{conditions.node} received {rate_per_s:,.0f} messages a second, the row is about "
                f"{conditions.received_per_s:,.0f}{host.busy(history, phase)}",
            )
    return None


def _unkept(history: History, row: Row) -> str | None:
    """Say which records the row counts that this system's journals do not keep; None where they
    keep all. An older folder does not name them all: what it has, it keeps.
    """
    for kind in sorted(METRICS[row.metric].records - history.kept):
        if not (history.journal["kind"] == kind).any():
            return f"journals of this run have no records of the kind {kind.name.lower()}"
    return None


class _NoValueError(Exception):
    """The statistic cannot be taken: nothing was measured, or too little."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


def _statistic(measured: Samples | PerNode, history: History, row: Row) -> tuple[float, str]:
    """The row's statistic in base units, and where it was measured (" at node-3")."""
    if isinstance(measured, Samples):
        return _of(measured.values, row.statistic), f" (n={len(measured.values):,})"
    if row.conditions.node is not None:
        index = history.index(row.conditions.node)
        if index not in measured.series:
            raise _NoValueError(
                Cause.NOT_MEASURED, f"nothing was sampled of {row.conditions.node} in this phase"
            )
        return _of(measured.series[index], row.statistic), f" at {row.conditions.node}"
    missing = [name for index, name in enumerate(history.nodes) if index not in measured.series]
    if missing:
        raise _NoValueError(
            Cause.NOT_MEASURED,
            f"{len(missing)} of {len(history.nodes)} nodes were not sampled in this phase, "
            f"{missing[0]} for one",
        )
    values = {index: _of(series, row.statistic) for index, series in measured.series.items()}
    worst = min(values, key=lambda index: (_goodness(row, values[index]), index))
    return values[worst], f" at {history.nodes[worst]}"


def _goodness(row: Row, value: float) -> float:
    """How good a value in base units is for the row's promise, against others: more is better."""
    if row.comparison in {">", ">="}:
        return value
    if row.comparison == "==" and row.bound is not None:
        return -abs(row.in_unit(value) - row.bound)
    return -value


def _of(values: Floats, statistic: str) -> float:
    """A statistic of values; a percentile by nearest rank. Raises _NoValueError."""
    if statistic == "count":
        return float(len(values))
    if not len(values):
        raise _NoValueError(Cause.NOT_MEASURED, "nothing of this was measured in the phase")
    if statistic in PERCENTILES:
        quantile = PERCENTILES[statistic]
        # Of fewer than 1 / (1 − q) values none lies beyond the percentile: it would be their
        # maximum by another name.
        least = math.ceil(round(1 / (1 - quantile), 6))
        if len(values) < least:
            raise _NoValueError(
                Cause.TOO_FEW,
                f"{statistic} wants at least {least:,} samples, there are {len(values):,}",
            )
        at = rank_of(len(values), quantile) - 1
        return float(np.partition(values, at)[at])
    plain: dict[str, float] = {"min": values.min(), "mean": values.mean(), "max": values.max()}
    return float(plain[statistic])


def _stretch(row: Row, value: float) -> str:
    """Whether a value in the row's unit reached its further aim, as the end of a sentence; empty
    without one.
    """
    if row.stretch is None:
        return ""
    reached = "reached" if COMPARISONS[row.comparison](value, row.stretch) else "not reached"
    return f"; stretch {row.comparison} {row.stretch:,g}: {reached}"


def _spread(values: Floats) -> float:
    """Standard deviation ÷ mean; 0 of a single value."""
    return float(values.std(ddof=1) / values.mean()) if len(values) > 1 else 0.0


def _missed(row: Row, value: float) -> str:
    if math.isinf(value):
        return "some never arrived, and they are more than this statistic leaves out"
    assert row.bound is not None
    return (
        f"missed: {_number(value)} is not {row.comparison} {_number(row.bound)} {row.unit}"
    ).removesuffix(" 1")


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def promised(row: Row) -> str:
    """The promise as a reader sees it: ``< 10 ms``."""
    return (
        "–"
        if row.bound is None
        else f"{row.comparison} {row.bound:,g} {row.unit}".removesuffix(" 1")
    )


def _unknown(row: Row, cause: Cause, sentence: str, measured: str = "–") -> Finding:
    return _finding(row, Answer.UNKNOWN, measured, sentence, cause=cause)


def _finding(
    row: Row,
    answer: Answer,
    measured: str,
    sentence: str,
    *,
    cause: Cause | None = None,
    value: float | None = None,
) -> Finding:
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
    )
