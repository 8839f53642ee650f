"""Executed is what was done to the faults of a run, as its events tell: each change at the moment
at which it began to be made, on the nodes and paths that the fault was on. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from harness.errors import BadFileError
from harness.faults.fault import Condition, Fault, Verb, cut_of
from harness.history.events import Event, FaultChanged, RunEnded
from harness.scenario.timeline import PlannedChange, Timeline, in_order

EARLY_S = 10.0  # before its first phase a run has begun at most: its clock is started 3 s before


def changes(
    happened: Iterable[Event],
    kept: Mapping[int, Fault],
    planned: Timeline,
    t0_ns: int,
    lines: Sequence[int] | None = None,
) -> tuple[PlannedChange, ...]:
    """Return the changes of faults as they were made, in seconds from `t0_ns`. What nobody took
    back stood while the last answers came, too: it is not cleared before the run is closed. The cut
    around machines that crashed is a part of their crash, which makes it again.

    `kept`: the faults by their numbers in faults.jsonl; an older folder has none, and its planned
    faults are known by their names. A fault that stood when the run began has a time before it.
    `lines`: the numbers of the events' lines; None: from 1 on. Raises BadFileError for a fault of
    which nothing says on which paths it was, and for changes that no run can have made.
    """
    found: list[PlannedChange] = []
    standing: dict[str, Fault] = {}
    came: dict[str, int] = {}  # name → how often it was set
    faults = (*kept.values(), *planned.faults)
    parts = {cut_of(one.name) for one in faults if one.condition is Condition.CRASHED}
    events = list(happened)
    numbered = zip(count(1) if lines is None else lines, events, strict=False)
    told = [(at, one) for at, one in numbered if isinstance(one, FaultChanged)]
    _require_in_order(told, t0_ns, _closed_ns(events))
    for _, event in sorted(told, key=lambda one: one[1].begun_ns):
        if event.fault in parts:
            continue
        at_s, name = (event.begun_ns - t0_ns) / 1e9, event.fault
        if event.is_set:
            fault = kept.get(event.resolved) or _by_name(planned, name, came.get(name, 0))
            if name in standing:  # it takes the place of that one, and is one of its own
                fault = replace(fault)
            came[name], standing[name] = came.get(name, 0) + 1, fault
            found.append(PlannedChange(at_s=at_s, verb=Verb.SET, fault=fault))
        elif (gone := standing.pop(name, None)) is not None:
            found.append(PlannedChange(at_s=at_s, verb=Verb.CLEAR, fault=gone))
    return in_order(found)


def _require_in_order(
    told: Iterable[tuple[int, FaultChanged]], t0_ns: int, closed_ns: float
) -> None:
    """Raise BadFileError for a change that began outside of its run, or before the one of the same
    fault whose line is before its own.

    Lines of one fault are written as its changes are made, one after the other. What network and
    nodes have of one name are two faults, and one may begin while the other is made.
    """
    last: dict[tuple[str, bool], tuple[int, FaultChanged]] = {}
    for line, event in told:
        what = f"line {line}: {event.verb} of {event.fault!r} began at {_s(event.begun_ns - t0_ns)}"
        if not t0_ns - EARLY_S * 1e9 <= event.begun_ns <= closed_ns:
            closed = "" if closed_ns == math.inf else f", at {_s(closed_ns - t0_ns)}"
            raise BadFileError(
                f"{what}; expected a moment of the run, which began at 0 s, until it was closed"
                f"{closed}"
            )
        key = event.fault, bool(event.nodes)
        before, earlier = last.get(key, (line, event))
        if event.begun_ns < earlier.begun_ns:
            raise BadFileError(
                f"{what}, before the {earlier.verb} of line {before}, which began at "
                f"{_s(earlier.begun_ns - t0_ns)}; expected them in the order in which they were "
                "made"
            )
        last[key] = line, event


def _closed_ns(happened: Sequence[Event]) -> float:
    """When the run was closed; infinity where no event says it."""
    return next((one.at_ns for one in happened if isinstance(one, RunEnded)), math.inf)


def _s(ns: float) -> str:
    return f"{ns / 1e9:,.3f} s"


def _by_name(planned: Timeline, name: str, number: int) -> Fault:
    """Return the fault of the `number`-th planned change, from 0, that sets one of this name."""
    sets = [
        change.fault
        for change in planned.changes
        if change.verb is Verb.SET and change.fault.name == name
    ]
    if number >= len(sets):
        raise BadFileError(
            f"fault {name!r} was set by hand, and the folder, which is of an older version, does "
            "not say on which nodes and paths: it cannot be played again"
        )
    return sets[number]
