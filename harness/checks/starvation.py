"""Whether nodes hardly got a core, because others had them: then a system's own times run out, and
what it gives up, refuses or forgets says nothing of it. Only what it must never do is its own on
any host. Pure.
"""

from __future__ import annotations

import numpy as np

from harness.checks import host, lateness, record, records
from harness.checks.host import LOOKED_AT_NS, STARVED_SHARE
from harness.checks.metric import Chosen
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import CAME_TRUE
from harness.checks.resource_metrics import waited
from harness.checks.times import Times
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.operations import Outcome
from harness.scenario.budget import Row

COVERAGE = "broadcast.coverage"
OF_NODES = frozenset({Part.GAUGES, Part.METRICS})
HOST, SAMPLES = frozenset({Part.HOST}), frozenset({Part.SAMPLES})


def is_of_nodes(row: Row) -> bool:
    """Whether a row is about what nodes tell of themselves: links, members."""
    return bool(OF_NODES & METRICS[row.metric].needs)


def feels_it(row: Row) -> bool:
    """Whether what a system gave up can make a row be missed."""
    return row.metric in CAME_TRUE or row.metric == COVERAGE or is_of_nodes(row)


def between(history: History, begin_ns: int, end_ns: int) -> str:
    """Say for how long nodes were starved in a stretch; empty: they were not."""
    found = [one for one in _stretches(history) if one[0] < end_ns and one[1] > begin_ns]
    if not found:
        return ""
    lasted_ns = sum(min(to_ns, end_ns) - max(from_ns, begin_ns) for from_ns, to_ns, _ in found)
    worst = max((used for *_, used in found), key=lambda used: used.waited)
    return f"for {lasted_ns / 1e9:.0f} of {(end_ns - begin_ns) / 1e9:.0f} s, {worst.sentence}"


def of(history: History, row: Row, phase: PhaseWindow) -> tuple[Chosen, str]:
    """Return which operations a node gave up, or that came after their time, or not everywhere, and
    that were under way while nodes were starved, and the sentence of it; none where the row does
    not feel it. What had no answer, never came, and travels without its sender is lost on any host.
    """
    none = np.zeros(history.operations.num_rows, np.bool_)
    patience_ns = lateness.patience_ns(history)
    said = between(history, phase.begin_ns, phase.end_ns + patience_ns) if feels_it(row) else ""
    if not said:
        return none, ""
    times = Times.of([(from_ns, to_ns - 1) for from_ns, to_ns, _ in _stretches(history)])
    found = times.meet(history.column("intended_ns"), host.until_ns(history))
    found &= records.due(history, phase)
    if row.metric != COVERAGE:
        outcome = history.column("outcome")
        unanswered = found & (outcome == Outcome.UNKNOWN)
        by_senders = [
            int(one)
            for one in history.kinds
            if one.spec.ends_with_its_sender or one.word in history.given_up
        ]
        ended = unanswered & np.isin(history.column("operation"), by_senders)
        found = (found & (outcome == Outcome.FAILED)) | ended | host.came(history, unanswered)
    return found, said


def beside(history: History, row: Row, phase: PhaseWindow) -> str:
    """Say of a share that was missed how much of that nodes gave up while they were starved, and
    how much is lost on any host, as the end of a sentence; empty where they were not.
    """
    if row.metric not in CAME_TRUE:
        return ""
    word = row.metric.partition(".")[0]
    kind = next((int(one) for one in history.kinds if one.word == word), 0)
    missed = records.due(history, phase) & (history.column("operation") == kind)
    missed &= history.column("outcome") != Outcome.OK
    late = missed & of(history, row, phase)[0]
    if not late.any():
        return ""
    lost = (missed & ~late).sum()
    return (
        f"; of {missed.sum():,} that did not come true {late.sum():,} came late or were given up "
        f"while nodes hardly got a core, and {lost:,} would be lost on any host"
    )


def untold(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """Say what is missing that could show that nodes were starved; None where nothing is."""
    if not feels_it(row):
        return None
    return untold_between(history, phase.begin_ns, phase.end_ns + lateness.patience_ns(history))


def untold_between(history: History, begin_ns: int, end_ns: int) -> str | None:
    """Say what is missing that could show that nodes were starved in a stretch; None: nothing."""
    window = PhaseWindow(name="", begin_ns=begin_ns, end_ns=end_ns)
    if missing := record.lacking(history, HOST, window):
        # Of nodes that are known to have had their cores, nobody has to say who had them.
        return (
            missing
            if record.lacking(history, SAMPLES, window) or _waited(history, window)
            else None
        )
    for from_ns, to_ns, used in host.by_second(history):
        if used.may_starve and from_ns < end_ns and to_ns > begin_ns:
            second = PhaseWindow(name="", begin_ns=from_ns, end_ns=to_ns)
            if missing := record.lacking(history, SAMPLES, second):
                return missing
    return None


def _waited(history: History, window: PhaseWindow) -> bool:
    """Whether some node hardly got a core for two seconds, whoever had them."""
    return any(
        waited(history, PhaseWindow(name="", begin_ns=at_ns, end_ns=at_ns + LOOKED_AT_NS))
        >= STARVED_SHARE
        for at_ns in range(window.begin_ns, window.end_ns, LOOKED_AT_NS)
    )


def _stretches(history: History) -> list[tuple[int, int, host.HostUse]]:
    return [one for one in host.by_second(history) if one[2].starved]
