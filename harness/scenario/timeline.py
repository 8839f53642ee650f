"""A timeline says when phases begin and end, and when which fault comes and goes.

`compile` makes it once, and resolves the words of all faults to nodes and paths by the scenario's
seed. What follows (supervisor, replay, shrink) reads the timeline and never the words. It is kept
as timeline.json in the run folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from harness.errors import BadFileError, HarnessError
from harness.faults.churn import Away, Churn
from harness.faults.fault import Fault, Verb
from harness.faults.spec import FaultSpec
from harness.history.plan import PhaseKind
from harness.profiles.spec import ProfileSpec
from harness.scenario.scenario import Phase, Scenario

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPhase:
    """A phase as planned, in seconds from the beginning of the first one.

    `end_s` None: it lasts until the run ends. `idle`: no load is sent in it. `iperf3` names two
    nodes between which iperf3 sends meanwhile. `until`: what ends it earlier when it holds; all
    that comes after it then comes so much earlier. `at_most_s`: in which it was to hold; a replay
    of a phase that it ended is as long as that one was.
    """

    name: str
    begin_s: float
    end_s: float | None
    idle: bool = False
    iperf3: tuple[str, str] | None = None
    kind: PhaseKind | None = None
    until: str | None = None
    at_most_s: float | None = None
    profiles: tuple[ProfileSpec, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the phase as plain values."""
        return {
            **asdict(self),
            "kind": None if self.kind is None else str(self.kind),
            "profiles": [one.as_json() for one in self.profiles],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> PlannedPhase:
        """Read what `as_json` said; an older file knows no kinds.

        Raises KeyError, TypeError, ValueError for what is no phase.
        """
        kind = said.get("kind")
        return cls(
            **{
                **said,
                "iperf3": tuple(said["iperf3"]) if said["iperf3"] else None,
                "kind": None if kind is None else PhaseKind(kind),
                "profiles": tuple(map(ProfileSpec.from_json, said.get("profiles", ()))),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """A fault that is set or cleared, so many seconds after the first phase began."""

    at_s: float
    verb: Verb
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The phases and the changes of one run, each in order. Every fault that is set is cleared."""

    seed: int
    phases: tuple[PlannedPhase, ...]
    changes: tuple[PlannedChange, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every fault of it, each once; two may have the same name."""
        return tuple({id(change.fault): change.fault for change in self.changes}.values())

    def as_json(self) -> dict[str, Any]:
        """Return the content of timeline.json: each fault once; changes name it by its position."""
        position = {id(fault): number for number, fault in enumerate(self.faults)}
        return {
            "version": VERSION,
            "seed": self.seed,
            "phases": [phase.as_json() for phase in self.phases],
            "faults": [fault.as_json() for fault in self.faults],
            "changes": [
                {
                    "at_s": change.at_s,
                    "verb": str(change.verb),
                    "fault": position[id(change.fault)],
                }
                for change in self.changes
            ],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Timeline:
        """Read what `as_json` said.

        Raises HarnessError for another version, or what is no timeline.
        """
        if said.get("version") != VERSION:
            raise HarnessError(f"timeline: expected version {VERSION}, found {said.get('version')}")
        try:
            faults = [Fault.from_json(one) for one in said["faults"]]
            return cls(
                seed=said["seed"],
                phases=tuple(map(PlannedPhase.from_json, said["phases"])),
                changes=tuple(
                    PlannedChange(
                        at_s=change["at_s"],
                        verb=Verb(change["verb"]),
                        fault=faults[change["fault"]],
                    )
                    for change in said["changes"]
                ),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise HarnessError(f"timeline: {type(error).__name__}: {error}") from error


def compile(scenario: Scenario) -> Timeline:  # noqa: A001 - the vocabulary's own word
    """Compile a scenario to its timeline.

    Raises BadFileError where a fault names what is not there, or nobody takes part in churn.
    """
    changes: list[PlannedChange] = []
    for phase, planned in zip(scenario.phases, plan(scenario.phases), strict=True):
        for number, spec in enumerate(phase.faults, 1):
            named = replace(spec, name=spec.name or f"{phase.name}-{number}")
            try:
                fault = named.resolve(scenario.topology.nodes, scenario.seed)
            except BadFileError as error:
                raise BadFileError(f"phase {phase.name}: fault {number}: {error}") from None
            changes += changes_of(named, fault, planned.begin_s, planned.end_s)
    for phase, planned in zip(scenario.phases, plan(scenario.phases), strict=True):
        changes += _churned(scenario, phase, planned, changes)
    return Timeline(seed=scenario.seed, phases=plan(scenario.phases), changes=in_order(changes))


def _churned(
    scenario: Scenario, phase: Phase, planned: PlannedPhase, changes: Sequence[PlannedChange]
) -> list[PlannedChange]:
    """Plan the churn of a phase; who is down by faults of the timeline is away already."""
    nodes, made = scenario.topology.nodes, list[PlannedChange]()
    for number, churn in enumerate(phase.churn, 1):
        named = replace(churn, name=churn.name or f"{phase.name}-churn-{number}")
        others = _away([*changes, *made], planned.begin_s)
        try:
            faults = named.faults(nodes)
            floors = [one.kept(nodes) for one in phase.churn]
            end_s = phase.duration_s or 0.0
            away = named.departures(nodes, scenario.seed, end_s, others, floors)
            if not away:
                raise BadFileError(_nobody_leaves(named, scenario.seed, end_s))
        except BadFileError as error:
            raise BadFileError(f"phase {phase.name}: churn {number}: {error}") from None
        for one in away:
            for verb, after_s in ((Verb.SET, one.from_s), (Verb.CLEAR, one.to_s)):
                at_s = planned.begin_s + after_s
                made.append(PlannedChange(at_s=at_s, verb=verb, fault=faults[one.node]))
    return made


def _nobody_leaves(churn: Churn, seed: int, end_s: float) -> str:
    """Say that a phase would be played as one with churn in which every node stays."""
    longer = "longer phase" if churn.for_s is None else "longer for_s"
    others = [f"a {longer}", "another seed"] + (["a lower floor"] if churn.floor else [])
    return (
        f"with seed {seed} nobody would leave in the {end_s:g} s of the phase, by {churn.words}: "
        f"nothing would be tested; possible: a higher rate_per_s, {', '.join(others)}"
    )


def _away(changes: Sequence[PlannedChange], begin_s: float) -> list[Away]:
    """List when nodes are down, in seconds from `begin_s` on."""
    return [
        Away(node, from_s - begin_s, until_s - begin_s)
        for fault, from_s, until_s in stands(in_order(changes))
        if until_s is not None and fault.condition is not None and fault.condition.is_down
        for node in fault.nodes
    ]


def plan(phases: tuple[Phase, ...]) -> tuple[PlannedPhase, ...]:
    """Give the phases their begin and end times."""
    found, at_s = [], 0.0
    for phase in phases:
        end_s = None if phase.duration_s is None else at_s + phase.duration_s
        found.append(
            PlannedPhase(
                name=phase.name,
                begin_s=at_s,
                end_s=end_s,
                idle=not phase.streams,
                iperf3=phase.iperf3,
                kind=phase.kind,
                until=phase.until,
                at_most_s=None if phase.until is None else phase.duration_s,
                profiles=phase.profiles,
            )
        )
        at_s += phase.duration_s or 0.0
    return tuple(found)


def changes_of(
    spec: FaultSpec, fault: Fault, begin_s: float, end_s: float | None
) -> Iterator[PlannedChange]:
    """Yield when a fault is set and cleared, counted from `begin_s`, at most until `end_s`.

    Without `end_s` and without `for_s` it is set and never cleared. A moment is cleared as soon as
    it was set.
    """
    at_s = begin_s + spec.at_s
    if fault.is_moment:
        yield PlannedChange(at_s=at_s, verb=Verb.SET, fault=fault)
        yield PlannedChange(at_s=at_s, verb=Verb.CLEAR, fault=fault)
        return
    gone_s = end_s if spec.for_s is None else at_s + spec.for_s
    if gone_s is None:
        yield PlannedChange(at_s=at_s, verb=Verb.SET, fault=fault)
        return
    flap_s = spec.flap_s or gone_s - at_s
    while at_s < gone_s:
        yield PlannedChange(at_s=at_s, verb=Verb.SET, fault=fault)
        yield PlannedChange(at_s=min(at_s + flap_s, gone_s), verb=Verb.CLEAR, fault=fault)
        at_s += 2 * flap_s


def in_order(changes: Iterable[PlannedChange]) -> tuple[PlannedChange, ...]:
    """Sort changes by their time; of one moment, faults that go come before faults that come, and
    those that come and go in that moment are last.
    """

    def key(one: PlannedChange) -> tuple[float, bool]:
        return one.at_s, one.verb is Verb.SET or one.fault.is_moment

    return tuple(sorted(changes, key=key))


class Stand(NamedTuple):
    """A time that a fault is there: from when until when, in seconds after the first phase began.
    `until_s` None: nobody takes it back.
    """

    fault: Fault
    from_s: float
    until_s: float | None

    @property
    def when(self) -> str:
        """The time as a person says it."""
        until = "until the run ends" if self.until_s is None else f"to {self.until_s:.3f} s"
        return f"from {self.from_s:.3f} s {until}"

    def meets(self, other: Stand) -> bool:
        """Whether both are there at one time."""
        return (other.until_s is None or self.from_s < other.until_s) and (
            self.until_s is None or other.from_s < self.until_s
        )


def stands(changes: Iterable[PlannedChange]) -> Iterator[Stand]:
    """Yield each time that a fault is there by these changes, which are in order: as they end, and
    at last those without an end.

    Of one name there is one fault at a time: another that takes the name ends it, and it does not
    come again meanwhile. So does the player of faults.
    """
    there: dict[str, tuple[Fault, float]] = {}
    came: set[int] = set()
    for change in changes:
        fault, before = change.fault, there.get(change.fault.name)
        if change.verb is Verb.CLEAR:
            if before is not None and before[0] is fault:
                yield Stand(*there.pop(fault.name), change.at_s)
        elif before is None or id(fault) not in came:
            if before is not None:
                yield Stand(*before, change.at_s)
            there[fault.name] = fault, change.at_s
            came.add(id(fault))
    for fault, from_s in there.values():
        yield Stand(fault, from_s, None)
