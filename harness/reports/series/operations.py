"""What became of operations: outcomes and latencies over time, and a summary of each kind. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.checks import lateness, records, statistic
from harness.checks.operation_metrics import propagation_ns
from harness.checks.statistic import NoValueError
from harness.history.history import History, PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations import Operation, Outcome
from harness.operations.operation import Witness
from harness.reports.series import clock
from harness.reports.series.chart import POINTS, Chart, Floats, Line, Mark, wants_log
from harness.stats import rank_of

Ints = npt.NDArray[np.int64]
DRAWN = ("p50", "p95", "p99")
SUMMARY = ("p50", "p90", "p95", "p99", "p99.9")
FEW = 100  # samples, of which none lies beyond a p99
DATA, WITNESSED = "load/", "journal/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The operations of one kind, in the order of the record. Seconds after time zero.

    `took_ms` is what the verdict judges: infinite where it did not come true, nan of a broadcast
    that was for nobody; `until` tells when it ends. `ended_s`: when its sender was told, or gave it
    up; `is_sent`: whether it was ever sent; `spreads`: it took until the last node had it.
    """

    operation: Operation
    due_s: Floats
    sent_s: Floats
    ended_s: Floats
    took_ms: Floats
    outcome: npt.NDArray[np.uint8]
    is_sent: npt.NDArray[np.bool_]
    until: str = ""
    spreads: bool = False

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Which of them did not come true."""
        return np.asarray(self.outcome != Outcome.OK)

    def became(self, bad: int, of: int) -> str:
        """Say how many of so many took for ever."""
        if self.spreads:
            return f"{bad:,} of {of:,} are not in the journal of each node that was to have it"
        return f"{bad:,} of {of:,} did not come true"


def sent(history: History) -> list[Sent]:
    """Pick the operations of each kind that the run has."""
    kinds = np.unique(history.column("operation"))
    return [_of(history, operation) for operation in history.kinds if int(operation) in kinds]


def _of(history: History, operation: Operation) -> Sent:
    chosen = history.column("operation") == operation
    due, began, done = (
        history.column(name)[chosen] for name in ("intended_ns", "sent_ns", "done_ns")
    )
    # Nobody answered: its sender gave it up when its time was over. What was not sent never began.
    given_up = np.where(began > 0, due + lateness.patience_ns(history, operation), due)
    ended = np.where(done > 0, done, given_up)
    zero = clock.begin_ns(history)
    took, until, spreads = _took_ns(history, operation)
    return Sent(
        operation=operation,
        due_s=(due - zero) / 1e9,
        sent_s=(np.where(began > 0, began, due) - zero) / 1e9,
        ended_s=(ended - zero) / 1e9,
        took_ms=took / 1e6,
        outcome=history.column("outcome")[chosen],
        is_sent=began > 0,
        until=until,
        spreads=spreads,
    )


def _took_ns(history: History, operation: Operation) -> tuple[Floats, str, bool]:
    """How long each operation of a kind took, in ns, until when that is, and whether it is until
    the last of all nodes had it: that no journal can tell that does not keep its record.
    """
    ledger = operation.spec.ledger
    is_broadcast = ledger is not None and ledger.witness is Witness.EVERY_OTHER_NODE
    if ledger is None or not is_broadcast or operation.is_own:
        return records.took_ns(history, records.WHOLE_RUN, operation), "", False
    if ledger.record in history.kept or (history.journal["kind"] == ledger.record).any():
        until = "until the last of the nodes that were to have it had it"
        return propagation_ns(history, records.WHOLE_RUN), until, True
    until = "until its source had passed it on; the journals do not tell how it spread"
    return records.took_ns(history, records.WHOLE_RUN, operation), until, False


def charts(history: History, of: Sequence[Sent]) -> list[Chart]:
    """Compute the charts of all kinds: how many were asked for, how late they were sent, then each
    kind's outcomes and latencies.
    """
    if not of:
        return []
    rates = tuple(
        Line(name=one.operation.word, values=_count(history, one.due_s).astype(np.float64))
        for one in of
    )
    asked = Chart(
        key="asked",
        title="Operations asked for",
        unit="/s",
        at_s=clock.middles(history),
        lines=rates,
        note="by their intended time",
        data=(DATA,),
    )
    found = [asked, lag(history, of)]
    for one in of:
        found += [outcomes(history, one), latency(history, one)]
    return found


def _count(history: History, at_s: Floats) -> Ints:
    """Count moments by the second; those outside the run are left out."""
    length = clock.seconds(history)
    inside = (at_s >= 0) & (at_s < length)
    return np.bincount(at_s[inside].astype(np.int64), minlength=length).astype(np.int64)


def outcomes(history: History, of: Sent) -> Chart:
    """Compute what became of one kind: of each second how many ended in it, and how, and how many
    were under way at its end.
    """
    lines = [
        Line(
            name=name,
            values=_count(history, of.ended_s[of.outcome == outcome]).astype(np.float64),
            look=look,
        )
        for outcome, name, look in (
            (Outcome.OK, "ok", "ok"),
            (Outcome.FAILED, "failed", "failed"),
            (Outcome.UNKNOWN, "unknown", "unknown"),
        )
    ]
    began, ended = (np.maximum(at[of.is_sent], 0) for at in (of.sent_s, of.ended_s))
    under_way = np.cumsum(_count(history, began) - _count(history, ended))
    lines.append(Line(name="in flight", values=under_way.astype(np.float64), look="flight"))
    bad, count = int(of.bad.sum()), len(of.outcome)
    became = f"{bad:,} of {count:,} did not come true" if bad else f"all {count:,} came true"
    return Chart(
        key=f"outcomes-{of.operation.word}",
        title=f"Outcomes of {of.operation.word}",
        unit="operations in a second",
        at_s=clock.middles(history),
        lines=tuple(lines),
        note=f"how many ended in each second, and how; in flight at its end; {became}. "
        "What nobody answered is in flight until its time was over",
        data=(DATA,),
        stacked=True,
    )


def latency(history: History, of: Sent) -> Chart:
    """Compute the percentiles of each second's operations of one kind that came true, and mark the
    seconds in which some did not.
    """
    length = clock.seconds(history)
    good = np.isfinite(of.took_ms) & (of.due_s >= 0) & (of.due_s < length)
    second, took = of.due_s[good].astype(np.int64), of.took_ms[good]
    order = np.lexsort((took, second))
    took, edges = took[order], np.searchsorted(second[order], np.arange(length + 1))
    values = np.full((len(DRAWN), length), np.nan)
    for at in range(length):
        part = took[edges[at] : edges[at + 1]]
        if len(part):
            for number, name in enumerate(DRAWN):
                values[number, at] = part[rank_of(len(part), statistic.PERCENTILES[name]) - 1]
    lines = tuple(Line(name=name, values=row) for name, row in zip(DRAWN, values, strict=True))
    bad, count = int(np.isinf(of.took_ms).sum()), int((~np.isnan(of.took_ms)).sum())
    became = f"{of.became(bad, count)}, in the marked seconds" if bad else f"all {count:,} did"
    what = "what reached all" if of.spreads else "what came true"
    note = f"of {what}, {f'from the intended time {of.until}'.rstrip()}; {became}"
    if len(took) and np.diff(edges).max() < FEW:
        note += f". Of fewer than {FEW} in a second p99 is the slowest"
    return Chart(
        key=f"latency-{of.operation.word}",
        title=f"Latency of {of.operation.word}",
        unit="ms",
        at_s=clock.middles(history),
        lines=lines,
        note=note,
        data=(DATA, WITNESSED) if of.operation.spec.ledger is not None else (DATA,),
        log=wants_log(lines),
        marks=marks(history, of),
    )


def marks(history: History, of: Sent) -> tuple[Mark, ...]:
    """Find the stretches of seconds in which operations were due that took for ever; those that a
    page could not show apart are one.
    """
    bad = _count(history, of.due_s[np.isinf(of.took_ms)])
    due = _count(history, of.due_s[~np.isnan(of.took_ms)])
    found: list[tuple[int, int]] = []
    apart = max(1, clock.seconds(history) // POINTS)
    for second in np.flatnonzero(bad):
        if found and second - found[-1][1] < apart:
            found[-1] = (found[-1][0], int(second) + 1)
        else:
            found.append((int(second), int(second) + 1))
    return tuple(
        Mark(
            from_s=float(begin),
            until_s=min(float(end), clock.end_s(history)),
            says=of.became(int(bad[begin:end].sum()), int(due[begin:end].sum())),
        )
        for begin, end in found
    )


def lag(history: History, of: Sequence[Sent]) -> Chart:
    """Compute how late the load generator sent: of each second the median and the latest."""
    length = clock.seconds(history)
    due = np.concatenate([one.due_s[one.is_sent] for one in of])
    late = np.concatenate([(one.sent_s - one.due_s)[one.is_sent] for one in of]) * 1e3
    inside = (due >= 0) & (due < length)
    second, late = due[inside].astype(np.int64), late[inside]
    order = np.lexsort((late, second))
    late, edges = late[order], np.searchsorted(second[order], np.arange(length + 1))
    median, latest = np.full(length, np.nan), np.full(length, np.nan)
    for at in np.flatnonzero(np.diff(edges)):
        part = late[edges[at] : edges[at + 1]]
        median[at], latest[at] = part[rank_of(len(part), 0.5) - 1], part[-1]
    return Chart(
        key="lag",
        title="How late the load generator sent",
        unit="ms",
        at_s=clock.middles(history),
        lines=(Line(name="median", values=median), Line(name="latest", values=latest)),
        note="after the intended time",
        data=(DATA,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One kind of operation over one phase (empty: the whole run). `percentiles` in ms: infinite
    where too many never came true, None where there are too few; `max_ms` of what came true.
    """

    operation: str
    phase: str
    kind: PhaseKind | None = None
    due: int
    rate_per_s: float
    asked_per_s: float | None
    failed: int
    unknown: int
    percentiles: tuple[float | None, ...]
    max_ms: float | None


def summaries(history: History, of: Sequence[Sent]) -> list[Summary]:
    """Sum up each kind over the run, and over each phase that had some, where there are several."""
    found = []
    for one in of:
        everything = np.ones(len(one.due_s), np.bool_)
        found.append(_summary(history, one, everything, None))
        for phase in history.phases if len(history.phases) > 1 else ():
            begin_s, end_s = (clock.of_s(history, at) for at in (phase.begin_ns, phase.end_ns))
            mine = (one.due_s >= begin_s) & (one.due_s < end_s)
            if mine.any():
                found.append(_summary(history, one, mine, phase))
    return found


def _summary(
    history: History, of: Sent, mine: npt.NDArray[np.bool_], phase: PhaseWindow | None
) -> Summary:
    took, outcome = of.took_ms[mine], of.outcome[mine]
    due, took = len(took), took[~np.isnan(took)]
    good = took[np.isfinite(took)]
    seconds = clock.end_s(history) if phase is None else phase.seconds
    planned = history.planned_per_s
    asked = None if phase is None else planned.get((phase.name, int(of.operation)))
    return Summary(
        operation=of.operation.word,
        phase="" if phase is None else phase.name,
        kind=None if phase is None else phase.kind,
        due=due,
        rate_per_s=due / max(seconds, 1e-9),
        asked_per_s=asked,
        failed=int((outcome == Outcome.FAILED).sum()),
        unknown=int((outcome == Outcome.UNKNOWN).sum()),
        percentiles=tuple(_percentile(took, name) for name in SUMMARY),
        max_ms=float(good.max()) if len(good) else None,
    )


def _percentile(values: Floats, name: str) -> float | None:
    try:
        return statistic.of(values, name)
    except NoValueError:
        return None
