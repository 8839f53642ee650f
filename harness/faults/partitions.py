"""Partitions cut a network: pure functions from nodes (and a seed) to whom each node cannot reach.

Every cut is a map from a source to its unreachable targets, whose sets are shared where they are
the same. `PATTERNS` is the table that the command line, files and documents use.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.choices import one_of
from harness.errors import BadFileError
from harness.faults.fault import Far
from harness.topology.topology import Node

Pairs = frozenset[tuple[str, str]]


def between(groups: Sequence[Collection[str]]) -> Far:
    """Cut the nodes of each group off from those of every other group."""
    found: dict[str, frozenset[str]] = {}
    for group in groups:
        others = frozenset(name for other in groups if other is not group for name in other)
        found |= dict.fromkeys(group, others)
    return found


def pairs(far: Far) -> Pairs:
    """Return a cut as directed pairs."""
    return frozenset((source, target) for source, targets in far.items() for target in targets)


def halves(nodes: Sequence[Node]) -> Far:
    """Cut the first half of the nodes off from the second."""
    names = _names(nodes, 2)
    return between([names[: len(names) // 2], names[len(names) // 2 :]])


def random_halves(nodes: Sequence[Node], seed: int) -> Far:
    """Cut two halves, drawn by lot, off from each other."""
    names = _names(nodes, 2)
    random.Random(f"{seed}/halves").shuffle(names)
    return between([names[: len(names) // 2], names[len(names) // 2 :]])


def isolate(nodes: Sequence[Node], whom: Collection[str]) -> Far:
    """Cut each named node off from every other, including the other named ones."""
    names = _names(nodes, 2)
    alone = frozenset(whom)
    everybody = frozenset(names)
    return {name: everybody - {name} if name in alone else alone for name in names}


def minority(nodes: Sequence[Node], seed: int) -> Far:
    """Cut the largest group that is less than half, drawn by lot, off from the majority."""
    names = _names(nodes, 3)
    random.Random(f"{seed}/minority").shuffle(names)
    few = (len(names) - 1) // 2
    return between([names[:few], names[few:]])


def bridge(nodes: Sequence[Node]) -> Far:
    """Cut two halves apart, except for the middle node, which reaches both (Jepsen's bridge)."""
    names = _names(nodes, 3)
    middle = len(names) // 2
    return between([names[:middle], names[middle + 1 :]])


def majority_ring(nodes: Sequence[Node], seed: int) -> Far:
    """Leave each node a majority that it reaches, no two the same one (Jepsen's majorities-ring).

    The nodes stand on a ring in an order drawn by lot; each reaches the nearest ones.
    """
    names = _names(nodes, 5)
    random.Random(f"{seed}/ring").shuffle(names)
    count = len(names)
    reach = (count // 2 + 1) // 2  # on each side; with itself a majority
    return {
        names[a]: frozenset(
            names[b] for b in range(count) if min((a - b) % count, (b - a) % count) > reach
        )
        for a in range(count)
    }


def k_way(nodes: Sequence[Node], groups: int, seed: int) -> Far:
    """Cut the nodes into `groups` groups drawn by lot, whose sizes differ by at most one.

    Raises BadFileError for a number of groups that the nodes cannot make.
    """
    names = _names(nodes, 2)
    if not 2 <= groups <= len(names):
        raise BadFileError(
            f"k-way: expected 2 to {len(names)} groups of {len(names)} nodes, found {groups}"
        )
    random.Random(f"{seed}/{groups}-way").shuffle(names)
    return between([names[group::groups] for group in range(groups)])


def by_region(nodes: Sequence[Node]) -> Far:
    """Cut every region off from every other. Raises BadFileError where there is only one."""
    regions: dict[str, list[str]] = {}
    for node in nodes:
        regions.setdefault(node.region, []).append(node.name)
    if len(regions) < 2:
        raise BadFileError(
            "by-region: expected at least 2 regions, this topology has 1 "
            f"({next(iter(regions), 'none')})"
        )
    return between(list(regions.values()))


def one_way(far: Far, order: Sequence[str]) -> Far:
    """Keep, of each pair that is cut, the direction from the node that stands first in `order`."""
    rank = {name: index for index, name in enumerate(order)}
    later = {
        source: frozenset(target for target in targets if rank[source] < rank[target])
        for source, targets in far.items()
    }
    return {source: targets for source, targets in later.items() if targets}


def gray(some: Iterable[tuple[str, str]], part: float, seed: int) -> Pairs:
    """Draw a seeded share of the pairs, at least one: for loss on some paths and none on others.

    Raises BadFileError for a share that is not above 0 and at most 1.
    """
    ordered = sorted(some)
    if not 0 < part <= 1:
        raise BadFileError(
            f"gray: expected a share above 0 % and at most 100 %, found {part * 100:g} %"
        )
    return frozenset(
        random.Random(f"{seed}/gray").sample(ordered, max(1, round(part * len(ordered))))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A cut by name.

    `build` makes it from the nodes, the words after the name, and a seed; `sentence` says what it
    cuts.
    """

    build: Callable[[Sequence[Node], Sequence[str], int], Far]
    words: str
    sentence: str


def _isolated(nodes: Sequence[Node], words: Sequence[str], seed: int) -> Far:
    del seed
    if not words:
        raise BadFileError("isolate: expected the name of at least one node, found none")
    return isolate(nodes, words)


def _ways(nodes: Sequence[Node], words: Sequence[str], seed: int) -> Far:
    if len(words) != 1 or not words[0].isdigit():
        raise BadFileError(
            f"k-way: expected a number of groups, found {' '.join(words) or 'nothing'}"
        )
    return k_way(nodes, int(words[0]), seed)


PATTERNS: dict[str, Pattern] = {
    "halves": Pattern(
        build=lambda nodes, _, __: halves(nodes),
        words="",
        sentence="the first half from the second",
    ),
    "random-halves": Pattern(
        build=lambda nodes, _, seed: random_halves(nodes, seed),
        words="",
        sentence="two halves by lot",
    ),
    "isolate": Pattern(build=_isolated, words="NODE…", sentence="these nodes from everybody"),
    "minority": Pattern(
        build=lambda nodes, _, seed: minority(nodes, seed),
        words="",
        sentence="the largest group below half, by lot, from the others",
    ),
    "bridge": Pattern(
        build=lambda nodes, _, __: bridge(nodes),
        words="",
        sentence="two halves that one node still joins",
    ),
    "majority-ring": Pattern(
        build=lambda nodes, _, seed: majority_ring(nodes, seed),
        words="",
        sentence="each still reaches a majority, no two the same",
    ),
    "k-way": Pattern(build=_ways, words="N", sentence="N groups by lot"),
    "by-region": Pattern(
        build=lambda nodes, _, __: by_region(nodes),
        words="",
        sentence="every region from every other",
    ),
}


def cut(pattern: str, words: Sequence[str], nodes: Sequence[Node], seed: int) -> Far:
    """Return whom each node cannot reach in a named pattern.

    Raises BadFileError for an unknown pattern, node or number.
    """
    if pattern not in PATTERNS:
        raise BadFileError(f"cut: {one_of(pattern, PATTERNS)}")
    if words and not PATTERNS[pattern].words:
        raise BadFileError(f"cut {pattern}: expected nothing after it, found {' '.join(words)!r}")
    return PATTERNS[pattern].build(nodes, words, seed)


def _names(nodes: Sequence[Node], least: int) -> list[str]:
    if len(nodes) < least:
        raise BadFileError(f"this cut wants at least {least} nodes, there are {len(nodes)}")
    return [node.name for node in nodes]
