"""A gap is a stretch of a run in which something was not recorded.

Readers find gaps where a file is torn, missing or not as it was; the functions here find those
that only show when the record is held against itself. All are pure. Which answers rest on what is
missing is the business of checks/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.history.events import (
    DOWN,
    FaultChanged,
    NodeChanged,
    NodeEnded,
    NodeStarted,
    RunEnded,
    ends_ns,
    over_ns,
    spells,
)
from harness.history.plan import moment_ns

if TYPE_CHECKING:
    from harness.history.history import History, Nanoseconds, PhaseWindow

SAMPLED_SHARE_LEAST = 0.9  # samples of a node ÷ the seconds that it lived in a phase
SAMPLES_APART_NS = 3_000_000_000  # they are taken once a second
LOOKS_APART_NS = 6_000_000_000  # the prover looks every two seconds at what stands
SHORT_NS = 250_000_000  # a phase that lacks less was played as planned
CHANGING_NS = 10_000_000_000  # so long what an event tells of may have been under way before it
END_NS = 2**63 - 1


class Part(StrEnum):
    """What a run folder holds, by what rests on it."""

    METADATA = "metadata"
    EVENTS = "events"
    PLAN = "plan"
    BUDGET = "budget"
    TOPOLOGY = "topology"
    OPERATIONS = "operations"
    JOURNAL = "journal"
    SAMPLES = "samples"
    HOST = "host"
    HISTOGRAMS = "histograms"
    GAUGES = "gauges"
    METRICS = "metrics"
    FAULTS = "faults"
    PROOFS = "proofs"
    MEASUREMENTS = "measurements"


Parts = frozenset[Part]
EVERYTHING: Parts = frozenset(Part)
ALWAYS: Parts = frozenset({Part.METADATA, Part.EVENTS})  # what every answer rests on
# What is recorded as the run goes on.
RECORDED: Parts = EVERYTHING - {
    *(Part.METADATA, Part.EVENTS, Part.PLAN, Part.BUDGET, Part.TOPOLOGY, Part.FAULTS),
    Part.MEASUREMENTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch in which something was not recorded; `why` is a sentence.

    Times are CLOCK_MONOTONIC ns, the end is not in it. `of` are names of nodes; empty: of all.
    """

    what: Parts
    of: tuple[str, ...] = ()
    from_ns: int = 0
    to_ns: int = END_NS
    why: str

    def touches(
        self, needs: Parts, begin_ns: int = 0, end_ns: int = END_NS, node: str | None = None
    ) -> bool:
        """Whether something that is needed of these times (and of this node alone) is missing."""
        return (
            bool(self.what & needs)
            and self.from_ns < end_ns
            and self.to_ns > begin_ns
            and (node is None or not self.of or node in self.of)
        )


def found(history: History, facts: Mapping[str, Any]) -> list[Gap]:
    """Find the gaps that show when a history is held against itself and its metadata."""
    lived = lives(history, facts)
    return [
        *of_phases(history, facts),
        *of_samples(history, lived),
        *of_host(history),
        *of_histograms(history),
        *of_journals(history),
        *of_proofs(history),
    ]


def of_phases(history: History, facts: Mapping[str, Any]) -> Iterator[Gap]:
    """Find what was planned and not played: the end of a phase, or of the run."""
    last_ns = history.phases[-1].end_ns if history.phases else 0
    if facts["load"].get("interrupted"):
        yield Gap(what=RECORDED, from_ns=last_ns - 1, why="the run was interrupted")
    elif not history.ended:
        yield Gap(what=RECORDED, from_ns=last_ns - 1, why="the run was cut short")
    at_ns, ended_ns, early_ns = facts.get("t0_ns", 0), ends_ns(history.events), 0
    for planned in facts.get("plan", ()):
        begin_s = planned.get("begin_s")
        begin_ns = at_ns if begin_s is None else moment_ns(facts.get("t0_ns", 0), begin_s)
        end_ns = _end_ns(planned, facts, begin_ns)
        at_ns = begin_ns if end_ns is None else end_ns
        begin_ns, end_ns = begin_ns - early_ns, None if end_ns is None else end_ns - early_ns
        if end_ns is not None and planned["name"] in ended_ns:  # its condition held
            early_ns += max(end_ns - ended_ns[planned["name"]], 0)
            end_ns = min(end_ns, ended_ns[planned["name"]])
        window = history.phase(planned["name"])
        if window is None:
            if begin_ns + SHORT_NS < over_ns(history.events):
                why = f"no event tells of phase {planned['name']}, which was planned"
                yield Gap(what=frozenset({Part.EVENTS}), why=why)
            continue
        if window.begin_ns - begin_ns >= SHORT_NS:
            late_s = (window.begin_ns - begin_ns) / 1e9
            yield Gap(
                what=RECORDED,
                from_ns=begin_ns,
                to_ns=window.begin_ns + 1,
                why=f"phase {window.name} began {late_s:.1f} s later than planned",
            )
        if end_ns is not None and end_ns - window.end_ns >= SHORT_NS:
            yield Gap(
                what=RECORDED,
                from_ns=window.end_ns - 1,
                to_ns=end_ns,
                why=f"phase {window.name} ended after {window.seconds:.1f} of "
                f"{(end_ns - begin_ns) / 1e9:.1f} s",
            )


def _end_ns(planned: Mapping[str, Any], facts: Mapping[str, Any], begin_ns: int) -> int | None:
    """When a phase was to end; an older folder tells how long it was to last."""
    if planned.get("end_s") is not None:
        return moment_ns(facts.get("t0_ns", 0), planned["end_s"])
    lasts_s = planned.get("duration_s")
    return None if lasts_s is None else moment_ns(begin_ns, lasts_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A stretch in which a node ran; `by_itself`: the harness did not end it. `ending_ns`: since
    when it did, and sampled it once more.
    """

    from_ns: int
    to_ns: int
    by_itself: bool = False
    ending_ns: int = END_NS


def lives(history: History, facts: Mapping[str, Any]) -> dict[str, list[Life]]:
    """Tell when each node ran, by the harness's own events; a paused node runs."""
    down = {one["name"] for one in facts["nodes"] if one.get("condition") in DOWN}
    begun = {name: 0 for name in history.nodes if name not in down}
    made: dict[str, list[Life]] = {name: [] for name in history.nodes}
    for event in sorted(history.events, key=lambda one: one.at_ns):
        if isinstance(event, NodeStarted):
            begun.setdefault(event.node, event.at_ns)
        elif (by_itself := isinstance(event, NodeEnded)) or (
            isinstance(event, NodeChanged) and event.is_down
        ):
            # One that ended before the run lived for no time of it.
            from_ns = begun.pop(event.node, event.at_ns if by_itself else None)
            if from_ns is not None and event.node in made:
                since_ns = 0 if isinstance(event, NodeEnded) else event.since_ns
                made[event.node].append(
                    Life(
                        from_ns=from_ns,
                        to_ns=event.at_ns,
                        by_itself=by_itself,
                        ending_ns=since_ns or event.at_ns,
                    )
                )
    for name, from_ns in begun.items():
        if name in made:
            made[name].append(Life(from_ns=from_ns, to_ns=END_NS))
    return made


def of_samples(history: History, lived: Mapping[str, Sequence[Life]]) -> list[Gap]:
    """Find the stretches in which nodes ran and were not sampled, and those after their ends."""
    at = history.samples.column("at_ns").to_numpy()
    node = history.samples.column("node").to_numpy()
    order = np.lexsort((at, node))
    at, edges = at[order], np.searchsorted(node[order], np.arange(len(history.nodes) + 1))
    missed: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    gaps = []
    for index, name in enumerate(history.nodes):
        own = at[edges[index] : edges[index + 1]]
        for from_ns, to_ns, why in unseen(own, lived[name], history.phases):
            missed[from_ns, to_ns, why].append(name)
        for from_ns, to_ns, why in _never_seen(own, lived[name]):
            missed[from_ns, to_ns, why].append(name)
        for life, later in pairwise([*lived[name], None]):
            if life is not None and life.by_itself:
                until_ns = END_NS if later is None else later.from_ns
                gaps.append(
                    Gap(
                        what=frozenset({Part.SAMPLES}),
                        of=(name,),
                        from_ns=life.to_ns,
                        to_ns=until_ns,
                        why=f"{name} ended by itself {_at(history, life.to_ns)}",
                    )
                )
    return gaps + [
        Gap(
            what=frozenset({Part.SAMPLES}),
            of=tuple(names),
            from_ns=from_ns,
            to_ns=to_ns,
            why=f"{_some(names, history)} {why}",
        )
        for (from_ns, to_ns, why), names in missed.items()
    ]


def of_host(history: History) -> list[Gap]:
    """Find the stretches in which the host was not sampled."""
    if not history.nodes:  # a bench
        return []
    at = np.sort(history.host.column("at_ns").to_numpy())
    always = [Life(from_ns=0, to_ns=END_NS)]
    return [
        Gap(what=frozenset({Part.HOST}), from_ns=from_ns, to_ns=to_ns, why=f"the host {why}")
        for from_ns, to_ns, why in unseen(at, always, history.phases)
    ]


def unseen(
    at: Nanoseconds,
    lived: Sequence[Life],
    phases: Sequence[PhaseWindow],
    words: tuple[str, str] = ("samples", "was not sampled"),
) -> Iterator[tuple[int, int, str]]:
    """Find where one thing lacks samples: (from, to, the end of a sentence). `words`: what they are
    called, and that there is none.
    """
    for phase in phases:
        stretches = [(max(o.from_ns, phase.begin_ns), min(o.to_ns, phase.end_ns)) for o in lived]
        seconds = sum(max(end - begin, 0) for begin, end in stretches) / 1e9
        count = _count(at, phase.begin_ns, phase.end_ns)
        # Those before ends come out of turn: they make up for none of each second.
        count -= sum(
            _count(at, max(o.ending_ns, phase.begin_ns), min(o.to_ns, phase.end_ns)) > 0
            for o in lived
        )
        if count < int(seconds * SAMPLED_SHARE_LEAST):
            why = f"had {count} {words[0]} in {seconds:.0f} s of phase {phase.name}"
            yield phase.begin_ns, phase.end_ns, why
            continue
        for begin_ns, end_ns in stretches:
            if end_ns - begin_ns < SAMPLES_APART_NS:
                continue
            own = at[np.searchsorted(at, begin_ns) : np.searchsorted(at, end_ns)]
            seen = np.concatenate([[begin_ns], own, [end_ns]])
            for place in np.nonzero(np.diff(seen) > SAMPLES_APART_NS)[0]:
                # Whole seconds: all that one pass of the sampler missed is one gap.
                from_s, to_s = int(seen[place]) // 10**9, -(-int(seen[place + 1]) // 10**9)
                seconds = round((seen[place + 1] - seen[place]) / 1e9)
                why = f"{words[1]} for {seconds} s in phase {phase.name}"
                yield max(from_s * 10**9, begin_ns), min(to_s * 10**9, end_ns), why


def _never_seen(at: Nanoseconds, lived: Sequence[Life]) -> Iterator[tuple[int, int, str]]:
    """Find the lives that the harness ended before anybody had sampled them."""
    before_ns = 0
    for life in lived:
        is_ours = life.from_ns > 0 and not life.by_itself and life.to_ns != END_NS
        if is_ours and not _count(at, before_ns, life.to_ns):
            seconds = (life.to_ns - life.from_ns) / 1e9
            yield life.from_ns, life.to_ns, f"ran for {seconds:.1f} s and was not sampled"
        before_ns = life.to_ns


def _count(at: Nanoseconds, begin_ns: int, end_ns: int) -> int:
    return int(np.searchsorted(at, end_ns) - np.searchsorted(at, begin_ns))


def of_histograms(history: History) -> Iterator[Gap]:
    """Find the phases at whose end a node told nothing of itself, or in which it began anew."""
    stops = [event for event in history.events if isinstance(event, NodeChanged) and event.is_down]
    unknown: list[str] = []  # what these had counted before the phase
    for phase in history.phases:
        told = {name: history.told.get((phase.name, at)) for at, name in enumerate(history.nodes)}
        silent = [name for name in told if told[name] is None]
        stopped = {one.node for one in stops if phase.begin_ns <= one.at_ns < phase.end_ns}
        anew = [name for name in told if told[name] is False or name in stopped]
        for what, names, why in (
            ({Part.HISTOGRAMS, Part.GAUGES}, silent, "told nothing of itself at the end of phase"),
            ({Part.HISTOGRAMS}, anew, "began to count anew in phase"),
            ({Part.HISTOGRAMS}, unknown, "told nothing of itself at the end of the phase before"),
        ):
            if names:
                yield Gap(
                    what=frozenset(what),
                    of=tuple(names),
                    from_ns=phase.begin_ns,
                    to_ns=phase.end_ns,
                    why=f"{_some(names, history)} {why} {phase.name}",
                )
        unknown = silent


def of_journals(history: History) -> Iterator[Gap]:
    """Find the phases in which a node could not write its journal, as it says itself, and the nodes
    whose journals were not closed: of these all that is not there may have come.
    """
    journal = frozenset({Part.JOURNAL})
    for name in (
        name for one in history.events if isinstance(one, RunEnded) for name in one.unclosed
    ):
        yield Gap(what=journal, of=(name,), why=f"{name} did not keep its journal to the end")
    for index, name in enumerate(history.nodes):
        before = 0.0
        for phase in history.phases:
            errors = history.gauges.get((phase.name, index, "journal_errors"), before)
            if errors > before:
                times = f"{errors - before:,.0f} times in phase {phase.name}"
                why = f"{name} could not write its journal {times}"
                yield Gap(
                    what=journal, of=(name,), from_ns=phase.begin_ns, to_ns=phase.end_ns, why=why
                )
            before = errors


def of_proofs(history: History) -> Iterator[Gap]:
    """Find the stretches in which a fault stood and nobody looked at any."""
    looks = np.sort(np.array([proof.at_ns for proof in history.proofs], np.int64))
    for name, begin_ns, end_ns in _standing(history):
        own = looks[np.searchsorted(looks, begin_ns) : np.searchsorted(looks, end_ns)]
        seen = np.concatenate([[begin_ns], own, [end_ns]])
        for place in np.nonzero(np.diff(seen) > LOOKS_APART_NS)[0]:
            from_ns, to_ns = int(seen[place]), int(seen[place + 1])
            yield Gap(
                what=frozenset({Part.PROOFS}),
                from_ns=from_ns,
                to_ns=to_ns,
                why=f"nobody looked at the faults for {(to_ns - from_ns) / 1e9:.1f} s while "
                f"{name} stood",
            )


def _standing(history: History) -> Iterator[tuple[str, int, int]]:
    """Tell when each fault stood: (name, from, to)."""
    over_ns = history.phases[-1].end_ns if history.phases else 0
    changes = [event for event in history.events if isinstance(event, FaultChanged)]
    by_fault: dict[str, list[tuple[bool, int]]] = defaultdict(list)
    for change in sorted(changes, key=lambda one: one.set_ns):
        by_fault[change.fault].append((change.is_set, change.set_ns))
    for fault, happened in by_fault.items():
        for begin_ns, end_ns in spells(happened, over_ns):
            if begin_ns < end_ns:
                yield fault, begin_ns, end_ns


def _at(history: History, at_ns: int) -> str:
    """Say when in the run something was."""
    begin_ns = history.phases[0].begin_ns if history.phases else 0
    at_s = (at_ns - begin_ns) / 1e9
    return f"{at_s:.1f} s into the run" if at_s >= 0 else f"{-at_s:.1f} s before it"


def _some(names: Sequence[str], history: History) -> str:
    """Name one node, or how many there are and one of them."""
    if len(names) == 1:
        return names[0]
    return f"each of {len(names)} of {len(history.nodes)} nodes, {names[0]} for one,"


def merged(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Put gaps in order of time, each once; of those from one time on, what lacks most is first."""
    return tuple(
        sorted(
            dict.fromkeys(gaps),
            key=lambda gap: (gap.from_ns, -len(gap.what), gap.to_ns, gap.why),
        )
    )
