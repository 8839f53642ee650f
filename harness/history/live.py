"""A look at a run under way: its history as if the run had ended at a moment T, a little ago.

T is two seconds before the newest sample of the host, which the supervisor takes once a second: by
then load workers, nodes and supervisor have written what they had seen until T. A planned change
of a fault that is being made holds T back, and so does a load that nobody set an end to, until its
newest operation. Phases that begin after T are outside, one under way ends at T; of the folder's
end (its manifest, closed files, what nodes tell of themselves at a phase's end) nothing is missing
yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from harness.history.events import (
    Event,
    FaultChanged,
    PhaseBegan,
    PhaseEnded,
    PhasesOver,
    RunEnded,
)
from harness.history.gaps import CHANGING_NS, Gap, Part
from harness.history.growing import Growing
from harness.history.history import HOST, OPERATIONS, History
from harness.history.plan import Plan
from harness.history.reader import Folder, history_of

WRITTEN_NS = 2_000_000_000  # by then whoever writes has written what it saw
AT_PHASE_ENDS = frozenset({Part.HISTOGRAMS, Part.GAUGES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A history as of a moment: `at_ns` is T, `t0_ns` when the first phase began, both
    CLOCK_MONOTONIC; `later` names the phases that were to begin after T.
    """

    history: History
    t0_ns: int
    at_ns: int
    later: tuple[str, ...]
    has_ended: bool  # the run was closed, and nothing but its manifest comes

    @property
    def at_s(self) -> float:
        """Seconds into the run."""
        return (self.at_ns - self.t0_ns) / 1e9


def look(files: Growing, facts: Mapping[str, Any]) -> Look | None:
    """Look at a run under way by what is new in its files; None where it is too young."""
    folder = Folder(files, facts)
    happened = folder.events()
    planned = folder.plan(happened)
    written, _ = files.batches("host.arrow", HOST)
    if planned is None or not written:
        return None
    newest_ns = max(int(pc.max(one.column("at_ns")).as_py() or 0) for one in written[-2:])
    at_ns = _moment(files, planned, happened, newest_ns)
    if at_ns <= planned.t0_ns:
        return None
    journals = folder.journals([*happened, Event(at_ns=newest_ns)])
    folder.facts = _facts(facts, planned, at_ns)
    found = history_of(folder, list(_happened(happened, at_ns, newest_ns)), journals)
    return Look(
        history=_without_ends(found, at_ns),
        t0_ns=planned.t0_ns,
        at_ns=at_ns,
        later=tuple(one.name for one in planned.phases if one.begin_ns >= at_ns),
        has_ended=any(isinstance(event, RunEnded) for event in happened),
    )


def _moment(files: Growing, planned: Plan, happened: Sequence[Event], newest_ns: int) -> int:
    """Choose T."""
    at_ns = newest_ns - WRITTEN_NS
    made = Counter((one.verb, one.fault) for one in happened if isinstance(one, FaultChanged))
    for change in planned.changes:
        key = (change.verb, change.fault)
        if made[key]:
            made[key] -= 1
        elif at_ns - CHANGING_NS < change.at_ns:
            at_ns = min(at_ns, change.at_ns)
    for phase in planned.phases:
        if phase.end_ns is None and phase.begin_ns < at_ns and _has_load(planned, phase.name):
            newest = (
                int(pc.max(batch.column("intended_ns")).as_py() or 0)
                for name in files.names("load/operations-*.arrow")
                for batch in files.batches(name, OPERATIONS)[0][-2:]
            )
            at_ns = min(at_ns, max(newest, default=0) + 1)
    return at_ns


def _has_load(planned: Plan, phase: str) -> bool:
    return any(stream["phase"] == phase for stream in planned.streams)


def _facts(facts: Mapping[str, Any], planned: Plan, at_ns: int) -> dict[str, Any]:
    """What metadata.json would say had only the phases begun before T been planned, the last of
    them without an end.
    """
    begun: list[dict[str, Any]] = []
    for said, phase in zip(facts["plan"], planned.phases, strict=True):
        if phase.begin_ns < at_ns:
            is_over = phase.end_ns is not None and phase.end_ns < at_ns
            begun.append({**said} if is_over else {**said, "end_s": None, "duration_s": None})
    return {**facts, "plan": begun}


def _happened(events: Sequence[Event], at_ns: int, newest_ns: int) -> Iterator[Event]:
    """What happened before T, and the run's end at T, with the journals as they are now. Of nodes
    everything is told: that one was stopped later may excuse what was under way.
    """
    for event in events:
        if isinstance(event, PhaseBegan):
            begin_ns = event.at_ns if event.planned_ns is None else event.planned_ns
        elif isinstance(event, FaultChanged):
            begin_ns = event.set_ns
        elif isinstance(event, PhaseEnded):
            begin_ns = event.end_ns
        elif isinstance(event, PhasesOver | RunEnded):
            continue
        else:
            begin_ns = 0
        if begin_ns < at_ns:
            yield event
    yield PhasesOver(at_ns=at_ns)
    yield RunEnded(at_ns=at_ns, journals_ns=newest_ns)


def _without_ends(found: History, at_ns: int) -> History:
    """The history without what was due after T, and without the gaps that only its end closes."""
    due = np.asarray(found.column("intended_ns")) < at_ns
    names = {phase.name for phase in found.phases}
    assert found.plan is not None
    changes = tuple(change for change in found.plan.changes if change.at_ns < at_ns)
    return replace(
        found,
        plan=replace(found.plan, changes=changes),
        operations=found.operations.filter(due),
        planned_per_s={key: at for key, at in found.planned_per_s.items() if key[0] in names},
        gaps=tuple(gap for gap in found.gaps if not _closes_later(gap, at_ns)),
        sealed=True,
    )


def _closes_later(gap: Gap, at_ns: int) -> bool:
    """Whether a gap is that nodes tell of themselves only at the end of the phase under way."""
    return gap.what <= AT_PHASE_ENDS and gap.to_ns == at_ns
