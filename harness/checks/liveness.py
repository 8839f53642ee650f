"""Of which operations it is judged that they came true, by the kinds of the phases in which they
were due. Pure.

Safety (nothing wrong may happen) is judged of every operation, whenever it was due. Liveness (what
is asked for happens) is not judged in a warm-up, nor in chaos but by the rows that name the phase.
"""

from __future__ import annotations

import numpy as np

from harness.checks import records
from harness.checks.metric import Chosen
from harness.history.history import History, PhaseWindow, once
from harness.history.plan import PhaseKind


@once
def judged(history: History) -> Chosen:
    """Return the operations of which what every run is held to asks that they came true."""
    found = np.ones(history.operations.num_rows, np.bool_)
    for phase in history.phases:
        if not is_judged(phase):
            found &= ~records.due(history, phase)
    return found


def is_judged(phase: PhaseWindow) -> bool:
    """Whether what every run is held to asks that operations of this phase came true."""
    return phase.kind is None or phase.kind.judges_liveness


def is_warm_up(phase: PhaseWindow | None) -> bool:
    """Whether a phase is one that no row judges."""
    return phase is not None and phase.kind is PhaseKind.WARM_UP


def why_not(history: History, chosen: Chosen) -> str:
    """Say in which phases those of the chosen operations were due that are not judged, as a part of
    a sentence: ``in phase cut (chaos)``; empty where all are.
    """
    named = [
        f"{phase.name} ({phase.kind})"
        for phase in history.phases
        if not is_judged(phase) and (chosen & records.due(history, phase)).any()
    ]
    return f"in phase {', '.join(named[:3])}" if named else ""
