"""Of which operations it is judged that they came true, by the kinds of the phases in which they
were due. Pure.

Safety (nothing wrong may happen) is judged of every operation, whenever it was due. Liveness (what
is asked for happens) is not judged in a warm-up, nor in chaos but by the rows that name the phase,
and where a phase ends when a condition holds, until then by that condition alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.checks import convergence, records
from harness.checks.metric import Chosen
from harness.history.history import History, PhaseWindow, once
from harness.history.plan import PhaseKind


@once
def judged(history: History) -> Chosen:
    """Return the operations of which what every run is held to asks that they came true."""
    found = np.ones(history.operations.num_rows, np.bool_)
    for window in _open(history):
        found &= ~records.due(history, window)
    return found


def _open(history: History) -> Iterator[PhaseWindow]:
    """Yield the stretches of which nobody asks that: warm-ups, chaos, and where a condition was to
    end a phase all until it held, for that is judged by itself.
    """
    for phase in history.phases:
        if phase.kind is not None and not phase.kind.judges_liveness:
            yield phase
        elif phase.until is not None:
            held_ns = convergence.held_ns(history, phase)
            yield phase if held_ns is None else replace(phase, end_ns=held_ns)


def is_warm_up(phase: PhaseWindow | None) -> bool:
    """Whether a phase is one that no row judges."""
    return phase is not None and phase.kind is PhaseKind.WARM_UP


def why_not(history: History, chosen: Chosen) -> str:
    """Say in which phases those of the chosen operations were due that are not judged, as a part of
    a sentence: ``in phase cut (chaos)``; empty where all are.
    """
    named = [
        f"{one.name} ({'until it held' if one.until else one.kind})"
        for one in _open(history)
        if (chosen & records.due(history, one)).any()
    ]
    return f"in phase {', '.join(named[:3])}" if named else ""
