"""How long a stream took to be again as it was in the steady phase: p95 and share of success. Pure.

It is looked at from the heal on, which is when the last fault went that had come since the steady
phase (a fault of nodes: when it began to go); without one it is the begin of the row's phase. The
stream has returned at the first moment from which on, for STAYS_NS, its p95 is at most the factor
times that of the steady phase, and its share of success at least that of the steady phase ÷ the
factor. What failed counts as infinite, and under less than half of the steady phase's load nothing
is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness.checks import own_metrics, records, sliding, statistic
from harness.checks.fault_times import changes_of, not_played
from harness.checks.metric import Floats, Metric, Samples
from harness.checks.operation_metrics import WITNESSED, propagation_ns
from harness.checks.own_metrics import Names
from harness.checks.silences import FOR_EVER_NS
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Cause
from harness.errors import BadFileError
from harness.history.events import FaultChanged, spells
from harness.history.gaps import Part
from harness.history.history import History, Nanoseconds, PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations import TABLE, Operation
from harness.operations.records import RecordKind
from harness.scenario.budget import FACTOR, RETURN, UNITS, Row

STAYS_NS = 5_000_000_000
LEAST = 20  # operations of which there is a p95
LOAD_LEAST = 0.5  # of the steady phase's rate: under less load what is as before says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recovery:
    """What is held against each other: the steady phase, and all from the heal on."""

    steady: PhaseWindow
    since: PhaseWindow

    @property
    def looked_ns(self) -> int:
        """How long after the heal the last moment is that STAYS_NS follow."""
        return self.since.end_ns - STAYS_NS - self.since.begin_ns


def _of(history: History, phase: PhaseWindow) -> _Recovery:
    """Return what a row of this phase is about. Raises NoValueError where there is none."""
    steady = [
        one
        for one in history.phases
        if one.kind is PhaseKind.STEADY and one.end_ns <= phase.begin_ns
    ]
    if not steady:
        said = f"no phase of the kind steady was played before phase {phase.name}"
        raise NoValueError(Cause.NOT_MEASURED, said)
    healed_ns = _healed_ns(history, steady[-1], phase)
    found = _Recovery(
        steady=steady[-1],
        since=PhaseWindow(name=phase.name, begin_ns=healed_ns, end_ns=phase.end_ns),
    )
    if found.looked_ns < 0:
        seconds = found.since.seconds
        said = f"phase {phase.name} ends {seconds:.1f} s after the heal, 5 s are looked at at once"
        raise NoValueError(Cause.NOT_MEASURED, said)
    return found


def _healed_ns(history: History, steady: PhaseWindow, phase: PhaseWindow) -> int:
    """When the last fault went; one that stood in the steady phase and stays is no fault of this.

    Raises NoValueError where one stands until the end of the phase, or was to come and never did.
    """
    changes = sorted(changes_of(history), key=lambda one: one.set_ns)
    for planned in not_played(history, changes):
        if planned.verb == "set" and steady.end_ns <= planned.at_ns < phase.end_ns:
            said = f"fault {planned.fault} was planned, and could not be done: nothing healed"
            raise NoValueError(Cause.FAULT_NOT_PROVEN, said)
    gone: list[int] = []
    for fault in dict.fromkeys(change.fault for change in changes):
        happened = [(one.is_set, _changed_ns(one)) for one in changes if one.fault == fault]
        for begin_ns, end_ns in spells(happened, FOR_EVER_NS):
            if end_ns <= steady.end_ns or begin_ns >= phase.end_ns:
                continue
            if end_ns < phase.end_ns:
                gone.append(end_ns)
            elif begin_ns >= steady.end_ns:
                said = f"fault {fault} stood until the end of phase {phase.name}: nothing healed"
                raise NoValueError(Cause.CONDITIONS, said)
    return max(gone, default=phase.begin_ns)


def _changed_ns(change: FaultChanged) -> int:
    """When a change counts: of the network when it was done. What a node takes to start is its own
    time to return, and so from when it began to be taken back.
    """
    return change.begun_ns if change.nodes and not change.is_set else change.set_ns


def _over(history: History, phase: PhaseWindow) -> list[PhaseWindow]:
    """The stretches that the metric of a phase is taken from."""
    try:
        found = _of(history, phase)
    except NoValueError:  # which `_take` says
        return [phase]
    return [found.steady, found.since]


def _take(
    operation: Operation, history: History, phase: PhaseWindow, factor: float = FACTOR
) -> Samples:
    """How long it took from the heal until the stream had returned, ns; infinite where it had not
    while there were STAYS_NS to look at. Raises NoValueError.
    """
    found = _of(history, phase)
    _, before = _took_ns(history, found.steady, operation)
    if len(before) < LEAST:
        raise NoValueError(
            Cause.TOO_FEW,
            f"of the steady phase {found.steady.name} there are {len(before)} operations, a p95 "
            f"wants {LEAST}",
        )
    p95_ns, share = statistic.of(before, "p95"), float(np.isfinite(before).mean())
    if not np.isfinite(p95_ns):
        said = f"{1 - share:.0%} failed in the steady phase {found.steady.name}: it is no baseline"
        raise NoValueError(Cause.CONDITIONS, said)
    due, took = _took_ns(history, found.since, operation)
    usual = len(before) / found.steady.seconds * STAYS_NS / 1e9
    least = max(LEAST, int(usual * LOAD_LEAST))
    at_ns = _returned_ns(due, took, found.since, least, p95_ns * factor, share / factor)
    returned = np.inf if at_ns is None else float(at_ns - found.since.begin_ns)
    return Samples(values=np.array([returned]))


def _took_ns(
    history: History, window: PhaseWindow, operation: Operation
) -> tuple[Nanoseconds, Floats]:
    """When the operations of a window were due, in order, and how long each took: of a broadcast
    until the last had it.
    """
    due = history.column("intended_ns")[records.in_phase(history, window, operation)]
    if operation is Operation.BROADCAST:
        took = propagation_ns(history, window)
    else:
        took = records.took_ns(history, window, operation)
    order = np.argsort(due, kind="stable")
    order = order[~np.isnan(took[order])]  # a broadcast that was for nobody
    return due[order], took[order]


def _returned_ns(
    due: Nanoseconds, took: Floats, since: PhaseWindow, least: int, most_ns: float, share: float
) -> int | None:
    """The first moment that is followed by STAYS_NS in which the p95 and the share are kept; None
    where there is none. Raises NoValueError where that is open, for too few operations were due.
    """
    found = sliding.over(due, STAYS_NS, since.begin_ns, since.end_ns)
    count, moments = found.counts, found.begins_ns
    rank = np.maximum(np.ceil(0.95 * count - 1e-9 * count), 1)  # as stats.rank_of
    enough = count >= least
    is_quick = found.sums(took <= most_ns) >= rank
    succeeds = found.sums(np.isfinite(took)) >= share * count - 1e-9
    holds = enough & is_quick & succeeds
    first = int(np.argmax(holds)) if holds.any() else len(moments)
    if not enough[:first].all():
        few = int(count[:first].min())
        said = f"in 5 s of phase {since.name} only {few} operations were due, {least} are wanted: "
        said += f"a p95 wants {LEAST}, and a return half the load of the steady phase"
        raise NoValueError(Cause.TOO_FEW, said)
    return int(moments[first]) if first < len(moments) else None


def validate(row: Row) -> None:
    """Raise BadFileError where a row asks of a recovery what it has not, or has a factor and is
    about none.
    """
    if row.metric not in RETURNS:
        if row.factor is not None:
            known = f"*{RETURN}"
            raise BadFileError(f"row {row.name}: factor: {row.metric} has none; {known} has one")
        return
    if row.comparison not in ("<", "<="):
        raise BadFileError(
            f"row {row.name}: comparison: a stream returns in less than a time: expected < or <=, "
            f"found {row.comparison!r}"
        )
    if row.conditions.under is not None:
        raise BadFileError(
            f"row {row.name}: under: {row.metric} counts from when faults are gone; expected none, "
            f"found {row.conditions.under!r}"
        )


def too_short(
    history: History, row: Row, phase: PhaseWindow, value: float
) -> tuple[Cause, str] | None:
    """Say why a stream that did not return (`value` infinite) may still have kept its promise: it
    was not looked at for as long as that allows. None where it was, and of every other row.
    """
    if row.metric not in RETURNS or not np.isinf(value) or row.bound is None:
        return None
    looked_ns = _of(history, phase).looked_ns
    if looked_ns >= row.bound * UNITS[row.unit][1]:
        return None
    return Cause.NOT_MEASURED, (
        f"it did not return in the {looked_ns / 1e9:.1f} s after the heal that were looked at, and "
        f"phase {phase.name} has no more"
    )


def _metric(operation: Operation) -> Metric:
    return made(partial(_take, operation), is_broadcast=operation is Operation.BROADCAST)


def of(operation: Operation) -> Callable[..., Samples]:
    """Return what takes the metric of an operation."""
    return partial(_take, operation)


def made(take: Callable[..., Samples], *, is_broadcast: bool = False) -> Metric:
    """Make the metric of an operation that is taken so."""
    return Metric(
        kind="time",
        take=take,
        take_by=take,
        over=_over,
        sentence="from the heal until p95 and success stay within `factor` of the steady phase's "
        "for 5 s",
        needs=WITNESSED | {Part.PLAN},
        records=frozenset({RecordKind.RECEIVED}) if is_broadcast else frozenset(),
    )


RECOVERY_METRICS: dict[str, Metric] = {
    f"{spec.word}{RETURN}": _metric(Operation(spec.number)) for spec in TABLE
}
# Of which there is one a phase, and what is said of each.
RETURNS = Names.of(RECOVERY_METRICS, own_metrics.is_return)
