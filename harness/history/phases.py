"""Phases are when what was judged of them was due: as planned, earlier where a condition ended one,
and at most until the run ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.history.events import Event, PhaseBegan, over_ns
from harness.history.history import PhaseWindow
from harness.history.plan import Plan


def windows(happened: Sequence[Event], planned: Plan | None) -> tuple[PhaseWindow, ...]:
    """Return the phases that were played, over the times that were planned.

    The load keeps to them by the clock, however late the player was: `late_ns` says it. The end of
    the run ends a phase earlier.
    """
    begun = [event for event in happened if isinstance(event, PhaseBegan)]
    begins = [event.at_ns if event.planned_ns is None else event.planned_ns for event in begun]
    last_ns = over_ns(happened)
    ends = [*begins[1:], last_ns][: len(begins)]  # without a phase there is no end of one
    return tuple(
        _window(event, begin_ns, end_ns, last_ns, planned)
        for event, begin_ns, end_ns in zip(begun, begins, ends, strict=True)
    )


def _window(
    event: PhaseBegan, begin_ns: int, end_ns: int, last_ns: int, planned: Plan | None
) -> PhaseWindow:
    late_ns = event.at_ns - begin_ns
    wanted = None if planned is None else planned.phase(event.phase)
    if wanted is not None:
        begin_ns = wanted.begin_ns
        end_ns = last_ns if wanted.end_ns is None else min(wanted.end_ns, last_ns)
    return PhaseWindow(
        name=event.phase,
        begin_ns=begin_ns,
        end_ns=max(end_ns, begin_ns),
        late_ns=late_ns,
        kind=None if wanted is None else wanted.kind,
        until=None if wanted is None else wanted.until,
    )
