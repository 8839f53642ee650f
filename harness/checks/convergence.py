"""Whether and when the condition of a phase held that was to end it (scenario/until.py). Pure.

The generator ends the phase when it sees the condition hold; here it is looked for anew, in the
whole record. What was due in a second counts as it was SETTLE_NS after it was due. The condition
has held from the end of the first second of the phase on that met it; one of the nodes from the
first moment of the phase at which each of them was ready. A fault that was to be gone by then, and
was not, is waited for: until then the nodes have nothing to converge from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from harness.checks import host, lateness, reach, record, records, silences, sliding
from harness.checks.fault_times import OFF_S
from harness.checks.metric import Chosen, Floats
from harness.checks.reach import Stand
from harness.checks.silences import Stretch
from harness.checks.verdict import Answer, Cause, Finding
from harness.choices import listed
from harness.history.events import ends_ns
from harness.history.gaps import Part
from harness.history.history import History, Nanoseconds, PhaseWindow, once
from harness.history.plan import LATE_NS, PhasePlan
from harness.operations.records import RecordKind
from harness.scenario.until import SETTLE_MS, Quantity, Until, parse

NAME = "converged"
SECOND_NS = 1_000_000_000
SETTLE_NS = SETTLE_MS * 1_000_000
ROUNDED_S = 1e-6  # by which seconds of a file may differ from those of the clock
OVERRAN_NS = round(OFF_S * 1e9)  # by which a fault may begin to go later than planned
LATE_SHARE = 0.05  # of the time that counts: what was sent later says nothing of the system


@dataclass(frozen=True, slots=True)
class _Seconds:
    """All seconds of a phase that differ in what was due in them: when each ends, in order, how
    many operations were due in it, and whether it met the condition.
    """

    ends_ns: Nanoseconds
    counts: Nanoseconds
    met: Chosen


def check(history: History) -> list[Finding]:
    """One finding for each phase that a condition was to end; NOT ASKED where the system has no
    operation that shows it.
    """
    found = [_judge(history, phase) for phase in history.phases if phase.until is not None]
    plan = record.plan(history)
    if plan is None or plan.other_system is None:
        return found
    why = f"{plan.other_system.name} cannot show it: the phase lasts as long as it may at most"
    return found + [
        Finding(
            name=NAME,
            answer=Answer.NOT_ASKED,
            promised=condition,
            measured="–",
            sentence=why,
            phase=phase,
        )
        for phase, condition in plan.other_system.until.items()
    ]


@once
def held_ns(history: History, phase: PhaseWindow, last_ns: int | None = None) -> int | None:
    """Return when the condition of a phase held first; None where it did not until its end, or
    until `last_ns`.
    """
    assert phase.until is not None
    until, last_ns = parse(phase.until, history.own), last_ns or phase.end_ns
    if until.operation is None:
        return _ready_ns(history, phase, last_ns)
    seconds = _seconds(history, phase, until, last_ns)
    return int(seconds.ends_ns[np.argmax(seconds.met)]) if seconds.met.any() else None


def _ready_ns(history: History, phase: PhaseWindow, last_ns: int) -> int | None:
    """When all nodes were ready first in a phase: whoever had stopped them, or paused them, or if
    they had ended by themselves; None where they were not until `last_ns`.
    """
    ready_ns = _begins_ns(history, phase)
    for begin_ns, end_ns in sorted((one.begin_ns, one.end_ns) for one in _away(history)):
        if begin_ns > ready_ns:
            break
        ready_ns = max(ready_ns, end_ns)
    return ready_ns if ready_ns <= last_ns else None


@once
def _left_over(history: History, phase: PhaseWindow) -> tuple[Stand, ...]:
    """The faults that were to be gone when a phase began, and stood in it."""
    planned = () if history.plan is None else history.plan.changes
    last = {one.fault: one for one in planned if one.at_ns <= phase.begin_ns}
    return tuple(
        one
        for one in reach.stands(history)
        if one.begin_ns < phase.begin_ns < one.gone_ns
        and one.change.fault in last
        and last[one.change.fault].verb == "clear"
    )


def _begins_ns(history: History, phase: PhaseWindow) -> int:
    """From when on a condition of a phase may hold."""
    return max((phase.begin_ns, *(one.gone_ns for one in _left_over(history, phase))))


def _away(history: History) -> tuple[Stretch, ...]:
    """When which node was not ready."""
    found = silences.of(history)
    return (*found.away, *found.ended, *found.unready)


def _seconds(
    history: History,
    phase: PhaseWindow,
    until: Until,
    last_ns: int,
    *,
    settle_ns: int = SETTLE_NS,
) -> _Seconds:
    due, values = _values(history, phase, until, settle_ns)
    found = sliding.over(due, SECOND_NS, _begins_ns(history, phase), last_ns)
    if until.quantity is Quantity.P95:
        most_ns = until.bound * 1e6 if settle_ns == SETTLE_NS else np.inf
        values = (values < most_ns).astype(np.float64)
    wanted = 0.95 if until.quantity is Quantity.P95 else until.bound
    share_met = found.sums(values) >= wanted * found.counts - 1e-9
    ends = found.begins_ns + SECOND_NS
    return _Seconds(ends, found.counts, share_met & (found.counts >= until.least))


def _values(
    history: History, phase: PhaseWindow, until: Until, settle_ns: int
) -> tuple[Nanoseconds, Floats]:
    """When the operations were due that a condition is about, in order, and of each the share of
    success, or how long it took (ns).
    """
    assert until.operation is not None
    chosen = records.in_phase(history, phase, until.operation)
    due = history.column("intended_ns")[chosen]
    if until.quantity is Quantity.COVERAGE:
        heard = records.heard_ns(history, RecordKind.RECEIVED, chosen)
        expected = silences.of(history).due(history, chosen)
        in_time = expected & (heard != records.NEVER) & (heard <= due[:, None] + settle_ns)
        count = expected.sum(axis=1)
        values = in_time.sum(axis=1) / np.maximum(count, 1)
        due, values = due[count > 0], values[count > 0]
    else:
        took = records.took_ns(history, phase, until.operation)
        took = np.where(took <= settle_ns, took, np.inf)
        is_time = until.quantity is Quantity.P95
        values = took if is_time else np.isfinite(took).astype(np.float64)
    order = np.argsort(due, kind="stable")
    return due[order], values[order]


def _judge(history: History, phase: PhaseWindow) -> Finding:
    assert phase.until is not None
    until, held = parse(phase.until, history.own), held_ns(history, phase)
    planned = None if history.plan is None else history.plan.phase(phase.name)
    most_s = None if planned is None else planned.at_most_s
    promised = until.text if most_s is None else f"{until.text}, within {most_s:g} s"
    if held is not None:
        return Finding(
            name=NAME,
            answer=Answer.PASS,
            promised=promised,
            measured=f"held after {(held - phase.begin_ns) / 1e9:.1f} s",
            sentence=f"the phase ended after {phase.seconds:.1f} s{_stood(history, phase)}",
            phase=phase.name,
        )
    cause, sentence = _open(history, phase, until, planned) or (
        None,
        _missed(history, phase) + _stood(history, phase),
    )
    return Finding(
        name=NAME,
        answer=Answer.FAIL if cause is None else Answer.UNKNOWN,
        promised=promised,
        measured=f"not in {phase.seconds:.1f} s",
        sentence=sentence,
        cause=cause,
        phase=phase.name,
    )


def _open(
    history: History, phase: PhaseWindow, until: Until, planned: PhasePlan | None
) -> tuple[Cause, str] | None:
    """Why a condition that never held says nothing of the system; None where it does."""
    if planned is not None and planned.end_ns is None:
        return Cause.UNDER_WAY, "it has not held yet"
    if phase.name in ends_ns(history.events):
        return Cause.NOT_MEASURED, "the generator saw it hold, and the record does not show it"
    most_s = None if planned is None else planned.at_most_s
    if most_s is None or phase.seconds < most_s - ROUNDED_S:
        return Cause.NOT_MEASURED, f"the phase ended after {phase.seconds:.1f} s"
    if any(one.end_ns > phase.begin_ns + OVERRAN_NS for one in _left_over(history, phase)):
        return Cause.FAULT_OVERRAN, f"it did not hold{_stood(history, phase)}"
    if until.operation is None:
        late, kept = _unready(history, phase.end_ns)
        if not late:
            return Cause.NODE_STOPPED, f"a fault kept them from it: {_named(history, kept)}"
        ever = _ready_ns(history, phase, silences.FOR_EVER_NS - 1) is not None
    elif (back_ns := _begins_ns(history, phase)) > phase.end_ns - SECOND_NS:
        ever = back_ns < history.phases[-1].end_ns  # what comes back later may have had no core
    elif doubt := _of_load(history, phase, until):
        return doubt
    else:  # what never came true is lost on any host, however long others had it
        seconds = _seconds(history, phase, until, phase.end_ns, settle_ns=silences.FOR_EVER_NS)
        ever = bool(seconds.met.any())
    _, slowed = host.slowed(history, phase)
    if not ever:
        return None
    if slowed:
        return Cause.HOST_LIMITED, slowed + host.busy(history, phase)
    missing = record.lacking(history, frozenset({Part.HOST}), phase)
    return None if missing is None else (Cause.GAP, missing)


def _stood(history: History, phase: PhaseWindow) -> str:
    """Say how long a phase had faults that were to be gone, as the end of a sentence."""
    left = _left_over(history, phase)
    if not left:
        return ""
    one = max(left, key=lambda one: one.gone_ns)
    if one.gone_ns >= phase.end_ns:
        return f"; fault {one.change.fault!r} was not gone at its end"
    after_s = (one.gone_ns - phase.begin_ns) / 1e9
    return f"; fault {one.change.fault!r} was gone {after_s:.1f} s into it"


def _missed(history: History, phase: PhaseWindow) -> str:
    """Say that a condition never held; of the nodes, by whom."""
    assert phase.until is not None
    if parse(phase.until, history.own).operation is not None:
        return "it never held"
    return f"not ready at its end: {_named(history, _unready(history, phase.end_ns)[0])}"


def _unready(history: History, at_ns: int) -> tuple[set[int], set[int]]:
    """Which nodes were not ready at a moment: by the system, and because a fault stood that kept
    them from it.
    """
    away = {one.node for one in _away(history) if one.begin_ns <= at_ns <= one.end_ns}
    kept = {
        history.index(node)
        for one in reach.stands(history)
        if one.begin_ns <= at_ns <= one.end_ns
        for node in one.change.nodes
    }
    return away - kept, away & kept


def _named(history: History, nodes: Iterable[int]) -> str:
    return listed(history.nodes[node] for node in sorted(nodes))


def _of_load(history: History, phase: PhaseWindow, until: Until) -> tuple[Cause, str] | None:
    """Why the load of a phase, whose condition never held, says nothing of the system; None where
    it does.
    """
    assert until.operation is not None
    counts = _seconds(history, phase, until, phase.end_ns).counts
    if counts.max(initial=0) < until.least:
        few = f"at most {counts.max(initial=0)} {until.operation.word}s were due in a second of it"
        return Cause.TOO_FEW, f"{few}, {until.quantity} wants {until.least}"
    if behind := lateness.behind(history, phase, until.operation):
        return behind
    bound_ns = until.bound * 1e6 if until.quantity is Quantity.P95 else SETTLE_NS
    late = lateness.excused(history, phase, round(max(LATE_NS, LATE_SHARE * bound_ns)))
    rest = replace(history, operations=history.operations.filter(pa.array(~late.all)))
    if late.all.any() and held_ns(rest, phase) is not None:
        due = int(records.due(history, phase).sum())
        return late.cause(), late.sentence(history, due)
    return None
