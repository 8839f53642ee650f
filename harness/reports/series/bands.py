"""When something was other than usual: faults in force, nodes that did not run, gaps in the record.
Each is a named band, whose kind is its colour.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.checks import amounts
from harness.checks.fault_times import changes_of
from harness.faults.fault import cut_of
from harness.history.events import FaultChanged, NodeChanged, NodeEnded, NodeStarted
from harness.history.gaps import Gap, Part, Parts
from harness.history.history import History
from harness.history.proof import Proof, ProofAnswer
from harness.reports.series.chart import POINTS
from harness.reports.series.clock import begin_ns, end_s, of_s
from harness.topology.quantities import number

# Word of what a fault does → kind of its band; the first that is there wins.
KINDS = {
    "cut": "cut",
    "half-open": "cut",
    "crashed": "crashed",
    "killed": "killed",
    "stopped": "stopped",
    "restarted": "restarted",
    "paused": "paused",
    "cpu": "slowed",
    "memory": "limited",
    "fds": "limited",
    "disk": "limited",
    "clock": "limited",
    "toxic": "stream",
    "loss": "loss",
    "rate": "rate",
    "up": "rate",
    "down": "rate",
    "delay": "delay",
    "jitter": "delay",
}
CONDITIONS = frozenset({"crashed", "killed", "stopped", "restarted", "paused"})
OTHER = "mixed"
CHURN = "churn"
# Kind → what the key of the colours calls it.
NAMES = {
    "cut": "cut",
    "loss": "loss",
    "delay": "delay",
    "rate": "rate",
    "stream": "stream fault",
    "mixed": "other fault",
    "churn": "churn",
    "stopped": "stopped node",
    "killed": "killed node",
    "crashed": "crashed machine",
    "restarted": "restarted node",
    "paused": "paused node",
    "slowed": "slowed node",
    "limited": "limited node",
    "ended": "node ended by itself",
    "gap": "gap in the record",
}
# What charts are drawn from.
DRAWN: Parts = frozenset({Part.OPERATIONS, Part.JOURNAL, Part.SAMPLES, Part.HOST})
TOGETHER_NS = 1_000_000_000  # nodes whose conditions changed so near each other are one band


class Spell(NamedTuple):
    """From when until when something lasted, CLOCK_MONOTONIC ns; by which fault, if by one."""

    from_ns: int
    until_ns: int
    fault: str = ""


class _What(NamedTuple):
    """What a band is of."""

    name: str
    kind: str
    does: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Something that lasted from one moment to another. Seconds; `shown`: what proofs saw of it,
    as text.
    """

    name: str
    kind: str
    does: str
    from_s: float
    until_s: float
    shown: str = ""
    is_drawn: bool = True  # over the charts; else it is of nothing that they show


def bands(history: History) -> list[Band]:
    """Find all bands in the order in which they came; what the harness did to nodes by a fault is
    the fault's band alone.
    """
    made = [*faults(history), *conditions(history), *gaps(history)]
    return sorted(made, key=lambda one: (one.from_s, one.until_s))


def faults(history: History) -> list[Band]:
    """Find when each fault was in force, in the order in which they came; one that was never taken
    back lasts to the end. All that leave and come back by one churn are one band.
    """
    spells: dict[_What, list[Spell]] = {}
    for change, until_ns in _spells(history):
        spell = Spell(change.set_ns, until_ns, change.fault)
        spells.setdefault(_what(change), []).append(spell)
    looks: dict[str, list[Proof]] = {}
    of = _crashes(history)
    for proof in history.proofs:
        looks.setdefault(of.get(proof.fault, proof.fault), []).append(proof)
    found = _bands(history, spells, lambda mine: _shown(looks, mine))
    return sorted(found, key=lambda one: one.from_s)


def _spells(history: History) -> list[tuple[FaultChanged, int]]:
    """Find each coming of a fault, and when it went or was replaced."""
    found: list[tuple[FaultChanged, int]] = []
    open_: dict[str, FaultChanged] = {}
    for change in sorted(asked_for(history), key=lambda change: change.set_ns):
        begun = open_.pop(change.fault, None)
        if begun is not None:
            found.append((begun, change.set_ns))
        if change.is_set:
            open_[change.fault] = change
    end_ns = history.phases[-1].end_ns if history.phases else 0
    return [*found, *((begun, end_ns) for begun in open_.values())]


def asked_for(history: History) -> list[FaultChanged]:
    """Find the changes of faults that somebody asked for: the cut around a machine that crashed is
    a part of its crash.
    """
    cuts = _crashes(history)
    return [one for one in changes_of(history) if one.fault not in cuts]


def _crashes(history: History) -> dict[str, str]:
    """Find, by the name of the cut around crashed machines, the fault that crashed them."""
    crashed = (one for one in changes_of(history) if kind_of(one.does) == "crashed")
    return {cut_of(one.fault): one.fault for one in crashed}


def _what(change: FaultChanged) -> _What:
    """Name what a fault's band is of. Each node that churns has a fault of its own, named after
    the churn and the node.
    """
    if change.words.startswith(f"{CHURN} of ") and len(change.nodes) == 1:
        name = change.fault.removesuffix(f" {change.nodes[0]}")
        return _What(name, CHURN, change.words)
    return _What(change.fault, kind_of(change.does), change.words or change.does)


def _shown(looks: Mapping[str, Sequence[Proof]], spells: Sequence[Spell]) -> str:
    """Say what looks at faults saw of them while they were in force."""
    by_fault: dict[str, list[Spell]] = {}
    for spell in spells:
        by_fault.setdefault(spell.fault, []).append(spell)
    about: list[Proof] = []
    for fault, mine in by_fault.items():
        begins = [one.from_ns for one in mine]
        for proof in looks.get(fault, ()):
            at = bisect_right(begins, proof.at_ns) - 1
            if at >= 0 and proof.at_ns < mine[at].until_ns:
                about.append(proof)
    told = (ProofAnswer.IN_FORCE, ProofAnswer.AMOUNT_NOT_SHOWN, ProofAnswer.NOT_IN_FORCE)
    numbers = {answer: sum(proof.answer is answer for proof in about) for answer in told}
    said = [f"{count:,} × {answer}" for answer, count in numbers.items() if count]
    return "; ".join([*amounts.seen(about), *said]) or "no look at it"


def _bands(
    history: History,
    of: Mapping[_What, Sequence[Spell]],
    shown: Callable[[Sequence[Spell]], str],
) -> Iterator[Band]:
    """Make the bands of things that came and went; spells of one thing that a page could not show
    apart are one band, which says how often and how long it lasted.
    """
    apart_ns = end_s(history) * 1e9 / POINTS
    for what, spells in of.items():
        together: list[list[Spell]] = []
        until_ns = 0
        for spell in sorted(spells):
            if together and (what.kind == CHURN or spell.from_ns - until_ns < apart_ns):
                together[-1].append(spell)
            else:
                together.append([spell])
            until_ns = max(until_ns, spell.until_ns)
        for some in together:
            yield Band(
                name=f"{what.name}{_often(what.kind, some)}",
                kind=what.kind,
                does=what.does,
                from_s=of_s(history, some[0].from_ns),
                until_s=of_s(history, max(one.until_ns for one in some)),
                shown=shown(some),
            )


def _often(kind: str, spells: Sequence[Spell]) -> str:
    """Say how often something came, and how long it lasted; of a churn how many left, and how many
    were away at once.
    """
    if kind == CHURN:
        moments = [(one.from_ns, 1) for one in spells] + [(one.until_ns, -1) for one in spells]
        most = max(itertools.accumulate(step for _, step in sorted(moments)))
        times = f"{len(spells):,} {'leave' if len(spells) == 1 else 'leaves'}"
        return f" ({times}, at most {most:,} away at once)"
    lasted_s = sum(one.until_ns - one.from_ns for one in spells) / 1e9
    return f" ({len(spells):,} times, {number(lasted_s)} s)" if len(spells) > 1 else ""


def kind_of(does: str) -> str:
    """Find the kind of what a fault does: ``delay 50 ms, loss 1 %`` is a loss."""
    words = {part.strip().partition(" ")[0] for part in does.split(",")}
    return next((kind for word, kind in KINDS.items() if word in words), OTHER)


def conditions(history: History) -> list[Band]:
    """Find when nodes did not run, but for those that a fault had brought into their condition;
    nodes that changed together are one band.
    """
    together: dict[tuple[str, int, int], list[Away]] = {}
    for one in away(history):
        key = (one.kind, one.begin_ns // TOGETHER_NS, one.end_ns // TOGETHER_NS)
        together.setdefault(key, []).append(one)
    spells: dict[_What, list[Spell]] = {}
    last_ns = history.phases[-1].end_ns if history.phases else 0
    for (kind, _, _), some in together.items():
        from_ns = max(min(one.begin_ns for one in some), begin_ns(history))
        until_ns = min(max(one.end_ns for one in some), last_ns)
        spells.setdefault(_condition(kind, some), []).append(Spell(from_ns, until_ns))
    return list(_bands(history, spells, lambda _: "told by the run's events"))


@dataclass(frozen=True, slots=True)
class Away:
    """A node that did not run for a time: one of CONDITIONS, or ended by itself."""

    node: str
    kind: str
    begin_ns: int
    end_ns: int


def away(history: History) -> list[Away]:
    """Find from the events when each node was stopped, paused, or had ended, but for those that a
    fault had brought into their condition.
    """
    by_node: dict[str, list[Spell]] = {}
    for change, until_ns in _spells(history):
        for node in change.nodes if kind_of(change.does) in CONDITIONS else ():
            by_node.setdefault(node, []).append(Spell(change.begun_ns, until_ns, change.fault))
    return [one for one in _away(history) if not _by_fault(by_node.get(one.node, ()), one)]


def _away(history: History) -> list[Away]:
    found: list[Away] = []
    open_: dict[str, tuple[str, int]] = {}
    for event in sorted(history.events, key=lambda one: one.at_ns):
        if not isinstance(event, NodeEnded | NodeStarted | NodeChanged):
            continue
        if event.node in open_:
            kind, begun_ns = open_.pop(event.node)
            found.append(Away(event.node, kind, begun_ns, event.at_ns))
        if isinstance(event, NodeEnded):
            open_[event.node] = ("ended", event.at_ns)
        elif isinstance(event, NodeChanged) and event.condition != "running":
            open_[event.node] = (event.condition, event.since_ns or event.at_ns)
    end_ns = history.phases[-1].end_ns if history.phases else 0
    found += [Away(node, kind, at_ns, end_ns) for node, (kind, at_ns) in open_.items()]
    return [one for one in found if one.begin_ns < end_ns and one.end_ns > begin_ns(history)]


def _by_fault(spells: Sequence[Spell], away: Away) -> bool:
    """Whether a fault brought the node into its condition; `spells` are those of faults on it."""
    begin_ns = away.begin_ns
    return away.kind != "ended" and any(
        one.from_ns - TOGETHER_NS <= begin_ns < one.until_ns for one in spells
    )


def _condition(kind: str, some: Sequence[Away]) -> _What:
    """Name the nodes that did not run."""
    nodes = [one.node for one in some]
    who = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
    listed = ", ".join(nodes[:10]) + (f" and {len(nodes) - 10} more" if len(nodes) > 10 else "")
    name = f"{who} {'ended by itself' if kind == 'ended' else kind}"
    kind = KINDS.get(kind, kind)
    return _What(name, kind if kind in NAMES else OTHER, listed)


def gaps(history: History) -> list[Band]:
    """Find when something was not recorded; gaps of one part and time are one band."""
    together: dict[tuple[str, int, int], list[Gap]] = {}
    last_ns = history.phases[-1].end_ns if history.phases else 0
    for gap in history.gaps:
        from_ns, to_ns = max(gap.from_ns, begin_ns(history)), min(gap.to_ns, last_ns)
        what = ", ".join(sorted(gap.what)) if len(gap.what) < 4 else "many parts"
        if from_ns < to_ns:
            key = (what, from_ns // TOGETHER_NS, to_ns // TOGETHER_NS)
            together.setdefault(key, []).append(gap)
    found = []
    for (what, _, _), some in together.items():
        from_ns = max(min(gap.from_ns for gap in some), begin_ns(history))
        to_ns = min(max(gap.to_ns for gap in some), last_ns)
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        found.append(
            Band(
                name=f"gap: {what}",
                kind="gap",
                does=f"{some[0].why}{more}",
                from_s=of_s(history, from_ns),
                until_s=of_s(history, to_ns),
                shown="what rests on it is UNKNOWN",
                is_drawn=bool(some[0].what & DRAWN),
            )
        )
    return found
