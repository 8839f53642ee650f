"""When something was other than usual: faults in force, nodes that did not run, gaps in the record.
Each is a named band, whose kind is its colour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.checks import amounts
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
    "crashed": "stopped",
    "killed": "stopped",
    "stopped": "stopped",
    "restarted": "stopped",
    "paused": "paused",
    "toxic": "stream",
    "loss": "loss",
    "rate": "rate",
    "up": "rate",
    "down": "rate",
    "delay": "delay",
    "jitter": "delay",
}
OTHER = "mixed"
# Kind → what the key of the colours calls it.
NAMES = {
    "cut": "cut",
    "loss": "loss",
    "delay": "delay",
    "rate": "rate",
    "stream": "stream fault",
    "mixed": "other fault",
    "stopped": "stopped node",
    "paused": "paused node",
    "ended": "node ended by itself",
    "gap": "gap in the record",
}
# What charts are drawn from.
DRAWN: Parts = frozenset({Part.OPERATIONS, Part.JOURNAL, Part.SAMPLES, Part.HOST})
TOGETHER_NS = 1_000_000_000  # nodes whose conditions changed so near each other are one band


Span = tuple[int, int]  # from when until when, CLOCK_MONOTONIC ns


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
    back lasts to the end.
    """
    spans: dict[_What, list[Span]] = {}
    open_: dict[str, FaultChanged] = {}

    def close(begun: FaultChanged, until_ns: int) -> None:
        what = _What(begun.fault, kind_of(begun.does), begun.words or begun.does)
        spans.setdefault(what, []).append((begun.set_ns, until_ns))

    for change in sorted(_changes(history), key=lambda change: change.set_ns):
        begun = open_.pop(change.fault, None)
        if begun is not None:
            close(begun, change.set_ns)
        if change.is_set:
            open_[change.fault] = change
    end_ns = history.phases[-1].end_ns if history.phases else 0
    for begun in open_.values():
        close(begun, end_ns)
    looks: dict[str, list[Proof]] = {}
    for proof in history.proofs:
        looks.setdefault(proof.fault, []).append(proof)
    found = _bands(history, spans, lambda name, mine: _shown(looks.get(name, ()), mine))
    return sorted(found, key=lambda one: one.from_s)


def _changes(history: History) -> list[FaultChanged]:
    return [event for event in history.events if isinstance(event, FaultChanged)]


def _shown(proofs: Sequence[Proof], spans: Sequence[Span]) -> str:
    """Say what looks at a fault saw of it while it was in force."""
    begins = [begin_ns for begin_ns, _ in spans]
    during = [(proof, bisect_right(begins, proof.at_ns) - 1) for proof in proofs]
    about = [proof for proof, at in during if at >= 0 and proof.at_ns < spans[at][1]]
    told = (ProofAnswer.IN_FORCE, ProofAnswer.AMOUNT_NOT_SHOWN, ProofAnswer.NOT_IN_FORCE)
    numbers = {answer: sum(proof.answer is answer for proof in about) for answer in told}
    said = [f"{count:,} × {answer}" for answer, count in numbers.items() if count]
    return "; ".join([*amounts.seen(about), *said]) or "no look at it"


def _bands(
    history: History,
    of: Mapping[_What, Sequence[Span]],
    shown: Callable[[str, Sequence[Span]], str],
) -> Iterator[Band]:
    """Make the bands of things that came and went; spans of one thing that a page could not show
    apart are one band, which says how often and how long it lasted.
    """
    apart_ns = end_s(history) * 1e9 / POINTS
    for what, spans in of.items():
        together: list[list[Span]] = []
        for span in sorted(spans):
            if together and span[0] - together[-1][-1][1] < apart_ns:
                together[-1].append(span)
            else:
                together.append([span])
        for some in together:
            lasted_s = sum(until_ns - from_ns for from_ns, until_ns in some) / 1e9
            often = f" ({len(some):,} times, {number(lasted_s)} s)" if len(some) > 1 else ""
            yield Band(
                name=f"{what.name}{often}",
                kind=what.kind,
                does=what.does,
                from_s=of_s(history, some[0][0]),
                until_s=of_s(history, some[-1][1]),
                shown=shown(what.name, some),
            )


def kind_of(does: str) -> str:
    """Find the kind of what a fault does: ``delay 50 ms, loss 1 %`` is a loss."""
    words = {part.strip().partition(" ")[0] for part in does.split(",")}
    return next((kind for word, kind in KINDS.items() if word in words), OTHER)


def conditions(history: History) -> list[Band]:
    """Find when nodes did not run, but for those that a fault had brought into their condition;
    nodes that changed together are one band.
    """
    by_node: dict[str, list[FaultChanged]] = {}
    for change in sorted(_changes(history), key=lambda change: change.set_ns):
        for node in change.nodes:
            by_node.setdefault(node, []).append(change)
    together: dict[tuple[str, int, int], list[_Away]] = {}
    for one in _away(history):
        if not _by_fault(by_node.get(one.node, ()), one):
            key = (one.kind, one.begin_ns // TOGETHER_NS, one.end_ns // TOGETHER_NS)
            together.setdefault(key, []).append(one)
    spans: dict[_What, list[Span]] = {}
    last_ns = history.phases[-1].end_ns if history.phases else 0
    for (kind, _, _), some in together.items():
        from_ns = max(min(one.begin_ns for one in some), begin_ns(history))
        until_ns = min(max(one.end_ns for one in some), last_ns)
        spans.setdefault(_condition(kind, some), []).append((from_ns, until_ns))
    return list(_bands(history, spans, lambda *_: "told by the run's events"))


@dataclass(frozen=True, slots=True)
class _Away:
    """A node that did not run for a time."""

    node: str
    kind: str
    begin_ns: int
    end_ns: int


def _away(history: History) -> list[_Away]:
    """Find from the events when each node was stopped, paused, or had ended."""
    found: list[_Away] = []
    open_: dict[str, tuple[str, int]] = {}
    for event in sorted(history.events, key=lambda one: one.at_ns):
        if not isinstance(event, NodeEnded | NodeStarted | NodeChanged):
            continue
        if event.node in open_:
            kind, begun_ns = open_.pop(event.node)
            found.append(_Away(event.node, kind, begun_ns, event.at_ns))
        if isinstance(event, NodeEnded):
            open_[event.node] = ("ended", event.at_ns)
        elif isinstance(event, NodeChanged) and event.condition != "running":
            open_[event.node] = (event.condition, event.since_ns or event.at_ns)
    end_ns = history.phases[-1].end_ns if history.phases else 0
    found += [_Away(node, kind, at_ns, end_ns) for node, (kind, at_ns) in open_.items()]
    return [one for one in found if one.begin_ns < end_ns and one.end_ns > begin_ns(history)]


def _by_fault(changes: Sequence[FaultChanged], away: _Away) -> bool:
    """Whether a fault in force brought the node into its condition; `changes` are those that were
    about the node, in order.
    """
    until_ns = away.begin_ns + TOGETHER_NS
    last = next((one for one in reversed(changes) if one.begun_ns <= until_ns), None)
    return away.kind != "ended" and last is not None and last.is_set


def _condition(kind: str, some: Sequence[_Away]) -> _What:
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
