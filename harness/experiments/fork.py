"""A fork is a replay in which one thing is another than it was: one of a closed list of changes.

`CHANGES` is the list; `made` makes a change of an original. Pure.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

from harness.choices import listed, one_of
from harness.errors import BadFileError, UsageError
from harness.experiments.growth import TOPOLOGY, grown
from harness.experiments.original import Original
from harness.faults import spec
from harness.faults.fault import Fault, Verb
from harness.scenario.rate import Profile
from harness.scenario.scenario import Scenario
from harness.scenario.stream import Stream
from harness.scenario.timeline import PlannedChange, Stand, Timeline, in_order, stands
from harness.topology import quantities
from harness.topology.impairment import WORDS
from harness.topology.topology import NODES_MAX

LINKS = ("up", "down")  # of a fault: rates of nodes' own links
TIME, FACTOR = r"(\S+)", r"x([0-9]+(?:\.[0-9]+)?)"
Make = Callable[..., Original]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One kind of change: how it is written, a sentence about it, its pattern, and what makes it of
    an original and the pattern's groups.
    """

    words: str
    sentence: str
    pattern: re.Pattern[str]
    make: Make


def made(of: Original, words: str) -> Original:
    """Return the original with one change.

    Raises UsageError for what is no change, or none that can be made of this run: with what can.
    """
    said = " ".join(words.split())
    for change in CHANGES:
        if match := change.pattern.fullmatch(said):
            try:
                forked = change.make(of, *match.groups())
            except (BadFileError, UsageError) as error:
                raise UsageError(f"--fork {words!r}: {error}") from None
            if (forked.scenario, forked.timeline) == (of.scenario, of.timeline):
                raise UsageError(f"--fork {words!r}: that is as it was: nothing would change")
            return replace(forked, files=_files(of, forked))
    possible = "; ".join(change.words for change in CHANGES)
    raise UsageError(f"--fork {words!r}: expected one change; possible: {possible}")


def _files(of: Original, forked: Original) -> dict[str, str]:
    """The inputs that are the fork's as well: the topology's file, where the topology is as it
    was.
    """
    is_same = forked.scenario.topology == of.scenario.topology
    return {name: text for name, text in of.files.items() if is_same and name == TOPOLOGY}


def numbered(timeline: Timeline) -> str:
    """List the faults of a timeline with their numbers."""
    return ", ".join(f"{number} {one.name}" for number, one in enumerate(timeline.faults, 1))


def _fault(of: Original, which: str) -> Fault:
    """Find a fault by its number, in the order in which they came, from 1; or by its name."""
    faults = of.timeline.faults
    if which.isdecimal() and 1 <= int(which) <= len(faults):
        return faults[int(which) - 1]
    named = [fault for fault in faults if fault.name == which]
    if len(named) == 1:
        return named[0]
    why = f"{len(named)} faults have the name {which!r}" if named else f"there is no fault {which}"
    there = numbered(of.timeline) or "the run had none"
    raise UsageError(f"{why}; expected the number or name of one: {there}")


def _with_changes(of: Original, changes: Iterable[PlannedChange]) -> Original:
    return replace(of, timeline=replace(of.timeline, changes=in_order(list(changes))))


def _with_ends(of: Original) -> tuple[PlannedChange, ...]:
    """The changes of a run; where a fault took the place of another of its name, that one is taken
    back then, so that it goes at its time whatever becomes of its successor.
    """
    there = of.timeline.changes
    said = {(id(one.fault), one.at_s) for one in there if one.verb is Verb.CLEAR}
    ends = (
        PlannedChange(at_s=until_s, verb=Verb.CLEAR, fault=fault)
        for fault, _, until_s in stands(there)
        if until_s is not None and (id(fault), until_s) not in said
    )
    return in_order([*there, *ends])


def _as_played(of: Original, changes: Sequence[PlannedChange]) -> Original:
    """Give a run other changes of faults. A fault goes as it was played, by its successor, where
    that comes at that moment still.
    """
    comes = {(one.fault.name, one.at_s): one.fault for one in changes if one.verb is Verb.SET}
    return _with_changes(
        of,
        (
            one
            for one in changes
            if one.verb is Verb.SET or comes.get((one.fault.name, one.at_s), one.fault) is one.fault
        ),
    )


def _drop(of: Original, which: str) -> Original:
    gone = _fault(of, which)
    return _as_played(of, [one for one in _with_ends(of) if one.fault is not gone])


def _moved(of: Original, which: str, how: str, time: str) -> Original:
    """Move a fault as a whole, or only its ends; never beyond the run's own."""
    fault, by_s = _fault(of, which), quantities.time_ms(time) / 1e3
    by_s = -by_s if how in ("earlier", "shorter") else by_s
    is_whole, over_s = how in ("later", "earlier"), of.timeline.phases[-1].end_s or 0.0
    found = []
    for one in _with_ends(of):
        if one.fault is not fault or (one.verb is Verb.SET and not is_whole):
            found.append(one)
            continue
        at_s = one.at_s + by_s
        # What went as the run was closed, after its end, does not go earlier by being longer.
        last_s = max(over_s, one.at_s)
        found.append(replace(one, at_s=min(at_s, last_s) if one.verb is Verb.CLEAR else at_s))
    moved = [one for one in found if one.fault is fault]
    if is_whole and not all(0 <= one.at_s < over_s for one in moved if one.verb is Verb.SET):
        raise UsageError(
            f"{fault.name} would come at {moved[0].at_s:g} s; expected 0 to {over_s:g} s, where "
            "the run ends"
        )
    if any(a.at_s >= b.at_s for a, b in pairwise(moved)):
        raise UsageError(
            f"{fault.name} would go before it comes, or come again before it goes; expected less"
        )
    _require_apart(of, fault, found)
    return _as_played(of, found)


def _require_apart(of: Original, moved: Fault, changes: Sequence[PlannedChange]) -> None:
    """Raise UsageError where a fault would be there while another of its name is: that would end
    one of the two.
    """

    def times(fault: Fault) -> list[Stand]:
        return list(stands(one for one in changes if one.fault is fault))

    for number, other in enumerate(of.timeline.faults, 1):
        if other is moved or other.name != moved.name:
            continue
        for mine, theirs in product(times(moved), times(other)):
            if mine.meets(theirs):
                raise UsageError(
                    f"{moved.name} would be there {mine.when}, and fault {number}, which has its "
                    f"name, is {theirs.when}: of one name there is one fault at a time; expected "
                    "a time without it"
                )


def _amount(of: Original, which: str, word: str, amount: str) -> Original:
    """Give a fault another amount of what it does already."""
    fault = _fault(of, which)
    if word in LINKS:
        rates: dict[str, int] = getattr(fault, word)
        if not rates:
            raise UsageError(f"{fault.name} has no {word}; it does: {fault.does}")
        rate_bps = quantities.rate_bps(amount)
        changed = replace(fault, **{word: dict.fromkeys(rates, rate_bps)})  # type: ignore[arg-type]
    else:
        field = WORDS[word].field
        if not getattr(fault.impairment, field):
            raise UsageError(f"{fault.name} has no {word}; it does: {fault.does}")
        value: Any = WORDS[word].kind.read(amount)
        changed = replace(fault, impairment=replace(fault.impairment, **{field: value}))
    if changed == fault:
        return of
    changed = replace(changed, words=_words(fault, word, amount))
    return _with_faults(of, lambda one: changed if one is fault else one)


def _words(fault: Fault, word: str, amount: str) -> str:
    """The words of a fault with another amount, as a scenario may say them."""
    try:
        return spec.parse({**spec.table_of(fault.words), word: amount}).words
    except BadFileError:  # its words are none of a scenario's
        return f"{fault.words or fault.name}, {word} {amount}"


def _with_faults(of: Original, change: Callable[[Fault], Fault]) -> Original:
    """Change each fault, once."""
    new = {id(fault): change(fault) for fault in of.timeline.faults}
    return _with_changes(
        of, (replace(one, fault=new[id(one.fault)]) for one in of.timeline.changes)
    )


def _rate(of: Original, word: str | None, factor: str) -> Original:
    """Multiply what the streams of one operation send, or of all: their rates, and where a stream
    ends after so many operations, these, so that it lasts as long.
    """
    there = {stream.operation.word for phase in of.scenario.phases for stream in phase.streams}
    if word is not None and word not in there:
        raise UsageError(one_of(word, sorted(there)))
    if not float(factor):
        raise UsageError("expected a factor above 0: a stream that sends nothing is none")

    def one(stream: Stream) -> Stream:
        if word not in (None, stream.operation.word):
            return stream
        if stream.count is not None:
            stream = replace(stream, count=max(1, round(stream.count * float(factor))))
        if stream.profile is None:
            return replace(stream, rate_per_s=stream.rate_per_s * float(factor))
        points = tuple((at_s, rate * float(factor)) for at_s, rate in stream.profile.points)
        profile = Profile(points=points)
        return replace(stream, profile=profile, rate_per_s=profile.highest)

    return replace(of, scenario=_with_streams(of.scenario, one))


def _with_streams(scenario: Scenario, change: Callable[[Stream], Stream]) -> Scenario:
    return replace(
        scenario,
        phases=tuple(
            replace(phase, streams=tuple(map(change, phase.streams))) for phase in scenario.phases
        ),
    )


def _seed(of: Original, seed: str) -> Original:
    """Draw the schedule of operations anew; faults stay on the nodes that they were on."""
    return replace(
        of,
        scenario=replace(of.scenario, seed=int(seed)),
        timeline=replace(of.timeline, seed=int(seed)),
    )


def _nodes(of: Original, count: str) -> Original:
    """Keep so many nodes: those that streams and faults name, then others evenly from all; or add
    as many as are missing (growth.py).

    Those kept are linked as they were by way of those left out, and faults are on those left.
    """
    names = [node.name for node in of.scenario.topology.nodes]
    if not 2 <= int(count) <= NODES_MAX:
        raise UsageError(f"expected 2 to {NODES_MAX:,} nodes, found {int(count):,}")
    if int(count) >= len(names):
        return _grown(of, int(count)) if int(count) > len(names) else of
    kept = dict.fromkeys(_wanted(of))
    if len(kept) > int(count):
        raise UsageError(
            f"expected at least {len(kept)}: the run's streams and faults are about "
            f"{listed(kept, '')}"
        )
    evenly = (names[number * len(names) // int(count)] for number in range(int(count)))
    for name in (*evenly, *names):
        if len(kept) < int(count):
            kept[name] = None
    scenario = _with_streams(
        of.scenario,
        lambda one: replace(one, sources=tuple(name for name in one.sources if name in kept)),
    )
    fewer = replace(of, scenario=replace(scenario, topology=scenario.topology.among(kept)))
    return _with_faults(fewer, lambda fault: fault.among(kept))


def _grown(of: Original, count: int) -> Original:
    growth = grown(of, count)
    scenario = _with_streams(
        of.scenario, lambda one: replace(one, sources=growth.names(one.sources))
    )
    more = replace(of, scenario=replace(scenario, topology=growth.topology))
    return _with_faults(more, growth.fault)


def _wanted(of: Original) -> Iterator[str]:
    """Name the nodes without which a stream or a fault would be of nobody."""
    names = {node.name for node in of.scenario.topology.nodes}
    for phase in of.scenario.phases:
        yield from phase.iperf3 or ()
        yield from (one.who for one in phase.profiles if one.who in names)
        for stream in phase.streams:
            yield from stream.sources[:1]
            yield from () if stream.target is None else (stream.target,)
    for fault in of.timeline.faults:
        yield from fault.nodes[:1]
        yield from [*fault.up][:1]
        yield from [*fault.down][:1]
        yield from _of_paths(fault)


def _of_paths(fault: Fault) -> Sequence[str]:
    """One path of a fault; of a cut one from each of the first two groups of nodes that lose some,
    so that its sides remain.
    """
    if fault.paths:
        return fault.some(random.Random(0), 1)[0]  # the same one each time
    return [
        name
        for group in fault.groups[:2]
        for name in (sorted(group)[0], sorted(fault.far[group[0]])[0])
    ]


_AMOUNTS = "|".join([*WORDS, *LINKS])
CHANGES: tuple[Change, ...] = (
    Change(
        words="drop fault N",
        sentence="without that fault; N is its number (`--dry-run` lists them) or its name",
        pattern=re.compile(r"drop fault (.+)"),
        make=_drop,
    ),
    Change(
        words="fault N later|earlier TIME",
        sentence="it comes, and goes, so much later or earlier: `fault 2 later 5s`",
        pattern=re.compile(rf"fault (.+) (later|earlier) {TIME}"),
        make=_moved,
    ),
    Change(
        words="fault N longer|shorter TIME",
        sentence="it stays so much longer or shorter, each time that it comes",
        pattern=re.compile(rf"fault (.+) (longer|shorter) {TIME}"),
        make=_moved,
    ),
    Change(
        words=f"fault N {_AMOUNTS} AMOUNT",
        sentence="another amount of what it does already: `fault 2 loss 5%`",
        pattern=re.compile(rf"fault (.+) ({_AMOUNTS}) (\S+)"),
        make=_amount,
    ),
    Change(
        words="rate [OPERATION] xFACTOR",
        sentence="streams send so many times as much (their rate, and their `count`), all or those "
        "of an operation: `rate x2`",
        pattern=re.compile(rf"rate (?:(\w+) )?{FACTOR}"),
        make=_rate,
    ),
    Change(
        words="nodes COUNT",
        sentence="with fewer nodes, of which those that streams and faults name remain; or with "
        "more, each like one that is there",
        pattern=re.compile(r"nodes ([0-9]+)"),
        make=_nodes,
    ),
    Change(
        words="seed NUMBER",
        sentence="another schedule of operations; faults stay on the nodes that they were on",
        pattern=re.compile(r"seed ([0-9]+)"),
        make=_seed,
    ),
)
