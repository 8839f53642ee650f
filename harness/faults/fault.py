"""What can be wrong with a network: impairments of directed paths and of nodes' links, as values.
No network is touched here.

Units: ms, probabilities 0–1, bits a second. Faults that overlap on one path are folded by `fold`:
delays add, variances of jitter add, losses compound, the narrower rate wins, a cut stays a cut.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from harness.topology.impairment import CLEAR, Impairment, fold_two

DirectedPath = tuple[str, str]  # source, target: one direction
Flow = tuple[
    str, int, str, int
]  # source and its port, target and its port: one direction of a connection
Far = Mapping[
    str, frozenset[str]
]  # of a cut: source → whom it cannot reach. Sets are shared: a thousand nodes in halves are two


class Condition(StrEnum):
    """The state of one node now."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """All that is wrong at one moment. What is not named is clear. `up` and `down`: bits a second
    of a node's own link.
    """

    paths: Mapping[DirectedPath, Impairment] = field(default_factory=dict)
    flows: frozenset[Flow] = frozenset()  # of established connections that are cut
    far: Far = field(default_factory=dict)
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)

    def of(self, source: str, target: str) -> Impairment:
        """What is wrong with a path."""
        what = self.paths.get((source, target), CLEAR)
        return replace(what, blocked=True) if target in self.far.get(source, ()) else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that somebody asked for, its words resolved to nodes. `name` tells it from others
    and is how it is taken back.
    """

    name: str
    paths: frozenset[DirectedPath] = frozenset()
    impairment: Impairment = CLEAR
    far: Far = field(default_factory=dict)  # a cut: the paths on which nothing passes
    flows: frozenset[Flow] = frozenset()  # what `drops_established` found when it came
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)
    words: str = ""  # as it was asked

    @property
    def count(self) -> int:
        """How many paths it is on."""
        return len(self.paths) + sum(map(len, self.far.values()))

    def touches(self, source: str, target: str) -> bool:
        """Whether it has to do with a path, by name or by the links of its ends."""
        return (
            (source, target) in self.paths
            or target in self.far.get(source, ())
            or source in self.up
            or target in self.down
        )

    def some(self, chance: random.Random, most: int) -> list[DirectedPath]:
        """A sample of its paths: all of them where they are few."""
        if self.count <= 4 * most:
            every = sorted(
                {
                    *self.paths,
                    *(
                        (source, target)
                        for source, targets in self.far.items()
                        for target in targets
                    ),
                }
            )
            return chance.sample(every, min(most, len(every)))
        if self.paths:
            return chance.sample(sorted(self.paths), most)
        sources = chance.choices(
            sorted(self.far), [len(self.far[source]) for source in sorted(self.far)], k=most
        )
        return sorted({(source, chance.choice(sorted(self.far[source]))) for source in sources})

    @property
    def does(self) -> str:
        """What it does, as a person says it."""
        rates = [
            f"{direction} {rate / 1e6:g} Mbit/s"
            for direction, of in (("up", self.up), ("down", self.down))
            for rate in sorted(set(of.values()))
        ]
        said = (["cut"] if self.far else []) + (
            [] if self.impairment.is_clear else [self.impairment.words()]
        )
        return ", ".join([*said, *rates]) or "nothing"


def fold(faults: Iterable[Fault]) -> NetworkState:
    """The state in which all of these faults are in force."""
    paths: dict[DirectedPath, Impairment] = {}
    far: dict[str, frozenset[str]] = {}
    up: dict[str, int] = {}
    down: dict[str, int] = {}
    flows: set[Flow] = set()
    for fault in faults:
        flows |= fault.flows
        for source, targets in fault.far.items():
            far[source] = far[source] | targets if source in far else targets
        for path in fault.paths:
            before = paths.get(path)
            paths[path] = fault.impairment if before is None else fold_two(before, fault.impairment)
        for rates, more in ((up, fault.up), (down, fault.down)):
            for node, rate_bps in more.items():
                rates[node] = min(rates.get(node, rate_bps), rate_bps)
    return NetworkState(
        paths={path: what for path, what in paths.items() if not what.is_clear},
        far=far,
        flows=frozenset(flows),
        up=up,
        down=down,
    )
