"""Directed paths as blocks, and what is wrong with them as layers.

All paths of a thousand nodes are a million pairs, and one block. What is said of a block is never
said of its pairs one by one. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, reduce

from harness.topology.impairment import CLEAR, Impairment, fold_two

DirectedPath = tuple[str, str]  # source, target
Block = tuple[frozenset[str], frozenset[str]]  # sources, targets


class Paths(AbstractSet[DirectedPath]):
    """The paths from every source of a block to every other of its targets, for some blocks.

    It is equal to any set of the same pairs.
    """

    def __init__(self, blocks: Iterable[tuple[Iterable[str], Iterable[str]]]) -> None:
        self.blocks: tuple[Block, ...] = tuple(
            dict.fromkeys((frozenset(sources), frozenset(targets)) for sources, targets in blocks)
        )

    @classmethod
    def of_pairs(cls, pairs: Iterable[DirectedPath]) -> Paths:
        """Take single paths, a block a source."""
        targets: dict[str, list[str]] = {}
        for source, target in pairs:
            targets.setdefault(source, []).append(target)
        return cls(([source], reached) for source, reached in targets.items())

    def among(self, names: frozenset[str]) -> Paths:
        """Return the paths between these nodes."""
        blocks = ((sources & names, targets & names) for sources, targets in self.blocks)
        return Paths((a, b) for a, b in blocks if a and b and len(a | b) > 1)

    @classmethod
    def _from_iterable(cls, paths: Iterable[DirectedPath]) -> frozenset[DirectedPath]:  # type: ignore[override]
        return frozenset(paths)

    @cached_property
    def apart(self) -> list[Block]:
        """The same paths as blocks in which no source stands twice."""
        member: dict[str, list[int]] = {}
        for number, (sources, _) in enumerate(self.blocks):
            for source in sources:
                member.setdefault(source, []).append(number)
        alike: dict[tuple[int, ...], list[str]] = {}
        for source, numbers in member.items():
            alike.setdefault(tuple(numbers), []).append(source)
        return [
            (frozenset(sources), frozenset().union(*(self.blocks[number][1] for number in numbers)))
            for numbers, sources in alike.items()
        ]

    @cached_property
    def _targets(self) -> dict[str, frozenset[str]]:
        return {source: targets for sources, targets in self.apart for source in sources}

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, tuple):
            return False
        source, target = path
        return source != target and target in self._targets.get(source, ())

    def __iter__(self) -> Iterator[DirectedPath]:
        for sources, targets in self.apart:
            for source in sources:
                for target in targets:
                    if source != target:
                        yield source, target

    @cached_property
    def _count(self) -> int:
        return sum(len(a) * len(b) - len(a & b) for a, b in self.apart)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"Paths({[(sorted(a), sorted(b)) for a, b in self.blocks]})"

    @cached_property
    def _ordered(self) -> list[tuple[list[str], list[str]]]:
        return [(sorted(sources), sorted(targets)) for sources, targets in self.apart]

    def some(self, chance: random.Random, most: int) -> list[DirectedPath]:
        """Draw at most `most` different paths, each as likely as another."""
        blocks = self._ordered
        weights = [len(a) * len(b) for a, b in blocks]
        found: set[DirectedPath] = set()
        for sources, targets in chance.choices(blocks, weights, k=4 * most):
            path = chance.choice(sources), chance.choice(targets)
            if path[0] != path[1] and len(found) < most:
                found.add(path)
        return sorted(found)


class Layers(Mapping[DirectedPath, Impairment]):
    """What is wrong with each path on which one of the layers is: all of them, folded.

    `base` says what is there without any layer, of paths of the layers only.
    """

    def __init__(
        self,
        layers: Iterable[tuple[AbstractSet[DirectedPath], Impairment]],
        base: Callable[[DirectedPath], Impairment] = lambda _: CLEAR,
    ) -> None:
        self.layers: Sequence[tuple[AbstractSet[DirectedPath], Impairment]] = tuple(
            (paths, what) for paths, what in layers if paths and not what.is_clear
        )
        self.base = base
        self._folded: dict[tuple[Impairment, tuple[int, ...]], Impairment] = {}

    def folded(self, path: DirectedPath, layers: tuple[int, ...]) -> Impairment:
        """Fold the layers of these numbers, on a path: of all such paths it is one value."""
        base = self.base(path)
        if (base, layers) not in self._folded:
            what = reduce(fold_two, (self.layers[number][1] for number in layers))
            self._folded[base, layers] = what if base == CLEAR else fold_two(base, what)
        return self._folded[base, layers]

    def __getitem__(self, path: DirectedPath) -> Impairment:
        on = tuple(number for number, (paths, _) in enumerate(self.layers) if path in paths)
        if not on:
            raise KeyError(path)
        return self.folded(path, on)

    def __contains__(self, path: object) -> bool:
        return any(path in paths for paths, _ in self.layers)

    def __iter__(self) -> Iterator[DirectedPath]:
        for number, (paths, _) in enumerate(self.layers):
            earlier = [before for before, _ in self.layers[:number]]
            yield from (path for path in paths if not any(path in one for one in earlier))

    def __len__(self) -> int:
        return len(self.layers[0][0]) if len(self.layers) == 1 else sum(1 for _ in self)
