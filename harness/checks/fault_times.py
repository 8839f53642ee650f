"""When faults stood, as executed and as planned. Pure.

What was planned of a fault and what was made of it are paired in order, and by their moments where
there is more of the one than of the other: several faults may have one name, and one that flaps
comes again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.faults.fault import cut_of
from harness.history.events import FaultChanged, spells
from harness.history.history import History, PhaseWindow, once
from harness.history.plan import ChangePlan

# A fault stands for as long as was planned, but for the time that changes take: this share, or 1 s.
OFF_SHARE, OFF_S = 0.1, 1.0
Changed = TypeVar("Changed")
Planned = tuple[ChangePlan, ChangePlan | None]
Stood = tuple[FaultChanged, FaultChanged | None]


def changes_of(history: History) -> list[FaultChanged]:
    """The faults that were set and cleared, as they happened."""
    return [event for event in history.events if isinstance(event, FaultChanged)]


def standing(history: History, fault: str, phase: PhaseWindow) -> list[PhaseWindow]:
    """The stretches of a phase in which a fault stood, as executed."""
    happened = [(one.is_set, one.set_ns) for one in changes_of(history) if one.fault == fault]
    found = spells(happened, phase.end_ns)
    within = ((max(a, phase.begin_ns), min(b, phase.end_ns)) for a, b in found)
    return [PhaseWindow(name=phase.name, begin_ns=a, end_ns=b) for a, b in within if a < b]


def by_hand(history: History, phase: PhaseWindow) -> str:
    """Say which faults stood in a phase that no plan has, for somebody set them, as the end of a
    sentence; empty where none did. The cut around machines that crashed is a part of their crash.
    """
    if history.plan is None:
        return ""
    planned = {one.fault for one in history.plan.changes}
    others = planned | {cut_of(one.fault) for one in changes_of(history)}
    words = {
        one.fault: one.words or one.does
        for one in changes_of(history)
        if one.fault not in others and standing(history, one.fault, phase)
    }
    return f"; faults that somebody set by hand stood: {', '.join(words.values())}" if words else ""


def not_played(history: History, changes: Sequence[FaultChanged]) -> list[ChangePlan]:
    """The planned changes that never happened, though they were due before the run ended; what
    could not be set is not missed when it should go.
    """
    over_ns, planned_all = _over_ns(history), _planned(history)
    made: dict[tuple[str, str], list[int]] = {}
    for change in sorted(changes, key=lambda one: one.begun_ns):
        made.setdefault((change.verb, change.fault), []).append(change.begun_ns)
    wanted: dict[tuple[str, str], list[ChangePlan]] = {}
    for planned in planned_all:
        wanted.setdefault((planned.verb, planned.fault), []).append(planned)
    happened: set[int] = set()
    for key, mine in wanted.items():
        at_ns = [one.at_ns for one in mine]
        happened |= {id(mine[place]) for place in matched(at_ns, made.get(key, ()))}
    found: list[ChangePlan] = []
    never: set[str] = set()  # faults of which the last that was to be set was not
    for planned in planned_all:
        is_missed = id(planned) not in happened and planned.at_ns < over_ns
        if planned.verb == "set":
            (never.add if is_missed else never.discard)(planned.fault)
        if is_missed and (planned.verb == "set" or planned.fault not in never):
            found.append(planned)
    return found


def matched(planned_ns: Sequence[int], made_ns: Sequence[int]) -> Collection[int]:
    """Which of planned moments came true, each by one that was made, in order: those that are the
    nearest to what was made, all together. Both are in order of time.
    """
    count, more = len(made_ns), len(planned_ns) - len(made_ns)
    if more <= 0 or not count:
        return range(len(planned_ns)) if count else ()
    # How far the first ones made are from planned ones at least, with so many of these left out.
    planned = np.array(planned_ns, np.float64)
    costs = [np.zeros(more + 1)]
    for at, made in enumerate(made_ns):
        far = np.abs(planned[at : at + more + 1] - made)
        costs.append(np.minimum.accumulate(costs[-1]) + far)
    found, skipped = [], more
    for at in range(count - 1, -1, -1):
        skipped = int(np.argmin(costs[at + 1][: skipped + 1]))
        found.append(at + skipped)
    return found


@dataclass(frozen=True, slots=True)
class Misplayed:
    """A planned stand of a fault that came late or stood for another time, and from when until when
    it was to, or did. `number` of `count` that were planned of its name; `late_s` and `stood_s` are
    None where they are as planned.
    """

    fault: str
    late_s: float | None
    stood_s: float | None
    wanted_s: float
    begin_ns: int
    end_ns: int
    number: int
    count: int

    def __str__(self) -> str:
        which = f" ({self.number} of {self.count} of this name)" if self.count > 1 else ""
        said = [] if self.late_s is None else [f"came {self.late_s:.1f} s late"]
        if self.stood_s is not None:
            said.append(f"stood for {self.stood_s:.1f} s, planned were {self.wanted_s:.1f} s")
        return f"{self.fault}{which} {' and '.join(said)}"


def misplayed(history: History, changes: Sequence[FaultChanged]) -> Iterator[Misplayed]:
    """The faults that came later, or stood for longer or shorter, than was planned: somebody else
    changed them, or the player could not keep up.

    Each counts from when it began to be changed: how long a node takes to start is the system's.
    What changes of the network took, while it was due and waited for them, is allowed for.
    """
    over_ns, planned = _over_ns(history), _planned(history)
    made = [(one.begun_ns, one.set_ns) for one in changes if not one.nodes]
    for fault in dict.fromkeys(one.fault for one in planned):
        wanted = _stands([(one.verb == "set", one) for one in planned if one.fault == fault])
        stood = _stands([(one.is_set, one) for one in changes if one.fault == fault])
        for number, ((comes, goes), mine) in enumerate(_paired(wanted, stood), 1):
            due_ns = [one.at_ns for one in (comes, goes) if one is not None]
            wanted_s = _lasted_s(comes.at_ns, None if goes is None else goes.at_ns, over_ns)
            ends = [
                # A moment ends as soon as it has come: how long a node takes to stop is its own.
                (one.begun_ns if wanted_s else one.set_ns, None if end is None else end.begun_ns)
                for one, end in mine
            ]
            stood_s = sum(_lasted_s(begin_ns, end_ns, over_ns) for begin_ns, end_ns in ends)
            begun_ns = [one.begun_ns for pair in mine for one in pair if one is not None]
            waited_s = _waited_s(due_ns, begun_ns, made)
            late_s = max((begun_ns[0] - comes.at_ns) / 1e9, 0.0) if begun_ns else 0.0
            is_late = late_s > OFF_S + waited_s
            is_off = abs(stood_s - wanted_s) > max(OFF_SHARE * wanted_s, OFF_S) + waited_s
            if is_late or is_off:
                moments = [*due_ns, *begun_ns, *([over_ns] if goes is None else [])]
                yield Misplayed(
                    fault=fault,
                    late_s=late_s if is_late else None,
                    stood_s=stood_s if is_off else None,
                    wanted_s=wanted_s,
                    begin_ns=min(moments),
                    end_ns=max(moments),
                    number=number,
                    count=len(wanted),
                )


def _waited_s(
    due_ns: Sequence[int], begun_ns: Sequence[int], made: Sequence[tuple[int, int]]
) -> float:
    """How long changes that were due had to wait for others that were being made."""
    return sum(
        max(min(until_ns, end_ns) - max(at_ns, begin_ns), 0) / 1e9
        for at_ns, until_ns in zip(due_ns, begun_ns, strict=False)
        for begin_ns, end_ns in made
    )


def _stands(changes: Sequence[tuple[bool, Changed]]) -> list[tuple[Changed, Changed | None]]:
    """From each coming of a fault to its going; None: nobody took it back."""
    found: list[tuple[Changed, Changed | None]] = []
    since: Changed | None = None
    for comes, change in changes:
        if comes and since is None:
            since = change
        elif not comes and since is not None:
            found.append((since, change))
            since = None
    return found if since is None else [*found, (since, None)]


def _paired(
    wanted: Sequence[Planned], stood: Sequence[Stood]
) -> Iterator[tuple[Planned, Sequence[Stood]]]:
    """Each planned stand with those that were made of it: in order, and where there is more of the
    one than of the other, each by the nearest moment at which one was to come.
    """
    if len(wanted) == len(stood):
        yield from ((one, [mine]) for one, mine in zip(wanted, stood, strict=True))
        return
    mine: list[list[Stood]] = [[] for _ in wanted]
    for one in stood:
        far = [abs(comes.at_ns - one[0].begun_ns) for comes, _ in wanted]
        if far:
            mine[far.index(min(far))].append(one)
    yield from zip(wanted, mine, strict=True)


@once
def overruns(history: History) -> tuple[tuple[int, int], ...]:
    """When a fault stood that was to be gone: from when it was to be cleared until it was, ns; one
    of nodes until that was begun, for how long they take to start is the system's.
    """
    planned = _planned(history)
    found: list[tuple[int, int]] = []
    for fault in dict.fromkeys(one.fault for one in planned):
        wanted = [one.at_ns for one in planned if (one.verb, one.fault) == ("clear", fault)]
        made = [
            (one.is_set, one.begun_ns if one.nodes and not one.is_set else one.set_ns)
            for one in changes_of(history)
            if one.fault == fault
        ]
        stood = spells(made, max((phase.end_ns for phase in history.phases), default=0))
        found += [(at, end) for begin, end in stood for at in wanted if begin < at < end]
    return tuple(found)


def _planned(history: History) -> list[ChangePlan]:
    """What was planned, in order of time."""
    changes = () if history.plan is None else history.plan.changes
    return sorted(changes, key=lambda one: one.at_ns)


def _over_ns(history: History) -> int:
    return history.phases[-1].end_ns if history.phases else 0


def _lasted_s(begin_ns: int, end_ns: int | None, over_ns: int) -> float:
    """How long something stood until the phases were over: what nobody takes back goes later, when
    the last answers have come.
    """
    end_ns = over_ns if end_ns is None else min(end_ns, over_ns)
    return max(end_ns - begin_ns, 0) / 1e9
