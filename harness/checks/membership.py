"""Membership: a dead node is suspected by all in bounded time, and no living one is suspected for
longer. Pure.

Who suspects whom is told by journals: of systems that report the failures of members, by every
other node; of nodes that keep links, by the neighbours of the topology, to whom a link that is gone
is a suspicion. Judged is what two nodes could know of each other: while the one that looks ran and
journalled, and no fault of the network, nor a limit of a node, was on a path between the two. What
is due once that has been so for as long as the bound is the system's; what the record ends before,
nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks import deaths, host, liveness, reach, records, silences, vacuity
from harness.checks.times import free
from harness.checks.verdict import Answer, Cause, Finding
from harness.faults.fault import cut_of
from harness.history.events import spells
from harness.history.history import History
from harness.operations.records import RecordKind
from harness.topology.quantities import number

DEAD = "membership: a dead node is suspected by all in time"
LIVING = "membership: no living node is suspected for longer"
WITHIN_NS = 10_000_000_000  # the bound where the scenario says none


@dataclass(frozen=True, slots=True)
class View:
    """The two kinds of records by which nodes tell of others. `of_links`: of the neighbours of the
    topology, and of all of them from the beginning of each journal on.
    """

    suspects: RecordKind
    holds: RecordKind
    of_links: bool


VIEWS = (
    View(RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED, of_links=False),
    View(RecordKind.LINK_DOWN, RecordKind.LINK_UP, of_links=True),
)


@dataclass(frozen=True, slots=True)
class Case:
    """What one node was to know of another, from a moment on. `wrong`: what it did instead, empty:
    it did right; `is_open`: the record ends before that can be told.
    """

    from_ns: int
    wrong: str = ""
    is_open: bool = False


def check(history: History, within_ns: int = WITHIN_NS) -> list[Finding]:
    """A finding of the dead, and one of the living; none where there was nothing to know."""
    told = views(history)
    if not told:
        why = "journals of this run have no records of which nodes are held to be alive"
        return [_finding(LIVING, Answer.UNKNOWN, "each", "not told", why, Cause.NOT_MEASURED)]
    seen = [Sight(history, view, within_ns) for view in told]
    dead = [case for one in seen for case in one.of_the_dead()]
    living = [case for one in seen for case in one.of_the_living()]
    return [*_judged(history, DEAD, dead, within_ns), *_judged(history, LIVING, living, within_ns)]


def views(history: History) -> list[View]:
    """The kinds of records by which nodes of this run tell of others."""
    return [view for view in VIEWS if {view.suspects, view.holds} <= history.kept]


class Sight:
    """What each node knew of the others, by one view."""

    def __init__(self, history: History, view: View, within_ns: int) -> None:
        self._history, self._view, self._within_ns = history, view, within_ns
        silent = silences.of(history)
        phases = [one for one in history.phases if not liveness.is_warm_up(one)]
        self._begin_ns, self._over_ns = (
            (phases[0].begin_ns, phases[-1].end_ns) if phases else (0, 0)
        )
        self._gone, self._stops = _grouped(silent.gone), silent.stops
        # While a node could neither know nor tell, or was not there to be known.
        self._unable = _grouped((*silent.away, *silent.gone, *silent.mute))
        stands = reach.stands(history)
        # The cut around a crash comes with the end of its nodes, and goes before they run.
        cuts = {cut_of(stand.change.fault) for stand in stands if stand.is_an_end}
        self._disturbed = [
            (vacuity.touched(history, stand.change), (stand.change.begun_ns, stand.gone_ns))
            for stand in stands
            if not stand.is_an_end and stand.change.fault not in cuts
        ]
        self._told = _told(history, view)

    def of_the_dead(self) -> Iterator[Case]:
        """Each death, to each other node that could know of it until it was due to."""
        for dead, gone in self._gone.items():
            for begin_ns, end_ns in gone:
                if self._begin_ns <= begin_ns < self._over_ns:
                    stopped_ns = (at for at in self._stops.get(dead, ()) if begin_ns <= at < end_ns)
                    due_ns = next(stopped_ns, begin_ns) + self._within_ns
                    back_ns = deaths.until_ns(self._history, dead, begin_ns)
                    until_ns = min(end_ns, self._over_ns, back_ns)
                    for node in self._others(dead):
                        yield from self._death(node, dead, begin_ns, due_ns, until_ns)

    def _death(
        self, node: int, dead: int, begin_ns: int, due_ns: int, until_ns: int
    ) -> Iterator[Case]:
        """Yield whether a node suspected a dead one in time, and went on to; nothing where it need
        not have.
        """
        last_ns = min(due_ns, until_ns)
        busy = [*self._unable.get(node, ()), *self._disturbances(node, dead)]
        if _meet(busy, (begin_ns, last_ns)):
            return
        told = self._told.get((node, dead), ())
        if self._view.of_links and all(suspects or at_ns > begin_ns for suspects, at_ns in told):
            return  # it never held it, of which the living tell
        suspicions = self._suspicions(node, dead)
        who = f"{self._name(dead)}, which died {self._seconds(begin_ns)} s into the run"
        if self._is_held(suspicions, last_ns):
            over_ns = min([until_ns, *(at_ns for at_ns, _ in busy if at_ns > last_ns)])
            alive = list(free(suspicions, (last_ns, over_ns)))
            long = next(((a, b) for a, b in alive if b - a > self._within_ns), None)
            if long is not None:
                seconds = number((long[1] - long[0]) / 1e9)
                what = f"{self._name(node)} took back for {seconds} s that it suspected {who}"
                yield Case(long[0], what)
            else:
                yield Case(begin_ns, is_open=bool(alive) and alive[-1][1] == self._over_ns)
        elif until_ns >= due_ns:
            is_back = _meet(suspicions, (begin_ns, last_ns))
            what = "took back that it suspected" if is_back else "did not suspect"
            yield Case(begin_ns, f"{self._name(node)} {what} {who}")
        elif until_ns >= self._over_ns:
            yield Case(begin_ns, is_open=True)

    def of_the_living(self) -> Iterator[Case]:
        """Each node of which another one told, or was to, while that could know that it ran."""
        nodes = range(len(self._history.nodes))
        pairs: Iterable[tuple[int, int]] = self._told
        if self._view.of_links and self._told:
            pairs = ((node, other) for node in nodes for other in self._others(node))
        for node, other in pairs:
            if node != other:
                yield from self._life(node, other)

    def _life(self, node: int, other: int) -> Iterator[Case]:
        """How a node held another one that ran, in each stretch in which it could know that."""
        busy = [
            *self._unable.get(node, ()),
            *self._unable.get(other, ()),
            *self._disturbances(node, other),
        ]
        suspicions = self._suspicions(node, other)
        for begin_ns, end_ns in free(busy, (self._begin_ns, self._over_ns)):
            both = [(max(a, begin_ns), min(b, end_ns)) for a, b in suspicions]
            held = [(a, b) for a, b in both if a < b]
            long = next(((a, b) for a, b in held if b - a > self._within_ns), None)
            if long is not None:
                seconds = number((long[1] - long[0]) / 1e9)
                what = f"{self._name(node)} suspected {self._name(other)}, which ran, for"
                yield Case(long[0], f"{what} {seconds} s")
            elif held and held[-1][1] == self._over_ns:
                yield Case(held[-1][0], is_open=True)
            elif end_ns - begin_ns > self._within_ns:
                yield Case(begin_ns)

    def _others(self, node: int) -> Sequence[int]:
        """Who is to know of a node, and of whom it is to know."""
        if not self._view.of_links:
            return [other for other in range(len(self._history.nodes)) if other != node]
        ends = (pair for pair in self._history.links if node in pair)
        return sorted(one if other == node else other for one, other in ends)

    def _suspicions(self, node: int, other: int) -> list[tuple[int, int]]:
        """When a node held another one to be dead. A new life of it knows nothing of what the one
        before told; where its journal begins with all that it holds, it holds nobody before.
        """
        begins = (0, *(begin_ns for begin_ns, _ in self._gone.get(node, ())))
        changes = [(self._view.of_links, at_ns) for at_ns in begins]
        changes += self._told.get((node, other), ())
        return spells(sorted(changes, key=lambda one: one[1]), self._over_ns)

    def _disturbances(self, node: int, other: int) -> list[tuple[int, int]]:
        """When a fault was on a path between two nodes, or may have been."""
        return [times for paths, times in self._disturbed if paths is None or paths[node, other]]

    def _is_held(self, suspicions: Iterable[tuple[int, int]], at_ns: int) -> bool:
        """Whether one of these goes on at a moment; one that nobody took back, until the end."""
        return any(a <= at_ns and (at_ns < b or b == self._over_ns) for a, b in suspicions)

    def _seconds(self, at_ns: int) -> str:
        return number((at_ns - self._begin_ns) / 1e9)

    def _name(self, node: int) -> str:
        return self._history.nodes[node]


def _told(history: History, view: View) -> Mapping[tuple[int, int], list[tuple[bool, int]]]:
    """What each node told of each other one: that it suspects it (else holds it), and when."""
    journal = history.journal
    about = np.flatnonzero(np.isin(journal["kind"], (view.suspects, view.holds)))
    order = {int(name): node for node, name in enumerate(records.beginnings(history))}
    columns = (journal[name][about].tolist() for name in ("node", "peer", "kind", "at_ns"))
    found: dict[tuple[int, int], list[tuple[bool, int]]] = {}
    for node, peer, kind, at_ns in zip(*columns, strict=True):
        if peer in order:
            found.setdefault((node, order[peer]), []).append((kind == view.suspects, at_ns))
    return found


def _grouped(stretches: Iterable[silences.Stretch]) -> dict[int, list[tuple[int, int]]]:
    """The stretches of each node that has any."""
    found: dict[int, list[tuple[int, int]]] = {}
    for one in stretches:
        found.setdefault(one.node, []).append((one.begin_ns, one.end_ns))
    return found


def _meet(some: Iterable[tuple[int, int]], other: tuple[int, int]) -> bool:
    """Whether one of some stretches shares a moment with another one."""
    return any(begin_ns <= other[1] and end_ns >= other[0] for begin_ns, end_ns in some)


def _judged(history: History, name: str, cases: Sequence[Case], within_ns: int) -> list[Finding]:
    """The finding of some cases; none where there are none. What was due while others had the host,
    or the gateway stood still, is nobody's fault.
    """
    wrong = [case for case in cases if case.wrong]
    excuses = [host.excuse(history, case.from_ns, case.from_ns + within_ns) for case in wrong]
    faults = [case for case, excuse in zip(wrong, excuses, strict=True) if excuse is None]
    open_ = sum(case.is_open for case in cases)
    each, bound = f"{len(cases):,}", f"{number(within_ns / 1e9)} s"
    promised = f"{each} of {each} within {bound}"
    if faults:
        return [_finding(name, Answer.FAIL, promised, f"{len(faults):,} not", faults[0].wrong)]
    if wrong and excuses[0] is not None:
        cause, why = excuses[0]
        said = f"{wrong[0].wrong}; {why}"
        return [_finding(name, Answer.UNKNOWN, promised, f"{len(wrong):,} not", said, cause)]
    if open_:
        said = f"of {open_:,} pairs of nodes the record ends before {bound} were over"
        told = f"{open_:,} not told"
        return [_finding(name, Answer.UNKNOWN, promised, told, said, Cause.NOT_MEASURED)]
    if not cases:
        return []
    said = "each node knew it of each that it was to know of, as its own journal says"
    return [_finding(name, Answer.PASS, promised, f"{each} of {each}", said)]


def _finding(
    name: str,
    answer: Answer,
    promised: str,
    measured: str,
    sentence: str,
    cause: Cause | None = None,
) -> Finding:
    return Finding(
        name=name,
        answer=answer,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=cause,
    )
