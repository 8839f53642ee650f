"""The phases of a run: what each is for, when it was, what ended it, and what of it is judged."""

from __future__ import annotations

from harness.history.events import ends_ns
from harness.history.history import History, PhaseWindow
from harness.history.plan import PhaseKind, PhasePlan, judged_of
from harness.reports.html.elements import Column, escape, table
from harness.reports.series import clock
from harness.topology.quantities import number

COLUMNS = (
    Column("phase"),
    Column("from – until", is_number=True),
    Column("lasted", is_number=True),
    Column("what ended it"),
    Column("what is judged of it"),
)
CUT_SHORT_NS = 1_000_000  # a phase that ended earlier than planned by more was cut short


def listed(history: History) -> str:
    """List the phases; empty where there is one, which has no kind."""
    phases = history.phases
    if len(phases) < 2 and not any(one.kind for one in phases):
        return ""
    return table(COLUMNS, (_row(history, phase) for phase in phases), "phases")


def named(phase: str, kind: PhaseKind | None) -> str:
    """Name a phase, and its kind with the colour that it has in charts."""
    if kind is None:
        return escape(phase)
    return f'<span class="swatch k-{kind}"></span>{escape(phase)} <span class=soft>({kind})</span>'


def _row(history: History, phase: PhaseWindow) -> tuple[str, ...]:
    begin_s, end_s = (clock.of_s(history, at_ns) for at_ns in (phase.begin_ns, phase.end_ns))
    planned = None if history.plan is None else history.plan.phase(phase.name)
    return (
        named(phase.name, phase.kind),
        f"{begin_s:.1f} – {end_s:.1f} s",
        f"{number(round(end_s - begin_s, 2))} s",
        escape(_ended(history, phase, planned)),
        escape(judged_of(phase.kind, phase.until)),
    )


def _ended(history: History, phase: PhaseWindow, planned: PhasePlan | None) -> str:
    """Say what ended a phase: its condition, its time, or the end of the run before that."""
    planned_ns = None if planned is None else planned.end_ns
    is_short = planned_ns is not None and planned_ns - phase.end_ns > CUT_SHORT_NS
    if phase.until is not None:
        most_s = None if planned is None else planned.at_most_s
        bounded = "" if most_s is None else f", at most {number(most_s)} s"
        held = "it held" if phase.name in ends_ns(history.events) else "it was not seen to hold"
        return f"until {phase.until}{bounded}: {'cut short' if is_short else held}"
    if planned_ns is None:
        return "the end of the run" if phase is history.phases[-1] else "the next one"
    return "cut short" if is_short else "its time"
