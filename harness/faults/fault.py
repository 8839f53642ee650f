"""A fault, with its nodes and paths resolved, and the state that all faults of one moment make.

These are values: no network is touched here. Units: ms, probabilities 0–1, bits a second. Faults
that overlap on one path are folded by `fold`: delays add, variances of jitter add, losses compound,
the narrower rate wins, a cut stays a cut. Of two conditions of one node the worse wins.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from harness.faults.limits import UNLIMITED, Limits, folded
from harness.faults.paths import DirectedPath, Layers, Paths
from harness.faults.programs import Program
from harness.topology.impairment import CLEAR, Impairment

# Source and its port, target and its port: one direction of a connection.
Flow = tuple[str, int, str, int]
# Of a cut: source → whom it cannot reach. Sets are shared: a thousand nodes in halves are two.
Far = Mapping[str, frozenset[str]]


class Condition(StrEnum):
    """The condition of one node now, from the best to the worst.

    RESTARTED is a fault's alone: its nodes are stopped, and run again at once.
    """

    RUNNING = "running"
    PAUSED = "paused"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    KILLED = "killed"
    CRASHED = "crashed"

    @property
    def is_down(self) -> bool:
        """Whether such a node has no process."""
        return self not in (Condition.RUNNING, Condition.PAUSED)

    @property
    def of_node(self) -> Condition:
        """The condition that a fault of this one brings a node into."""
        return Condition.STOPPED if self is Condition.RESTARTED else self


class State(StrEnum):
    """What a node that was down finds of its own when it starts again."""

    KEEP = "keep"
    WIPE = "wipe"


class Verb(StrEnum):
    """What happens to a fault."""

    SET = "set"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """All that is wrong with the network at one moment. What is not named is clear.

    `up` and `down` are the rates of nodes' own links, in bits a second.
    """

    paths: Mapping[DirectedPath, Impairment] = field(default_factory=dict)
    flows: frozenset[Flow] = frozenset()  # of established connections that are cut
    far: Far = field(default_factory=dict)
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)

    def of(self, source: str, target: str) -> Impairment:
        """Return what is wrong with a path."""
        what = self.paths.get((source, target), CLEAR)
        return replace(what, blocked=True) if target in self.far.get(source, ()) else what


GROUPS_TOLD = 6  # of a cut, whose losses are listed
CUT_OF_A_CRASH = ": cut"  # after the name of the fault that crashes machines


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault that somebody asked for, its words resolved to nodes and paths.

    Its name tells it from others and takes it back. A fault is of the network (paths, a cut, rates)
    or of nodes (a condition, limits), never of both.
    """

    name: str
    paths: AbstractSet[DirectedPath] = frozenset()
    impairment: Impairment = CLEAR
    far: Far = field(default_factory=dict)  # a cut: the paths on which nothing passes
    flows: frozenset[Flow] = frozenset()  # what `drops_established` found when it came
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # whose condition it is
    condition: Condition | None = None
    state: State = State.KEEP  # what nodes that are down by it find again
    program: Program | None = None  # what they start with from then on; None: as before
    limits: Limits = UNLIMITED  # of what each of them may use
    words: str = ""  # as it was asked

    @property
    def is_of_nodes(self) -> bool:
        """Whether it is a condition of nodes or limits what they use; else it is of the network."""
        return self.condition is not None or self.limits != UNLIMITED

    @property
    def is_moment(self) -> bool:
        """Whether it is taken back as soon as it is in force."""
        return self.condition is Condition.RESTARTED

    @property
    def count(self) -> int:
        """How many paths the fault is on."""
        return len(self.paths) + sum(map(len, self.far.values()))

    def touches(self, source: str, target: str) -> bool:
        """Whether the fault is on a path, by name or by the links or conditions of its ends."""
        return (
            (source, target) in self.paths
            or target in self.far.get(source, ())
            or source in self.up
            or target in self.down
            or not {source, target}.isdisjoint(self.nodes)
        )

    def some(self, chance: random.Random, most: int) -> list[DirectedPath]:
        """Return a sample of the fault's paths: at most `most`, all where they are fewer."""
        if self.count <= 4 * most:
            cut = ((source, target) for source, far in self.far.items() for target in far)
            every = sorted({*self.paths, *cut})
            return chance.sample(every, min(most, len(every)))
        if self.paths and isinstance(self.paths, Paths):
            return self.paths.some(chance, most)
        if self.paths:
            return chance.sample(sorted(self.paths), most)
        ordered = sorted(self.far)
        sources = chance.choices(ordered, [len(self.far[source]) for source in ordered], k=most)
        return sorted({(source, chance.choice(sorted(self.far[source]))) for source in sources})

    @property
    def sides(self) -> dict[str, int]:
        """The sides of a cut that parts the nodes: node → number of its side. Empty where it does
        not, as of a cut in one direction only.
        """
        members: dict[frozenset[str], set[str]] = {}
        for node, far in self.far.items():
            members.setdefault(far, set()).add(node)
        every = set(self.far)
        if any(far != every - mine for far, mine in members.items()):
            return {}
        return {node: number for number, mine in enumerate(members.values()) for node in mine}

    @property
    def groups(self) -> list[list[str]]:
        """The nodes that lose paths by a cut, those together that lose the same; the fewest first.

        Nodes that are cut off from each other too stand each alone.
        """
        alike: dict[frozenset[str], list[str]] = {}
        for source, targets in self.far.items():
            alike.setdefault(frozenset(targets), []).append(source)
        return sorted(alike.values(), key=len)

    @property
    def lost(self) -> list[list[str]]:
        """What the nodes of each of `groups` cannot reach, where these are no sides that cannot
        reach each other. Empty where they are, and where they are more than GROUPS_TOLD.
        """
        groups = self.groups
        if len(groups) > GROUPS_TOLD or self.sides:
            return []
        return [sorted(self.far[group[0]]) for group in groups]

    @property
    def does(self) -> str:
        """What the fault does, as a person says it."""
        rates = [
            f"{direction} {rate / 1e6:g} Mbit/s"
            for direction, of in (("up", self.up), ("down", self.down))
            for rate in sorted(set(of.values()))
        ]
        said = ["cut"] if self.far else []
        said += [] if self.impairment.is_clear else [self.impairment.words()]
        said += [str(self.condition)] if self.condition is not None else []
        said += [self.limits.words()] if self.limits != UNLIMITED else []
        said += ["state wiped"] if self.state is State.WIPE else []
        said += [self.program.words] if self.program is not None else []
        return ", ".join([*said, *rates]) or "nothing"

    @property
    def is_empty(self) -> bool:
        """Whether the fault is on nothing: no path, no node."""
        return not (self.count or self.nodes or self.up or self.down)

    def among(self, names: Collection[str]) -> Fault:
        """Return the fault as far as it is on these nodes, and on paths between them."""
        some = frozenset(names)
        paths = self.paths if isinstance(self.paths, Paths) else Paths.of_pairs(self.paths)
        return replace(
            self,
            paths=paths.among(some),
            far={
                source: targets & some
                for source, targets in self.far.items()
                if source in some and targets & some
            },
            up={node: rate_bps for node, rate_bps in self.up.items() if node in some},
            down={node: rate_bps for node, rate_bps in self.down.items() if node in some},
            nodes=tuple(node for node in self.nodes if node in some),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fault as plain values.

        Sources that share their targets stand together, so that a cut of a thousand nodes is two
        lists and not a million pairs.
        """
        return {
            "name": self.name,
            "words": self.words,
            "paths": _blocks(self.paths),
            "impairment": self.impairment.as_json(),
            "far": _grouped(self.far),
            "up": dict(self.up),
            "down": dict(self.down),
            "nodes": list(self.nodes),
            "condition": None if self.condition is None else str(self.condition),
            "state": str(self.state),
            "program": None if self.program is None else self.program.as_json(),
            "limits": self.limits.as_json(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Fault:
        """Read what `as_json` said.

        Raises KeyError, ValueError, BadFileError for what is no fault.
        """
        return cls(
            name=said["name"],
            words=said["words"],
            paths=Paths((sources, targets) for sources, targets in said["paths"]),
            impairment=Impairment.from_json(said["impairment"]),
            far=_apart(said["far"]),
            up=said["up"],
            down=said["down"],
            nodes=tuple(said["nodes"]),
            condition=None if said["condition"] is None else Condition(said["condition"]),
            state=State(said.get("state", State.KEEP)),
            program=Program.from_json(said["program"]) if said.get("program") else None,
            limits=Limits.from_json(said.get("limits", {})),
        )


def cut_of(crash: str) -> str:
    """Name the cut around the machines that a fault of this name crashes."""
    return crash + CUT_OF_A_CRASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a fault, set or cleared, as executed."""

    at_ns: int  # CLOCK_MONOTONIC: the last part of it was done
    took_ns: int
    verb: Verb
    fault: Fault


def _blocks(paths: AbstractSet[DirectedPath]) -> list[list[list[str]]]:
    """Group paths as ``[[sources, targets], …]``."""
    if isinstance(paths, Paths):
        return [[sorted(sources), sorted(targets)] for sources, targets in paths.blocks]
    by_source: dict[str, set[str]] = {}
    for source, target in paths:
        by_source.setdefault(source, set()).add(target)
    return _grouped(by_source)


def _grouped(far: Mapping[str, Iterable[str]]) -> list[list[list[str]]]:
    """Group sources that share their targets: ``[[sources, targets], …]``.

    A source that stands among its targets does not reach itself there, so that "all from all" is
    one group.
    """
    alike: dict[frozenset[str], list[str]] = {}
    for source, targets in far.items():
        alike.setdefault(frozenset(targets), []).append(source)
    groups: dict[frozenset[str], list[str]] = {}
    for same, sources in alike.items():
        groups.setdefault(same | {sources[0]} if len(sources) == 1 else same, []).extend(sources)
    return [[sorted(sources), sorted(targets)] for targets, sources in groups.items()]


def _apart(groups: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Undo `_grouped`; sources of one group share a set where they have the same targets."""
    found: dict[str, frozenset[str]] = {}
    for sources, targets in groups:
        every = frozenset(targets)
        for source in sources:
            found[source] = every - {source} if source in every else every
    return found


def fold(
    faults: Iterable[Fault], base: Callable[[DirectedPath], Impairment] = lambda _: CLEAR
) -> NetworkState:
    """Fold these faults into the state of the network in which all of them are in force.

    `base`: what is always there, folded into each path that a fault names.
    """
    faults = list(faults)
    far: dict[str, frozenset[str]] = {}
    up: dict[str, int] = {}
    down: dict[str, int] = {}
    flows: set[Flow] = set()
    for fault in faults:
        flows |= fault.flows
        for source, targets in fault.far.items():
            far[source] = far[source] | targets if source in far else targets
        for rates, more in ((up, fault.up), (down, fault.down)):
            for node, rate_bps in more.items():
                rates[node] = min(rates.get(node, rate_bps), rate_bps)
    return NetworkState(
        paths=Layers(((fault.paths, fault.impairment) for fault in faults), base),
        far=far,
        flows=frozenset(flows),
        up=up,
        down=down,
    )


def fold_conditions(faults: Iterable[Fault]) -> dict[str, Condition]:
    """Return the condition of each node that a fault names: the worst of them."""
    worst = list(Condition).index
    found: dict[str, Condition] = {}
    for fault in faults:
        if fault.condition is not None:
            asked = fault.condition.of_node
            for node in fault.nodes:
                found[node] = max(found.get(node, asked), asked, key=worst)
    return found


def fold_limits(faults: Iterable[Fault]) -> dict[str, Limits]:
    """Return the limits of each node that a fault limits: of each kind the narrowest."""
    by_node: dict[str, list[Limits]] = {}
    for fault in faults:
        if fault.limits != UNLIMITED:
            for node in fault.nodes:
                by_node.setdefault(node, []).append(fault.limits)
    return {node: folded(some) for node, some in by_node.items()}
