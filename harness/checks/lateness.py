"""Whose fault it was: which operations are none of the system's, because the load generator sent
them late or never, because the harness had stopped a node of theirs, because nothing was there yet
that they could have read, because the gateway held them up, or because a fault stood that was to be
gone. Pure.

Five causes, never mixed. Only times, rates and resources are excused by a generator: what was sent
and is lost, duplicated or wrong is the system's on any host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.checks import fault_times, gateway, records, silences, told_metrics
from harness.checks.metric import Chosen
from harness.checks.operation_metrics import OF_OPERATIONS
from harness.checks.resource_metrics import RESOURCE_METRICS
from harness.checks.silences import FOR_EVER_NS, Stretch
from harness.checks.times import Times
from harness.checks.verdict import Cause
from harness.history.history import History, Nanoseconds, PhaseWindow, once
from harness.history.plan import LATE_NS
from harness.operations import Operation, Outcome
from harness.operations.operation import NO_KEY
from harness.scenario.budget import Row
from harness.scenario.schedule import tick_ns

# The load of a phase was another one than planned where more than a share of its operations were
# sent so late or had nothing to read, or a share was never sent.
BEHIND_NS = 250_000_000
BEHIND_SHARE = 0.01
UNSENT_SHARE_MAX = 0.001
SNAPSHOT_LATE_NS = 250_000_000  # later than this, histograms belong to two phases
PATIENCE_NS = 10_000_000_000  # where the folder does not say how long an operation may take
HELD_SHARE = 0.05  # as of a bound (budget.py), of the time that an operation may take
STOPPING_NS = 1_000_000_000  # from the first failure by a stop until its event
RECONNECT_NS = 250_000_000  # until the generator reaches a node that was away
WAITED = "the promise holds from when the load generator sent, and not from when that was due"
UNSENT = "unsent: "  # begins what a record says of an operation that was never sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Excused:
    """Which operations of a phase are none of the system's, by their cause."""

    behind: Chosen  # the generator never sent them, or late
    stopped: Chosen  # the harness had stopped or paused their source or target meanwhile
    keyless: Chosen  # they were to read, and nothing that they could read was there
    held: Chosen  # the gateway stood still while they were under way
    overrun: Chosen  # a fault of a phase before was still there, which was to be gone

    @property
    def all(self) -> Chosen:
        """All together."""
        return self.behind | self.stopped | self.keyless | self.held | self.overrun

    def of(self, chosen: Chosen) -> Excused:
        """Return those of them that were chosen."""
        return Excused(
            behind=self.behind & chosen,
            stopped=self.stopped & chosen,
            keyless=self.keyless & chosen,
            held=self.held & chosen,
            overrun=self.overrun & chosen,
        )

    def by(self, cause: Cause) -> Excused:
        """Return those of one cause."""
        none = np.zeros_like(self.behind)
        kept = _NAMES[cause]
        return Excused(**dict.fromkeys(_NAMES.values(), none) | {kept: getattr(self, kept)})

    def cause(self) -> Cause:
        """Return the cause of most of them."""
        return max(_NAMES, key=lambda cause: int(getattr(self, _NAMES[cause]).sum()))

    def stops(self, history: History, count: int) -> tuple[Cause, str] | None:
        """Say that the harness stopped more than a little of `count` operations; None: it did
        not.
        """
        if self.stopped.sum() <= count * UNSENT_SHARE_MAX:
            return None
        return _because(Cause.NODE_STOPPED, self, history, count)

    def sentence(self, history: History, count: int) -> str:
        """Say how many of `count` operations are excused by `cause`, and why."""
        if self.cause() is Cause.NODE_STOPPED and not history.ended:
            return (
                f"the run was cut short while {self.stopped.sum():,} of {count:,} operations were "
                "under way"
            )
        if self.cause() is Cause.NOTHING_TO_READ:
            return (
                f"the load generator could not send {self.keyless.sum():,} of {count:,} "
                f"operations: {NO_KEY.removeprefix(UNSENT)}"
            )
        if self.cause() is Cause.GATEWAY_STALLED:
            return (
                f"the gateway, which speaks to the nodes, stood still while {self.held.sum():,} of "
                f"{count:,} operations were under way"
            )
        if self.cause() is Cause.FAULT_OVERRAN:
            return (
                f"a fault that was to be gone by then was still there for {self.overrun.sum():,} "
                f"of {count:,} operations"
            )
        if self.cause() is Cause.NODE_STOPPED:
            return (
                f"the harness had stopped or paused the source or the target of "
                f"{self.stopped.sum():,} of {count:,} operations"
            )
        lag = history.column("sent_ns") - history.column("intended_ns")
        unsent = self.behind & (history.column("sent_ns") == 0)
        late = self.behind & ~unsent
        said = []
        if unsent.any():
            never = f"never sent {unsent.sum():,} of {count:,} operations"
            said.append(never + why(history, unsent))
        if late.any():
            most = _ms(lag[late].max())
            said.append(f"sent {late.sum():,} of {count:,} operations late (by up to {most})")
        return f"the load generator {' and '.join(said)}"


_NAMES = {
    Cause.GENERATOR_BEHIND: "behind",
    Cause.NODE_STOPPED: "stopped",
    Cause.NOTHING_TO_READ: "keyless",
    Cause.GATEWAY_STALLED: "held",
    Cause.FAULT_OVERRAN: "overrun",
}


def excused(history: History, phase: PhaseWindow, late_ns: int = FOR_EVER_NS) -> Excused:
    """Return the operations due in the phase that say nothing of the system.

    What was sent more than `late_ns` after it was due is late, and what the gateway stood still for
    as long meanwhile was held up; so is what nobody knows the end of, for it had less time than it
    was given: by more than a twentieth. What a node could not be asked for
    because it had ended by itself is the system's.
    """
    due = records.due(history, phase)
    late = due & records.where(
        history,
        lambda sent_ns, due_ns: (sent_ns == 0) | (sent_ns - due_ns > late_ns),
        "sent_ns",
        "intended_ns",
    )
    stopped, keyless = due & _stopped(history), due & _keyless(history)
    behind = late & ~stopped & ~keyless & ~_orphaned(history)
    held_ns, given_ns = gateway.held_ns(history, patience_ns(history)), patience_ns(history)
    is_open = history.column("outcome") == Outcome.UNKNOWN
    held = due & ((held_ns > late_ns) | (is_open & (held_ns > given_ns * HELD_SHARE)))
    held &= ~behind & ~stopped & ~keyless
    return Excused(
        behind=behind,
        stopped=stopped & ~keyless,
        keyless=keyless,
        held=held,
        overrun=due & _overrun(history, phase) & ~behind & ~stopped & ~keyless & ~held,
    )


def excused_of(history: History, phase: PhaseWindow, row: Row) -> Excused:
    """Return those of the phase that a row is about: of its operation, where it is about one."""
    found = excused(history, phase, late_ns(row))
    word = row.metric.partition(".")[0]
    for operation in history.kinds:
        if operation.word == word:
            return found.of(history.column("operation") == operation)
    return found


def late_ns(row: Row) -> int:
    """Return from how much on an operation is late for a row, ns; for a row of no time, never."""
    return FOR_EVER_NS if row.bound is None or row.late_ns is None else row.late_ns


def patience_ns(history: History, operation: Operation | None = None) -> int:
    """Return how long an operation, or one of this kind, may take."""
    word = None if operation is None else operation.word
    return (history.plan.patience_ns(word) if history.plan else 0) or PATIENCE_NS


def allowed_ns(history: History) -> int:
    """Return how late the generator was to send at most."""
    return LATE_NS if history.plan is None else max(history.plan.late_ns, LATE_NS)


@once
def behind(
    history: History, phase: PhaseWindow, operation: Operation | None = None
) -> tuple[Cause, str] | None:
    """Say why the load of a phase (all of it, or of one operation) was another one than planned;
    None where it was that.

    Judged whether or not a row is missed: under less load, or under load in bursts, a kept promise
    is none.
    """
    due = records.due(history, phase)
    if operation is not None:
        due &= history.column("operation") == operation
    sent, count = history.column("sent_ns"), int(due.sum())
    found = excused(history, phase, BEHIND_NS).of(due)
    never = found.of(sent == 0)
    late = found.of(sent > 0)
    most_never, most_late = count * UNSENT_SHARE_MAX, count * BEHIND_SHARE + 1
    if never.behind.sum() > most_never:
        return _because(Cause.GENERATOR_BEHIND, never, history, count)
    if late.behind.sum() > most_late:
        lag_ns = float(np.median((sent - history.column("intended_ns"))[due & (sent > 0)]))
        half = f"half of all were more than {_ms(lag_ns)} late"
        cause, said = _because(Cause.GENERATOR_BEHIND, late, history, count)
        return cause, f"{said}; {half}"
    if never.keyless.sum() > most_late:
        return _because(Cause.NOTHING_TO_READ, never, history, count)
    return never.stops(history, count)


def _because(cause: Cause, found: Excused, history: History, count: int) -> tuple[Cause, str]:
    return cause, found.by(cause).sentence(history, count)


def rests_on_load(row: Row) -> bool:
    """Whether a row's value is what it is because of the load: a time, a rate or a resource."""
    if row.metric in RESOURCE_METRICS:
        return row.metric != "pacer.lag"
    of_nodes = row.metric.startswith("node.") or told_metrics.is_told(row.metric)
    of_load = row.metric in OF_OPERATIONS or of_nodes
    return of_load and row.kind in ("time", "rate", "byte rate")


def two_phases(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """Say why the nodes' own numbers of a phase are those of two; None where they are not."""
    is_snapshot = told_metrics.is_snapshot(history, row.metric)
    if not row.metric.startswith("node.") and not is_snapshot:
        return None
    at = [one.name for one in history.phases].index(phase.name)
    for one in history.phases[at : at + 2]:
        if one.late_ns >= SNAPSHOT_LATE_NS:
            return (
                f"phase {one.name} was begun {one.late_ns / 1e6:,.0f} ms late: the nodes' own "
                "numbers were taken then, and are of two phases"
            )
    return None


def tick(history: History, row: Row, phase: PhaseWindow) -> str:
    """Say which part of a time is the generator's own tick, as the end of a sentence; empty where
    it sends each operation by itself.
    """
    plan = history.plan
    if plan is None or not plan.workers or row.kind != "time":
        return ""
    asked = sum(one["asked_per_s"] for one in plan.streams if one["phase"] == phase.name)
    together_ns = tick_ns(asked / plan.workers, plan.late_ns)
    if not together_ns or row.metric not in OF_OPERATIONS:
        return ""
    lag_ns = _median_lag_ns(history, phase)
    if lag_ns is None:
        return ""
    return (
        f"; the load generator sends together what is due within {_ms(together_ns)}: "
        f"{_ms(lag_ns)} of the p50 are its own"
    )


@once
def _median_lag_ns(history: History, phase: PhaseWindow) -> float | None:
    """How late half of the phase's operations were sent; None where none was."""
    sent = records.due(history, phase) & (history.column("sent_ns") > 0)
    if not sent.any():
        return None
    lag = (history.column("sent_ns") - history.column("intended_ns"))[sent]
    return float(np.median(lag))


def as_sent(history: History, chosen: Chosen) -> History:
    """Return these operations alone, as if each had been due when it was sent."""
    sent = history.column("sent_ns")
    intended = np.where(sent > 0, sent, history.column("intended_ns"))
    at = history.operations.schema.get_field_index("intended_ns")
    moved = history.operations.set_column(at, "intended_ns", pa.array(intended))
    return replace(history, operations=moved.filter(pa.array(chosen)))


def _ms(ns: float) -> str:
    """A time as it is shown: three figures, and whole milliseconds from 100 on."""
    return f"{ns / 1e6:,.0f} ms" if ns >= 100_000_000 else f"{ns / 1e6:.3g} ms"


def why(history: History, unsent: Chosen) -> str:
    """Give the reason why most of these were never sent, as the end of a sentence."""
    said = history.operations.column("error").filter(pa.array(unsent)).drop_null()
    if not len(said):
        return ""
    counts = said.cast(pa.string()).value_counts().to_pylist()
    most: str = max(counts, key=lambda one: one["counts"])["values"]
    return f" ({most.removeprefix(UNSENT)})"


@once
def _stopped(history: History) -> Chosen:
    """Which operations were under way while the harness had stopped their source or target; with
    a run that was cut short, every node was stopped.
    """
    away = silences.of(history).away
    found = _touched(history, "source", away) | _touched(history, "target", away)
    if not history.ended:
        found |= _until_ns(history) >= history.phases[-1].end_ns
    return found


@once
def _overrun(history: History, phase: PhaseWindow) -> Chosen:
    """Which operations were under way while a fault stood that was to be gone before the phase."""
    late = [(a, b - 1) for a, b in fault_times.overruns(history) if a <= phase.begin_ns]
    return Times.of(late).meet(history.column("intended_ns"), _until_ns(history))


@once
def _orphaned(history: History) -> Chosen:
    """Which operations could not be sent because their source had ended by itself."""
    ended = silences.of(history).ended
    orphaned: Chosen = (history.column("sent_ns") == 0) & _touched(history, "source", ended)
    return orphaned


@once
def _keyless(history: History) -> Chosen:
    """Which operations were not sent because nothing was there that they could have read."""
    found: Chosen = history.column("sent_ns") == 0
    said = history.operations.column("error").filter(pa.array(found)).cast(pa.string())
    found[found] = pc.fill_null(pc.equal(said, NO_KEY), fill_value=False).to_numpy()
    return found


def _touched(history: History, column: str, stretches: Sequence[Stretch]) -> Chosen:
    """Which operations were under way while the node of this column was not there."""
    nodes, found = history.column(column), np.zeros(history.operations.num_rows, np.bool_)
    times = silences.by_node(stretches, RECONNECT_NS - 1)
    if not times:
        return found
    places = np.flatnonzero(np.isin(nodes, list(times)))
    places = places[np.argsort(nodes[places], kind="stable")]
    since, until = history.column("intended_ns"), _until_ns(history)
    for node, of_node in times.items():
        begin, end = np.searchsorted(nodes[places], [node, node + 1])
        mine = places[begin:end]
        found[mine] = of_node.meet(since[mine], until[mine])
    return found


def _until_ns(history: History) -> Nanoseconds:
    """Until when each operation may have been under way."""
    done, lost = history.column("done_ns"), history.column("outcome") != Outcome.OK
    until: Nanoseconds = np.where(
        done > 0,
        done + lost * STOPPING_NS,
        history.column("intended_ns") + patience_ns(history),
    )
    return until
