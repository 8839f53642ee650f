"""Whether the load was what the scenario asked for: each operation as planned, and nearly all of
them sent, and sent in time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from harness.checks import lateness, liveness, record, records, replay
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations import Operation

# Of a folder that does not say the schedule; a Poisson stream's own spread is allowed on top.
PLANNED_TOLERANCE = 0.01


def check(history: History) -> list[Finding]:
    """One finding for each operation that a phase planned: UNKNOWN where the load was another one,
    only MEASURED where none of it was due, NOT ASKED where the system has no such operation; and
    one for operations that nobody planned, or that share an id, where there are any.
    """
    found = [
        _planned(history, phase_name, history.kind(number), rate_per_s)
        for (phase_name, number), rate_per_s in history.planned_per_s.items()
    ]
    found += _left_out(history)
    shared = replay.of_one_id(history)
    if shared:
        why = f"{shared:,} operations are recorded under an id that another one has"
        found.append(_finding("load: one id each", "", "none", f"{shared:,}", why, BAD))
    strange = replay.of_nobody(history)
    if strange:
        why = f"{strange:,} operations are recorded that no stream of this run can have made"
        found.append(_finding("load: planned by nobody", "", "none", f"{strange:,}", why, BAD))
    return found


BAD = Cause.LOAD_NOT_DELIVERED


def _left_out(history: History) -> list[Finding]:
    """A finding of each operation that a phase was to send, and the system does not have."""
    plan = record.plan(history)
    other = None if plan is None else plan.other_system
    if other is None:
        return []
    rates = Counter[tuple[str, str]]()
    for one in other.streams:
        rates[one["phase"], one["operation"]] += one["rate_per_s"]
    return [
        Finding(
            name=f"load: {word}",
            answer=Answer.NOT_ASKED,
            promised=f"{rate_per_s:,g}/s",
            measured="–",
            sentence=other.has_no([word]),
            phase=phase,
        )
        for (phase, word), rate_per_s in rates.items()
    ]


def _planned(history: History, phase_name: str, operation: Operation, rate_per_s: float) -> Finding:
    phase = history.phase(phase_name)
    measured, promised = "–", f"{rate_per_s:,g}/s"
    name = f"load: {operation.word}"
    if phase is None:
        return _finding(name, phase_name, promised, measured, "the phase was not played", BAD)
    chosen = records.in_phase(history, phase, operation)
    due, sent = int(chosen.sum()), int((history.column("sent_ns")[chosen] > 0).sum())
    if phase.seconds > 0:
        measured = f"{sent / phase.seconds:,.1f}/s"
    wrong = _wrong(history, phase, operation, rate_per_s)
    if wrong is not None:
        cause, sentence = wrong
        return _finding(name, phase_name, promised, measured, sentence, cause)
    sentence = f"{sent:,} operations sent"
    if due > sent:
        unsent = chosen & (history.column("sent_ns") == 0)
        sentence += f", {due - sent:,} never{lateness.why(history, unsent)}"
    found = _finding(name, phase_name, promised, measured, sentence)
    if liveness.is_warm_up(phase):
        return replace(found, answer=Answer.MEASURED, sentence=f"not judged: warm-up; {sentence}")
    if not due:
        return replace(found, answer=Answer.MEASURED, sentence=_none_due(history, phase, operation))
    return found


def _none_due(history: History, phase: PhaseWindow, operation: Operation) -> str:
    """Say that a phase, which may have been ended before a stream of it began, had no load."""
    if replay.differences(history, phase, operation) is None or len(history.under_way):
        return "not judged: no operation of it is in the record"
    return "not judged: no operation was due before the phase ended"


def _wrong(
    history: History, phase: PhaseWindow, operation: Operation, rate_per_s: float
) -> tuple[Cause, str] | None:
    """Why the load of a phase was not the planned one; None where it was. In a warm-up it may be
    late, and in chaos that nodes were stopped is the plan.
    """
    differences = replay.differences(history, phase, operation)
    if differences is None:
        due = int(records.in_phase(history, phase, operation).sum())
        differences = _shortfall(phase, rate_per_s, due)
    planned = None if history.plan is None else history.plan.phase(phase.name)
    if planned is not None and planned.end_ns is not None and phase.end_ns < planned.end_ns:
        wanted_s = (planned.end_ns - planned.begin_ns) / 1e9
        differences.insert(0, f"the phase ended after {phase.seconds:.1f} of {wanted_s:g} s")
    if differences:
        return BAD, "; ".join(differences[:3])
    if liveness.is_warm_up(phase):
        return None
    behind = lateness.behind(history, phase, operation)
    is_planned = phase.kind is PhaseKind.CHAOS and behind is not None
    if behind is not None and not (is_planned and behind[0] is Cause.NODE_STOPPED):
        return behind
    chosen = records.in_phase(history, phase, operation)
    own = chosen & (history.column("sent_ns") == 0) & ~lateness.excused(history, phase).all
    due, unsent = int(chosen.sum()), int(own.sum())
    if unsent > due * lateness.UNSENT_SHARE_MAX:
        why = "their source had ended by itself"
        return BAD, f"{unsent:,} of {due:,} operations could not be asked for: {why}"
    return None


def _shortfall(phase: PhaseWindow, rate_per_s: float, due: int) -> list[str]:
    """Why too few operations were made; nothing where they were enough, as far as a rate can say.

    The number of arrivals of a Poisson stream has its mean as variance: three standard deviations
    are 3 · √planned.
    """
    planned = rate_per_s * phase.seconds
    if due + 3 * np.sqrt(planned) + 1 < planned * (1 - PLANNED_TOLERANCE):
        return [f"{due:,} operations were made, {planned:,.0f} were planned"]
    return []


def _finding(
    name: str, phase: str, promised: str, measured: str, sentence: str, cause: Cause | None = None
) -> Finding:
    return Finding(
        name=name,
        answer=Answer.PASS if cause is None else Answer.UNKNOWN,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=cause,
        phase=phase,
    )
