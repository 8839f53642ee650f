"""What was profiled while the run was recorded, and what of the rows that leaves open. Pure.

A profiler takes time of what it looks at, and one that works inside of it takes memory too: a row
that is missed with what was under way meanwhile, and kept without it, is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.checks import host, lateness
from harness.checks import rows as budget
from harness.checks.metrics import METRICS, taken_over
from harness.checks.operation_metrics import OF_OPERATIONS, TIMES
from harness.checks.resource_metrics import RESOURCE_METRICS
from harness.checks.times import Times
from harness.checks.verdict import Answer, Cause, Finding
from harness.checks.watched import OF_NODES
from harness.history.events import ProfileBegan, ProfileEnded
from harness.history.history import History, PhaseWindow, once
from harness.operations import Outcome
from harness.operations.operation import Witness
from harness.scenario.budget import Row

FOR_EVER_NS = 2**62
SETTLES_NS = 1_000_000_000  # what had piled up behind a process that was held is worked off
FUNCTIONS_NAMED = 2
LAG = "pacer.lag"  # of operations, as their sender had them


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One that was begun: when, until when, and what came of it (None: the run does not say)."""

    began: ProfileBegan
    ended: ProfileEnded | None

    @property
    def until_ns(self) -> int:
        """When it had ended; a run that was cut short does not say it."""
        return FOR_EVER_NS if self.ended is None else self.ended.at_ns

    @property
    def words(self) -> str:
        """Whom it was of, and by what."""
        return f"{self.began.who} (by {self.began.tool})"


@once
def profiles(history: History) -> tuple[Profile, ...]:
    """Every profile that was begun during a run, in order."""
    ended = {one.number: one for one in history.events if isinstance(one, ProfileEnded)}
    return tuple(
        Profile(began=one, ended=ended.get(one.number))
        for one in history.events
        if isinstance(one, ProfileBegan)
    )


def check(history: History) -> list[Finding]:
    """One finding a profile: that it was taken, when, and what it shows; or why it was not."""
    begun = profiles(history)
    numbers = {one.began.number for one in begun}
    never = [
        one for one in history.events if isinstance(one, ProfileEnded) and one.number not in numbers
    ]
    return [*(_taken(history, one) for one in begun), *map(_not_taken, never)]


def _taken(history: History, profile: Profile) -> Finding:
    began, ended = profile.began, profile.ended
    zero_ns = history.phases[0].begin_ns if history.phases else began.at_ns
    from_s = (began.at_ns - zero_ns) / 1e9
    until = "the end of the run" if ended is None else f"{(ended.at_ns - zero_ns) / 1e9:.1f} s"
    said = f"{began.why}, from {from_s:.1f} s to {until}: it perturbs what is measured"
    if began.is_inside:
        said += ", and the memory, threads and connections of whom it is of"
    if ended is None or not ended.file:
        why = "" if ended is None else f": {ended.error}"
        return _finding(began.who, began.tool, "not taken", f"{said}; it was not taken{why}")
    hottest = [
        f"{name} {share:.0%}" for name, share in list(ended.hottest.items())[:FUNCTIONS_NAMED]
    ]
    said += f"; it used {ended.cpu_ns / 1e9:.2f} s of CPU itself"
    said += f"; most in {', '.join(hottest)}" if hottest else ""
    said += f"; not of all its processes: {ended.error}" if ended.error else ""
    measured = f"{ended.count:,} {ended.unit}"
    return _finding(began.who, began.tool, measured, f"{said}; {ended.graph}")


def _not_taken(ended: ProfileEnded) -> Finding:
    return _finding(ended.who, ended.tool, "not taken", f"it was not taken: {ended.error}")


def _finding(who: str, tool: str, measured: str, sentence: str) -> Finding:
    return Finding(
        name=f"profile of {who}, by {tool}",
        answer=Answer.MEASURED,
        promised="–",
        measured=measured,
        sentence=sentence,
    )


def rows(history: History, asked: Sequence[Row]) -> list[Finding]:
    """The findings of the budget's rows, each of which says what was profiled meanwhile."""
    mine = [row for row in asked if row.conditions.scenario in (None, history.name)]
    found = budget.check(history, asked)
    return [_told(history, row, one) for row, one in zip(mine, found, strict=True)]


def _told(history: History, row: Row, found: Finding) -> Finding:
    """The finding of a row; UNKNOWN where a profiler may have made it what it is."""
    beside = _beside(history, row) if _feels_it(row) else []
    if not beside or found.answer in (Answer.UNKNOWN, Answer.NOT_ASKED):
        return found
    phase = history.phase(row.conditions.phase)
    is_over = phase is not None and any(one.until_ns < phase.begin_ns for one in beside)
    when = "meanwhile or before" if is_over else "meanwhile"
    said = f"{' and '.join(dict.fromkeys(one.words for one in beside))} profiled {when}"
    if found.answer is not _worse(row) or _stands(history, row, found.answer, beside):
        return replace(found, sentence=f"{found.sentence}; {said}")
    why = f"{said}; without what that touches it would not be {found.answer}"
    return replace(found, answer=Answer.UNKNOWN, cause=Cause.PROFILED, sentence=why, value=None)


def _stands(history: History, row: Row, answer: Answer, beside: Sequence[Profile]) -> bool:
    """Whether a row has its answer also without what a profile touched: the operations that were
    under way during it, or, of a row about each node, those that were profiled, and the time after
    it began.
    """
    metric = METRICS[row.metric]
    if metric.over is not None:
        return False
    if metric.by_node:
        return answer is Answer.FAIL and (
            _fails_elsewhere(history, row, beside) or _failed_before(history, row, beside)
        )
    if row.metric not in OF_OPERATIONS and row.metric != LAG:
        return False
    without = _without(history, beside)
    return budget.check(without, [row])[0].answer is answer


def _fails_elsewhere(history: History, row: Row, beside: Sequence[Profile]) -> bool:
    """Whether some node that was not profiled misses the row by itself."""
    profiled = {one.began.who for one in beside}
    named = history.nodes if row.conditions.node is None else (row.conditions.node,)
    rows_of = (
        replace(row, conditions=replace(row.conditions, node=node))
        for node in named
        if node not in profiled
    )
    return any(budget.check(history, [one])[0].answer is Answer.FAIL for one in rows_of)


def _failed_before(history: History, row: Row, beside: Sequence[Profile]) -> bool:
    """Whether a row about the most that a node had was missed before the first profile began: what
    came then takes nothing of that back.
    """
    if row.statistic != "max" or row.metric not in OF_NODES:
        return False
    began_ns = min(one.began.at_ns for one in beside)
    before = history.samples.filter(pc.less(history.samples.column("at_ns"), began_ns))
    return budget.check(replace(history, samples=before), [row])[0].answer is Answer.FAIL


def _feels_it(row: Row) -> bool:
    """Whether a row is about what a process that is slower, or larger, makes another."""
    return (
        lateness.rests_on_load(row)
        or row.metric in RESOURCE_METRICS
        or host.feels_it(row)
        or host.ends_slowly(row) is not None
    )


def _worse(row: Row) -> Answer:
    """The answer that a profiler can be to blame for: it makes times longer and uses memory and
    CPU, and it makes rates and shares lower.
    """
    is_raised = row.kind == "time" or row.metric in TIMES or row.metric in RESOURCE_METRICS
    is_kept = row.comparison in ((">", ">=") if is_raised else ("<", "<="))
    return Answer.PASS if is_kept else Answer.FAIL


def _beside(history: History, row: Row) -> list[Profile]:
    """The profiles that were under way while a row was measured, and of a row about what nodes use
    also those that left something inside before: a library, memory that was never given back.
    """
    phase = history.phase(row.conditions.phase)
    if phase is None:
        return []
    windows = taken_over(history, row.metric, phase)
    stays = row.metric in RESOURCE_METRICS
    return [
        one
        for one in profiles(history)
        if any(_meets(one, window, stays=stays and one.began.is_inside) for window in windows)
    ]


def _meets(profile: Profile, window: PhaseWindow, *, stays: bool) -> bool:
    begins_ns, ends_ns = profile.began.at_ns, profile.until_ns + SETTLES_NS
    if stays:
        ends_ns = FOR_EVER_NS
    return begins_ns < window.end_ns and ends_ns > window.begin_ns


def _without(history: History, beside: Sequence[Profile]) -> History:
    times = Times.of([(one.began.at_ns, one.until_ns + SETTLES_NS) for one in beside])
    done, intended = history.column("done_ns"), history.column("intended_ns")
    is_open = (history.column("outcome") != Outcome.OK) | (done == 0)
    for (
        operation
    ) in history.kinds:  # until the last has heard of it, the sender was told long before
        ledger = operation.spec.ledger
        if ledger is not None and ledger.witness is Witness.EVERY_OTHER_NODE:
            is_open |= history.column("operation") == operation
    until = np.where(is_open, intended + lateness.patience_ns(history), done)
    kept = ~times.meet(intended, until)
    return replace(history, operations=history.operations.filter(pa.array(kept)))
