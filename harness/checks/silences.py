"""When a node did not run and when it could not journal, because the harness stopped it or because
it ended: told by the run's events, once for all checks. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from harness.checks import records
from harness.checks.metric import Chosen
from harness.checks.times import Times
from harness.history.events import (
    Event,
    NodeChanged,
    NodeEnded,
    NodeReadiness,
    NodeStarted,
    PhasesOver,
    RunEnded,
)
from harness.history.history import History, once
from harness.operations.operation import SPREADING_NS  # who is stopped meanwhile is not due it
from harness.operations.records import RecordKind

FOR_EVER_NS = 1 << 62
Ran = NodeStarted | NodeChanged  # the events of a node that runs again


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of one node. CLOCK_MONOTONIC ns, both ends in it."""

    node: int
    begin_ns: int
    end_ns: int


def by_node(stretches: Iterable[Stretch], longer_ns: int = 0) -> dict[int, Times]:
    """The times of each node that has any; each ends so much later."""
    found: dict[int, list[tuple[int, int]]] = {}
    for one in stretches:
        found.setdefault(one.node, []).append((one.begin_ns, one.end_ns + longer_ns))
    return {node: Times.of(some) for node, some in found.items()}


@dataclass(frozen=True, slots=True)
class Silences:
    """`away`: the harness had stopped or paused the node, or did not wait until it was ready.
    `unready`: it ran, and was not ready. `ended`: it had ended by itself. `gone`: it had no
    process, for either reason. `mute`: it did not journal, though it may have received: from its
    end until its journal went on. `stops`: node → when the harness had stopped it, in order.
    `over_ns`: when all journals ended.
    """

    away: tuple[Stretch, ...]
    unready: tuple[Stretch, ...]
    ended: tuple[Stretch, ...]
    gone: tuple[Stretch, ...]
    mute: tuple[Stretch, ...]
    stops: Mapping[int, Sequence[int]]
    over_ns: int

    def lives(
        self, nodes: npt.NDArray[np.integer[Any]], at_ns: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """In which life of its node each moment is: how often the harness had stopped it before.
        One that ended by itself is to know what it had.
        """
        found = np.zeros(len(nodes), np.int64)
        for node, stops_ns in self.stops.items():
            mine = nodes == node
            found[mine] = np.searchsorted(stops_ns, at_ns[mine])
        return found

    def during(
        self, history: History, chosen: Chosen, nodes: npt.NDArray[np.integer[npt.NBitBase]]
    ) -> Chosen:
        """Which of the chosen operations were under way while their node was mute."""
        sent, done = history.column("sent_ns")[chosen], history.column("done_ns")[chosen]
        found = np.zeros(len(nodes), np.bool_)
        for node, times in by_node(self.mute).items():
            mine = nodes == node
            found[mine] = times.meet(sent[mine], done[mine])
        return found | self.spreading(history, chosen)

    def anybody_during(self, history: History, chosen: Chosen) -> Chosen:
        """Which of the chosen operations were under way while some node was mute."""
        sent, done = history.column("sent_ns")[chosen], history.column("done_ns")[chosen]
        some = Times.of([(one.begin_ns, one.end_ns) for one in self.mute])
        return some.meet(sent, done) | self.spreading(history, chosen)

    def spreading(self, history: History, chosen: Chosen) -> Chosen:
        """Which of the chosen operations may have been on their way when all journals ended, though
        their senders called them done.
        """
        later = [int(one) for one in history.kinds if one.spec.arrives_later]
        is_late: Chosen = history.column("sent_ns")[chosen] + SPREADING_NS > self.over_ns
        return is_late & np.isin(history.column("operation")[chosen], later)

    def due(self, history: History, chosen: Chosen) -> npt.NDArray[np.bool_]:
        """Who is to receive each of the chosen broadcasts (a row each, a column a node): all but
        its source, and those that the harness kept from running while it spread.
        """
        sent = history.column("sent_ns")[chosen]
        found = np.ones((len(sent), len(history.nodes)), np.bool_)
        for node, times in by_node((*self.away, *self.mute)).items():
            found[times.meet(sent, sent + SPREADING_NS), node] = False
        found[np.arange(len(sent)), history.column("source")[chosen]] = False
        return found

    def expected(self, history: History, chosen: Chosen) -> npt.NDArray[np.bool_]:
        """Of whom the journals must tell that they received each of the chosen broadcasts: whoever
        was due it; where it still spread when all journals ended, those of whom they do.
        """
        found = self.due(history, chosen)
        if (spread := self.spreading(history, chosen)).any():
            heard = records.heard_ns(history, RecordKind.RECEIVED, chosen) != records.NEVER
            found[spread] &= heard[spread]
        return found


@once
def of(history: History) -> Silences:
    """The silences of a run. A node that ended by itself is not away: that is a finding of its own
    (nodes.py), and what it was due is judged.
    """
    unready = tuple(_unready(history))
    hurried = (stretch for stretch, awaited in unready if not awaited)
    return Silences(
        away=(*_stretches(_until_it_ran(history, _stopped_ns)), *hurried),
        unready=tuple(stretch for stretch, _ in unready),
        ended=_stretches(_until_it_ran(history, _ended_ns)),
        gone=_stretches(_until_it_ran(history, _gone_ns)),
        mute=tuple(_mute(history)),
        stops=_stops(history),
        over_ns=_over_ns(history),
    )


def _over_ns(history: History) -> int:
    """When all journals ended. A run that does not say kept them until its phases were over."""
    ends = [event for event in history.events if isinstance(event, RunEnded | PhasesOver)]
    said = [event.journals_ns for event in ends if isinstance(event, RunEnded)]
    return max(said, default=0) or min((event.at_ns for event in ends), default=0) or FOR_EVER_NS


def _stops(history: History) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for event in sorted(history.events, key=lambda event: event.at_ns):
        if isinstance(event, NodeChanged) and event.is_down:
            found.setdefault(history.index(event.node), []).append(event.at_ns)
    return found


def _until_it_ran(
    history: History, begun_ns: Callable[[Event], int | None]
) -> Iterator[tuple[int, int, Ran | None]]:
    """Each stretch from an event that begins one until the node ran: its node, its begin, and the
    event of its end; None where the node did not run again.
    """
    since: dict[int, int] = {}
    for event in sorted(history.events, key=lambda event: event.at_ns):
        if not isinstance(event, NodeStarted | NodeChanged | NodeEnded):
            continue
        node, begin_ns = history.index(event.node), begun_ns(event)
        if begin_ns is not None:
            since.setdefault(node, begin_ns)
        elif _is_running(event) and node in since:
            yield node, since.pop(node), event
    yield from ((node, begin_ns, None) for node, begin_ns in since.items())


def _mute(history: History) -> Iterator[Stretch]:
    """Each stretch from a node's end until its journal went on, or until nobody knows, where it ran
    again and could not journal. What was paused never ceased to keep it.
    """
    since: dict[int, int] = {}
    unheard: set[int] = set()
    for event in sorted(history.events, key=lambda event: event.at_ns):
        if not isinstance(event, NodeStarted | NodeChanged | NodeEnded):
            continue
        node, begin_ns = history.index(event.node), _stopped_ns(event) or _ended_ns(event)
        if begin_ns is not None:
            since.setdefault(node, begin_ns)
        elif isinstance(event, NodeStarted) and not event.has_journal:
            since.setdefault(node, event.since_ns or event.at_ns)
            unheard.add(node)
        elif isinstance(event, NodeStarted):
            if node in since:
                yield Stretch(node, since[node], event.journals_ns or event.at_ns)
            unheard.discard(node)
            since.pop(node, None)
        elif node not in unheard:
            since.pop(node, None)
    yield from (Stretch(node, since[node], FOR_EVER_NS) for node in sorted(unheard))


def _unready(history: History) -> Iterator[tuple[Stretch, bool]]:
    """Each stretch in which a node ran and was not ready, and whether that was waited for."""
    open_: dict[int, NodeReadiness] = {}
    for event in sorted(history.events, key=lambda event: event.at_ns):
        is_other = isinstance(event, NodeChanged) and not event.is_down  # a pause is no start
        if is_other or not isinstance(event, NodeReadiness | Ran | NodeEnded):
            continue
        node = history.index(event.node)
        if before := open_.pop(node, None):
            yield Stretch(node, before.at_ns, event.at_ns), before.awaited
        if isinstance(event, NodeReadiness) and not event.ready:
            open_[node] = event
    for node, event in open_.items():
        yield Stretch(node, event.at_ns, FOR_EVER_NS), event.awaited


def _stretches(
    found: Iterator[tuple[int, int, Ran | None]],
) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(node, begin_ns, FOR_EVER_NS if again is None else again.at_ns)
        for node, begin_ns, again in found
    )


def _stopped_ns(event: Event) -> int | None:
    """Since when the harness kept a node from running, where this event tells of that."""
    if isinstance(event, NodeChanged) and event.condition != "running":
        return event.since_ns or event.at_ns
    return None


def _ended_ns(event: Event) -> int | None:
    """When a node ended by itself, where this event tells of that."""
    return event.at_ns if isinstance(event, NodeEnded) else None


def _gone_ns(event: Event) -> int | None:
    """Since when a node's process is not there, where this event tells of that."""
    if isinstance(event, NodeChanged) and not event.is_down:
        return None
    return _stopped_ns(event) or _ended_ns(event)


def _is_running(event: Event) -> TypeGuard[Ran]:
    return isinstance(event, NodeStarted) or (
        isinstance(event, NodeChanged) and event.condition == "running"
    )
