"""Whether the load was what the scenario asked for: as many operations as planned, and nearly
all of them sent.
"""

from __future__ import annotations

import numpy as np

from harness.checks import records
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, PhaseWindow
from harness.operations import Operation

PLANNED_TOLERANCE = 0.01  # a Poisson stream's own spread is allowed on top
UNSENT_SHARE_MAX = 0.001


def check(history: History) -> list[Finding]:
    """One finding for each operation that a phase planned: UNKNOWN (load not delivered) where it
    fell short.
    """
    return [
        _planned(history, phase_name, Operation(number), rate_per_s)
        for (phase_name, number), rate_per_s in history.planned_per_s.items()
    ]


def _planned(history: History, phase_name: str, operation: Operation, rate_per_s: float) -> Finding:
    phase = history.phase(phase_name)
    if phase is None:
        measured, sentence, short = "–", "the phase was not played", True
    else:
        chosen = records.in_phase(history, phase, operation)
        due, sent = int(chosen.sum()), int((history.column("sent_ns")[chosen] > 0).sum())
        measured = f"{sent / phase.seconds:,.1f}/s"
        why = _shortfall(phase, rate_per_s, due, sent)
        sentence, short = why or f"{sent:,} operations sent", why is not None
    return Finding(
        name=f"load: {operation.word}",
        answer=Answer.UNKNOWN if short else Answer.PASS,
        promised=f"{rate_per_s:,g}/s",
        measured=measured,
        sentence=sentence,
        cause=Cause.LOAD_NOT_DELIVERED if short else None,
        phase=phase_name,
    )


def _shortfall(phase: PhaseWindow, rate_per_s: float, due: int, sent: int) -> str | None:
    """Why the load of a phase was not the planned one; None where it was.

    The number of arrivals of a Poisson stream has its mean as variance: three standard deviations
    are 3 · √planned.
    """
    planned = rate_per_s * phase.seconds
    if due + 3 * np.sqrt(planned) + 1 < planned * (1 - PLANNED_TOLERANCE):
        return f"{due:,} operations were made, {planned:,.0f} were planned"
    if due - sent > due * UNSENT_SHARE_MAX:
        return (
            f"{due - sent:,} of {due:,} operations were never sent: the way to the nodes was "
            "blocked"
        )
    return None
