"""The budget's rows, each against its phase. A row that was not measured is UNKNOWN, never PASS."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from harness.checks import (
    asked,
    conditions,
    faults,
    growth,
    hidden,
    host,
    lateness,
    liveness,
    needs,
    own_metrics,
    record,
    records,
    recovery,
    reference,
    starvation,
    statistic,
)
from harness.checks.measurements import unsteady
from harness.checks.metric import Bounded, Chosen, Measured, PerNode, Samples
from harness.checks.metrics import METRICS, as_one, require, take, taken_over
from harness.checks.operation_metrics import TIMES
from harness.checks.promises import keeping, missed, missing, promised, shown, stretch
from harness.checks.row_finding import finding, unknown
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Answer, Cause, Finding
from harness.choices import one_of
from harness.errors import BadFileError
from harness.history.gaps import END_NS, Part
from harness.history.history import History, PhaseWindow
from harness.operations import Outcome
from harness.scenario.budget import Row

HOST, JOURNAL = frozenset({Part.HOST}), frozenset({Part.JOURNAL})


def validate(rows: Sequence[Row], words: Collection[str] | None = ()) -> None:
    """Raise BadFileError for a row that asks for what there is not, or its metric cannot tell.
    `words`: see metrics.require.
    """
    for row in rows:
        try:
            metric = require(row.metric, words)
        except BadFileError as error:
            raise BadFileError(f"row {row.name}: metric: {error}") from None
        known = (*statistic.NAMES, growth.SLOPE)
        if row.statistic not in known:
            raise BadFileError(f"row {row.name}: statistic: {one_of(row.statistic, known)}")
        growth.validate(row)
        if row.statistic not in ("count", growth.SLOPE) and row.kind != metric.kind:
            raise BadFileError(
                f"row {row.name}: unit: {row.metric} is a {metric.kind}, {row.unit!r} measures a "
                f"{row.kind}"
            )
        conditions.validate(row)
        recovery.validate(row)


def validate_for(rows: Sequence[Row], own: Collection[str]) -> None:
    """Raise BadFileError as `validate`, and for a metric of an operation of a system's own that is
    none of these.
    """
    validate(rows, None)
    for row in rows:
        if own_metrics.is_own(row.metric) and row.metric not in own:
            known = [*METRICS, *sorted(own)]
            raise BadFileError(f"row {row.name}: metric: {one_of(row.metric, known)}")


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """One finding a row, in order, but for other scenarios'. Raises BadFileError as `validate`."""
    validate(rows, None)  # of what this run did not send, the row says so
    return [
        _judge_alone(history, row)
        for row in rows
        if row.conditions.scenario in (None, history.name)
    ]


def _judge_alone(history: History, row: Row) -> Finding:
    """The finding of a row; one that breaks is UNKNOWN and leaves the others their answers."""
    try:
        if liveness.is_warm_up(history.phase(row.conditions.phase)):
            return _of_warm_up(history, row)
        found = _judge(history, row)
        if found.answer is not Answer.NOT_ASKED:
            found = _of_part(history, row, found)
        return found
    except Exception as error:  # whatever broke, the row was not judged, and says so
        return unknown(row, Cause.CHECKER_BROKE, f"it broke: {type(error).__name__}: {error}")


def _of_warm_up(history: History, row: Row) -> Finding:
    """The finding of a row that is about a warm-up: what was measured, and no answer."""
    found, said = _judge(history, replace(row, bound=None)), "not judged: warm-up"
    if found.answer is Answer.NOT_ASKED:
        return found
    if found.answer is Answer.UNKNOWN:
        said += f" ({found.sentence})"
    return replace(
        found,
        answer=Answer.MEASURED,
        promised=promised(row),
        sentence=said,
        cause=None,
        bound=row.bound,
    )


def _of_part(history: History, row: Row, found: Finding) -> Finding:
    """The finding of a row whose phase had a part of its load alone, for the system has no
    operation for the rest. What is measured of all the load shows nothing of the promise, but where
    already this part is too much.
    """
    if not (lacks := asked.lighter(history, row)):
        return replace(found, sentence=f"{found.sentence}{asked.beside(history, row)}")
    if found.answer is Answer.MEASURED:
        return replace(found, sentence=f"{found.sentence}; under a part of the load: {lacks}")
    if found.answer is Answer.FAIL and row.comparison in ("<", "<="):
        return replace(
            found, sentence=f"{found.sentence}, already without all of its load: {lacks}"
        )
    why = f"a part of its load alone was sent: {lacks}"
    return replace(found, answer=Answer.NOT_ASKED, sentence=why, cause=None, value=None)


def _judge(history: History, row: Row) -> Finding:
    phase = history.phase(row.conditions.phase)
    if phase is None:
        return unknown(row, Cause.NOT_MEASURED, f"the run played no phase {row.conditions.phase!r}")
    if left_out := asked.left_out(history, row):
        return finding(row, Answer.NOT_ASKED, "–", left_out)
    if phase.end_ns <= phase.begin_ns:
        return unknown(row, Cause.NOT_MEASURED, f"phase {phase.name} was over at once")
    gap = needs.gap(history, row, phase)
    if gap is not None:
        return unknown(row, Cause.GAP, gap)
    if unmet := conditions.unmet(history, row, phase):
        return unknown(row, *unmet)
    if row.statistic == growth.SLOPE:
        return growth.judge(history, row, phase)
    if row.conditions.under is not None:
        phase = faults.under(history, row.conditions.under, phase)
    try:
        taken = take(history, row, phase)
        statistic.take(taken, history, row)
    except NoValueError as lacking:
        return unknown(row, lacking.cause, f"{lacking}{asked.unplanned(history, row)}")
    excused = lateness.excused_of(history, as_one(taken_over(history, row.metric, phase)), row)
    fair = _without(history, row, phase, taken, excused.all)
    measured, value = _shown(history, row, fair, taken)
    if differs := unsteady(row, taken):
        return unknown(row, Cause.UNSTABLE, differs, measured)
    unseen = needs.unseen(history, row, phase, taken)
    if row.bound is None:
        told = f"measured, not promised{lateness.tick(history, row, phase)}{unseen.told}"
        return finding(row, Answer.MEASURED, measured, told, value=value)
    best, worst = _best(history, row, fair, taken), _worst(history, row, phase, taken, excused)
    doubt = _doubt(history, row, phase, excused, best=best, worst=worst)
    if doubt is None and best:
        doubt = hidden.by_the_host(history, row, phase, taken)
    elif doubt is None:
        doubt = recovery.too_short(history, row, phase, value)
        doubt = doubt or _excuse(history, row, phase, taken, excused)
    doubt = doubt or unseen.doubt
    if doubt is not None:
        return unknown(row, doubt[0], doubt[1], measured)
    if not best:
        if gap := _unexcused(history, row, phase, value) or _untold(
            history, row, phase, taken, excused.all
        ):
            return unknown(row, Cause.GAP, gap, measured)
        said = missed(row, value) + conditions.beside(history, row, phase)
        return finding(row, Answer.FAIL, measured, said, value=value)
    measured, value = _shown(history, row, taken, fair)
    kept = f"kept{stretch(row, value)}{lateness.tick(history, row, phase)}{unseen.told}"
    return finding(row, Answer.PASS, measured, kept, value=value)


def _excuse(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: lateness.Excused
) -> tuple[Cause, str] | None:
    """Why a row that was missed says nothing of the system; None where it does."""
    return (
        _by_a_stop(history, row, phase, taken, excused)
        or _by_the_wait(history, row, phase, excused.all)
        or reference.excuse(history, row)
        or _host_limited(history, row, phase, taken, excused.all)
    )


def _unexcused(history: History, row: Row, phase: PhaseWindow, value: float) -> str | None:
    """Say what is missing of the record that could have excused a missed row; None: nothing. A
    record that is gone makes a time shorter, and how times differ may be more by it.
    """
    needs, kind = METRICS[row.metric].needs, "time" if host.feels_it(row) else row.kind
    lost = math.isinf(value) or METRICS[row.metric].over is not None
    windows = taken_over(history, row.metric, phase)
    found = (record.excuse(history, needs, kind, one, lost=lost) for one in windows)
    untold = (about.untold(history, row, one) for about in (host, starvation) for one in windows)
    return next((gap for gap in (*found, *untold) if gap is not None), None)


def _untold(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: Chosen
) -> str | None:
    """Say what is missing of the record that could show that what had no answer came late, on a
    host that others had; None: nothing, or the promise was missed without that too.
    """
    if host.ends_slowly(row) is not Outcome.UNKNOWN:
        return None
    # It was under way for longer than the phase, and may have come at any time.
    until_ns = phase.end_ns + lateness.patience_ns(history)
    no_host = record.lacking(history, HOST, replace(phase, end_ns=until_ns))
    no_journal = record.lacking(history, JOURNAL, replace(phase, end_ns=END_NS))
    no_journal = no_journal or record.unsure(history, JOURNAL)
    slowed, told = host.slowed(history, phase)
    if no_host is None and (no_journal is None or not told):
        return None
    late = records.due(history, phase) & (history.column("outcome") == Outcome.UNKNOWN)
    late &= slowed if no_host is None else True
    late = host.came(history, late) if no_journal is None else late
    without = _without(history, row, phase, taken, excused | late)
    return no_host or no_journal if _best(history, row, without, taken) else None


def _without(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, left_out: Chosen
) -> Measured:
    """What was measured of all operations but these."""
    if isinstance(taken, PerNode) or not left_out.any():
        return taken
    if taken.of is not None:
        return Samples(values=taken.values[~left_out[taken.of]])
    rest = replace(history, operations=history.operations.filter(pa.array(~left_out)))
    try:
        return take(rest, row, phase)
    except NoValueError:  # of what is left
        return Samples(values=np.empty(0))


def _shown(history: History, row: Row, first: Measured, second: Measured) -> tuple[str, float]:
    """The statistic as it is shown, and in the row's unit: of the first of two that has one; an
    infinity of the second is nobody's and not shown.
    """
    try:
        value, at = statistic.take(first, history, row)
    except NoValueError:
        value, at = statistic.take(second, history, row)
        if math.isinf(value):
            return "–", value
    if isinstance(first, Bounded):
        return needs.between(history, row, first)
    return f"{shown(row, row.in_unit(value))}{at}{METRICS[row.metric].moment}", row.in_unit(value)


def _best(history: History, row: Row, fair: Measured, taken: Measured) -> bool:
    """Whether the promise was kept, had every operation that is not the system's met it."""
    return _holds(history, row, fair, _count(taken) - _count(fair), met=True)


def _worst(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: lateness.Excused
) -> bool | None:
    """Whether the promise was kept, had none of the operations that are not the system's met it:
    those that were sent as they came, and the others as if they had missed it. None: of those that
    were measured, none was sent.
    """
    never = excused.all & (history.column("sent_ns") == 0)
    sent = _without(history, row, phase, taken, never)
    if _count(taken) and not _count(sent):
        return None
    return _holds(history, row, taken, 0, met=False) and _holds(
        history, row, sent, _count(taken) - _count(sent), met=False
    )


def _holds(history: History, row: Row, measured: Measured, more: int, *, met: bool) -> bool:
    """Whether the promise was kept, had there been more operations which all met it, or missed
    it.
    """
    if isinstance(measured, Samples) and more and row.statistic != "count":
        value = keeping(row, measured.values) if met else missing(row)
        measured = Samples(values=np.append(measured.values, np.full(more, value)))
    try:
        value = row.in_unit(statistic.take(measured, history, row)[0])
    except NoValueError:
        return met
    if row.statistic == "count":
        return (any if met else all)(map(row.holds, (value, value + more)))
    return row.holds(value)


def _count(measured: Measured) -> int:
    """How many samples there are; 0 of values by node."""
    return len(measured.values) if isinstance(measured, Samples) else 0


def _doubt(
    history: History,
    row: Row,
    phase: PhaseWindow,
    excused: lateness.Excused,
    *,
    best: bool,
    worst: bool | None,
) -> tuple[Cause, str] | None:
    """Why generator or host leave the answer open; None where it is the system's.

    `best` and `worst`: whether the promise was kept with the operations that are none of the
    system's counted as if they had met it, and as if they had not.
    """
    if best != worst:  # also where nothing is left: no promise is kept by what was never sent
        span = as_one(taken_over(history, row.metric, phase))
        due = int(records.due(history, span).sum())
        return excused.cause(), excused.sentence(history, due) + host.busy(history, phase)
    if mixed := lateness.two_phases(history, row, phase):
        return Cause.HOST_LIMITED, mixed
    rests = (best or _wants_more(row)) and lateness.rests_on_load(row)
    rests |= METRICS[row.metric].over is not None
    for one in taken_over(history, row.metric, phase) if rests else ():
        behind = lateness.behind(history, one)
        if behind is not None and behind[0] is not Cause.NODE_STOPPED:
            return behind[0], behind[1] + host.busy(history, one)
    return None


def _wants_more(row: Row) -> bool:
    """Whether a row is about a rate that less load makes lower, and so missed."""
    return row.kind in ("rate", "byte rate") and row.comparison in (">", ">=")


def _by_a_stop(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: lateness.Excused
) -> tuple[Cause, str] | None:
    """Why the rate of a node may have been lowered by the harness, which stopped nodes; None where
    it was not. A node's rate is of all that it had to do: no operation of it can be left out.
    """
    if not (isinstance(taken, PerNode) and _wants_more(row) and lateness.rests_on_load(row)):
        return None
    return excused.stops(history, int(records.due(history, phase).sum()))


def _by_the_wait(
    history: History, row: Row, phase: PhaseWindow, excused: Chosen
) -> tuple[Cause, str] | None:
    """Why a missed time may be the generator's, which waited before it sent; None if it is not."""
    if not (row.metric in TIMES or row.within_ms is not None) or not host.feels_it(row):
        return None
    taken = take(lateness.as_sent(history, ~excused), row, phase)
    said = lateness.WAITED + lateness.tick(history, row, phase)
    return (Cause.GENERATOR_BEHIND, said) if _holds(history, row, taken, 0, met=False) else None


def _host_limited(
    history: History, row: Row, phase: PhaseWindow, taken: Measured, excused: Chosen
) -> tuple[Cause, str] | None:
    """Why a row that was missed says nothing of the system; None where it does: it is missed also
    without what was under way while other processes had the host. Where phases are held against
    each other, nothing of them can be left out, but what was lost is lost on any host. What came
    after its time, or was given up when that was over, is late where it lowers a share.
    """
    is_of_all = METRICS[row.metric].over is not None
    is_lost = row.metric in TIMES and isinstance(taken, Samples) and np.isinf(taken.values).any()
    if is_of_all and is_lost:
        return None
    for one in taken_over(history, row.metric, phase):
        if limited := host.limits(history, row, one):
            return Cause.HOST_LIMITED, limited
        starved, told = starvation.of(history, row, one)
        rest = _without(history, row, one, taken, excused | starved)
        if told and (starvation.is_of_nodes(row) or _best(history, row, rest, taken)):
            return Cause.HOST_LIMITED, told
        ended = host.ends_slowly(row)
        slowed, told = (excused, "") if ended is None else host.slowed(history, one)
        slowed = slowed & records.due(history, one) & (history.column("outcome") == ended)
        if ended is Outcome.UNKNOWN and told:
            slowed = host.came(history, slowed)
        if not told or not slowed.any():
            continue
        if is_of_all:
            return Cause.HOST_LIMITED, told + host.busy(history, one)
        if _best(history, row, _without(history, row, one, taken, excused | slowed), taken):
            without = ", and without what was under way then the promise holds"
            return Cause.HOST_LIMITED, told + without + host.busy(history, one)
    return None
