"""The compiler turns a network state into addresses and classes, as injectors take it. Pure.

A *class* is a number for each distinct impairment. A packet finds its class by its path: first in
`Compiled.paths`, an element for each pair of addresses; then in `Compiled.regions`, an element for
each pair of prefixes. No two elements of `regions` overlap, so read-back can compare both maps with
what was compiled, element by element. What large blocks of paths have in common (`all`, regions,
baselines) is in prefixes (prefixes.py), all else in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import HarnessError
from harness.faults.fault import Far, NetworkState
from harness.network.injectors.prefixes import Blocks, Spread, in_class
from harness.topology.impairment import CLEAR, Impairment, Toxic

# 1 is the root's own handle. A class has 16 bits in the mark and in HTB's minor, of which those
# with the highest bit are the tree's own.
CLASS_FIRST, CLASS_MAX = 2, 0x7FFF
AddressPair = tuple[str, str]
AddressFlow = tuple[str, int, str, int]  # address and port, address and port
DialledPath = tuple[str, str, int]  # who dials, who is dialled, at which port


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A compiled network state; each injector reads its part of it.

    Addresses are dotted IPv4. Nodes of `up`, `down` and `into` are positions in the topology.
    """

    far: Mapping[str, frozenset[str]] = field(default_factory=dict)  # source → whom it cannot reach
    refusing: frozenset[AddressPair] = frozenset()  # pairs between which nothing new is made
    flows: frozenset[AddressFlow] = frozenset()  # established connections that are cut
    classes: Mapping[int, Impairment] = field(default_factory=dict)  # without cuts and toxics
    paths: Mapping[AddressPair, int] = field(default_factory=dict)  # path → class
    # Pair of prefixes → class, where no pair is named. Disjoint.
    regions: Mapping[AddressPair, int] = field(default_factory=dict)
    # Node → classes of paths that lead to it.
    into: Mapping[int, frozenset[int]] = field(default_factory=dict)
    up: Mapping[int, int] = field(default_factory=dict)  # node → bits a second, as `down`
    down: Mapping[int, int] = field(default_factory=dict)
    streams: Mapping[DialledPath, tuple[Toxic, ...]] = field(default_factory=dict)

    @property
    def is_counted(self) -> bool:
        """Whether anything is in force that counters show: a rate, a loss, cut connections."""
        amounts = (what.rate_bps or what.loss for what in self.classes.values())
        return bool(self.up or self.down or self.flows) or any(amounts)


class Compiler:
    """Compiles the states of one network, one after the other.

    A class keeps its number as long as something uses it, also where its impairment changes and its
    paths stay the same. A number that was given up does not return soon.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        prefixes: Mapping[str, str],
        regions: Mapping[str, str],
        ports: Sequence[int] = (),
    ) -> None:
        """`addresses`: node → address, in the topology's order; `prefixes`: region → prefix.

        `regions`: node → region; `ports`: TCP ports at which nodes are dialled.
        """
        self._ports = ports
        self._addresses, self._regions = addresses, regions
        self._blocks = Blocks(addresses, prefixes, regions)
        self._index = {name: index for index, name in enumerate(addresses)}
        self._numbers: dict[Impairment, int] = {}
        # Class → the paths and regions in it.
        self._users: dict[int, frozenset[tuple[str, str]]] = {}
        self._last = CLASS_FIRST - 1

    def compile(
        self, state: NetworkState, baseline: Mapping[tuple[str, str], Impairment]
    ) -> Compiled:
        """Compile a state. `baseline`: (region, region) → what is always there.

        The baseline is already folded into `state` where a path is named. Raises HarnessError where
        there are more impairments than numbers.
        """
        address = self._addresses
        named, spread = self._blocks.apart(state.paths, baseline)
        # A fault's paths share one value.
        same = {id(what): in_class(what) for what in named.values()}
        paths = {path: same[id(what)] for path, what in named.items()}
        # A path that is named and clear still needs its own class where its prefixes have one:
        # theirs would be taken.
        shadowing = {
            path for path, what in paths.items() if what == CLEAR and self._pair(path) in baseline
        }
        users: dict[Impairment, set[tuple[str, str]]] = {}
        for path, what in paths.items():
            if what != CLEAR or path in shadowing:
                users.setdefault(what, set()).add(path)
        for block in spread:
            users.setdefault(block.what, set()).update(block.elements)
        numbers = self._number({what: frozenset(pairs) for what, pairs in users.items()})
        return Compiled(
            far=self._far(state.far, named),
            refusing=frozenset(
                (address[a], address[b]) for (a, b), what in named.items() if what.refuses_new
            ),
            flows=frozenset(
                (address[a], a_port, address[b], b_port) for a, a_port, b, b_port in state.flows
            ),
            classes={number: what for what, number in numbers.items()},
            paths={
                (address[a], address[b]): numbers[what]
                for (a, b), what in paths.items()
                if what != CLEAR or (a, b) in shadowing
            },
            regions={
                element: numbers[block.what] for block in spread for element in block.elements
            },
            into=self._into(paths, spread, numbers),
            up={self._index[name]: rate for name, rate in state.up.items()},
            down={self._index[name]: rate for name, rate in state.down.items()},
            streams={
                (address[a], address[b], port): what.toxics
                for (a, b), what in named.items()
                if what.toxics
                for port in self._ports
            },
        )

    def _into(
        self,
        paths: Mapping[tuple[str, str], Impairment],
        spread: Sequence[Spread],
        numbers: Mapping[Impairment, int],
    ) -> dict[int, frozenset[int]]:
        """Return, for each node, the classes of the paths and blocks that lead to it."""
        into: dict[int, set[int]] = {}
        for (_, target), what in paths.items():
            if what != CLEAR:
                into.setdefault(self._index[target], set()).add(numbers[what])
        for block in spread:
            for target in block.targets:
                into.setdefault(self._index[target], set()).add(numbers[block.what])
        return {node: frozenset(classes) for node, classes in into.items()}

    def _far(
        self, far: Far, named: Mapping[tuple[str, str], Impairment]
    ) -> dict[str, frozenset[str]]:
        """Translate the cuts to addresses; sources that share a set of targets share it here too.

        A blocked path is a cut.
        """
        made: dict[frozenset[str], frozenset[str]] = {}
        found: dict[str, frozenset[str]] = {}
        for source, targets in far.items():
            if targets not in made:
                made[targets] = frozenset(self._addresses[target] for target in targets)
            found[self._addresses[source]] = made[targets]
        for (a, b), what in named.items():
            if what.blocked:
                found[self._addresses[a]] = found.get(self._addresses[a], frozenset()) | {
                    self._addresses[b]
                }
        return {source: targets for source, targets in found.items() if targets}

    def _pair(self, path: tuple[str, str]) -> tuple[str, str]:
        return self._regions[path[0]], self._regions[path[1]]

    def _number(
        self, users: Mapping[Impairment, frozenset[tuple[str, str]]]
    ) -> dict[Impairment, int]:
        """Give each impairment the number of its class.

        It keeps the number it had. A new impairment takes over the class of the same paths, which
        is then changed in place; else it gets a new number. A class that held packets and is to
        hold none is not taken over: its queueing discipline is of another kind, and what it holds
        would be lost.
        """
        kept = {what: number for what, number in self._numbers.items() if what in users}
        free = {
            (self._users[number], what.is_held): number
            for what, number in self._numbers.items()
            if what not in users
        }
        taken = set(self._numbers.values())
        for what in sorted(users.keys() - kept.keys(), key=repr):
            if (users[what], what.is_held) in free:
                kept[what] = free.pop((users[what], what.is_held))
                continue
            for _ in range(CLASS_MAX):
                self._last = CLASS_FIRST if self._last >= CLASS_MAX else self._last + 1
                if self._last not in taken:
                    break
            else:
                raise HarnessError(f"more than {CLASS_MAX:,} different impairments at once")
            kept[what] = self._last
            taken.add(self._last)
        self._numbers, self._users = kept, {number: users[what] for what, number in kept.items()}
        return kept
