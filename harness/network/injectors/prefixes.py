"""Large blocks of paths as pairs of prefixes: what a million pairs have in common is one element.
Pure.

Nodes that stand alike in every large block and in their regions are a *kind*. The kinds part the
nodes, so all paths of two kinds are alike, and the prefixes that cover two different kinds never
overlap. A kind that is a whole region is the region's prefix; another is as few prefixes as hold
its addresses and no other node's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from harness.faults.paths import Block, DirectedPath, Layers, Paths
from harness.topology.impairment import CLEAR, Impairment

LARGE = 8  # a block of more paths than so many a node is spread over prefixes


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What all paths between two kinds of nodes have in common, and its pairs of prefixes."""

    targets: Collection[str]
    what: Impairment  # not clear
    elements: frozenset[tuple[str, str]]


class Blocks:
    """Takes the states of one network apart: pairs that are named, and blocks of prefixes."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        prefixes: Mapping[str, str],
        regions: Mapping[str, str],
    ) -> None:
        """As `Compiler`."""
        self._prefixes, self._regions = prefixes, regions
        self._numbers = {name: int(IPv4Address(address)) for name, address in addresses.items()}
        self._sorted = sorted(self._numbers.values())

    def apart(
        self,
        paths: Mapping[DirectedPath, Impairment],
        baseline: Mapping[tuple[str, str], Impairment],
    ) -> tuple[Mapping[DirectedPath, Impairment], list[Spread]]:
        """Return the paths that need an element each, and the blocks that share theirs.

        A named path has all that is wrong with it. A block's is that of large blocks and baseline.
        """
        if not isinstance(paths, Layers):
            return paths, self._spread(None, [], baseline)
        large: list[tuple[int, Block]] = []
        named: dict[DirectedPath, Impairment] = {}
        for number, (some, what) in enumerate(paths.layers):
            blocks = some.blocks if isinstance(some, Paths) else ()
            spread = [block for block in blocks if self._is_large(block, what)]
            large += [(number, block) for block in spread]
            each = some if not spread else Paths(one for one in blocks if one not in spread)
            named |= {path: paths[path] for path in each}
        return named, self._spread(paths, large, baseline)

    def _is_large(self, block: Block, what: Impairment) -> bool:
        """Whether a block is spread over prefixes: only what is in a class can be."""
        sources, targets = block
        is_plain = replace(what, drops_established=False) == in_class(what)
        return is_plain and len(sources) * len(targets) > LARGE * len(self._numbers)

    def _spread(
        self,
        layers: Layers | None,
        large: list[tuple[int, Block]],
        baseline: Mapping[tuple[str, str], Impairment],
    ) -> list[Spread]:
        if not large and not baseline:
            return []
        kinds: dict[tuple[object, ...], list[str]] = {}
        for name, region in self._regions.items():
            stands = [(name in sources, name in targets) for _, (sources, targets) in large]
            kinds.setdefault((region, *stands), []).append(name)
        covers = [frozenset(self._cover(kind)) for kind in kinds.values()]
        found: list[Spread] = []
        for a, covered in zip(kinds.values(), covers, strict=True):
            for b, reached in zip(kinds.values(), covers, strict=True):
                source, target = a[0], b[-1]  # of one kind alike, but a node has no path to itself
                on = {at for at, (some, others) in large if source in some and target in others}
                if layers is None or not on:
                    pair = (self._regions[source], self._regions[target])
                    what = in_class(baseline.get(pair, CLEAR))
                else:
                    what = in_class(layers.folded((source, target), tuple(sorted(on))))
                if what != CLEAR and (source != target or not on):
                    elements = frozenset((one, other) for one in covered for other in reached)
                    found.append(Spread(targets=b, what=what, elements=elements))
        return found

    def _cover(self, kind: Collection[str]) -> Iterator[str]:
        """Yield as few prefixes as hold these nodes of one region and no other node."""
        [region] = {self._regions[name] for name in kind}
        inside = {self._numbers[name] for name in kind}
        waiting = [IPv4Network(self._prefixes[region])]
        while waiting:
            network = waiting.pop()
            first, last = int(network.network_address), int(network.broadcast_address)
            there = self._sorted[
                bisect_left(self._sorted, first) : bisect_left(self._sorted, last + 1)
            ]
            count = sum(number in inside for number in there)
            if count and count == len(there):
                # As nft lists it: one address has no length.
                yield str(network if last > first else network.network_address)
            elif count:
                waiting += network.subnets()


def in_class(what: Impairment) -> Impairment:
    """Return the part of an impairment that packets of a class share."""
    return replace(what, blocked=False, refuses_new=False, drops_established=False, toxics=())
