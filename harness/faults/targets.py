"""Targets say in words where a fault is. Pure.

``node-7``, ``region:eu`` and ``all`` name nodes; ``A -> B`` (one way) and ``A <-> B`` (both) name
paths.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.choices import did_you_mean, listed
from harness.errors import BadFileError
from harness.faults.paths import Paths
from harness.topology.topology import Node

NAMED = 3  # of many, before it is said how many more there are


def in_short(words: str) -> str:
    """Say whom words mean: of many names the first, and how many more there are."""
    each = [part.strip() for part in words.split(",")]
    if len(each) <= NAMED + 1:
        return words
    return f"{', '.join(each[:NAMED])} and {len(each) - NAMED} more"


def nodes_of(words: str, nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return the nodes that are meant: names and regions, separated by commas, or ``all``.

    Raises BadFileError with what there is.
    """
    found: dict[str, None] = {}
    for word in (part.strip() for part in words.split(",")):
        if word == "all":
            found |= {node.name: None for node in nodes}
        elif word.startswith("region:"):
            region = word.removeprefix("region:")
            inside = [node.name for node in nodes if node.region == region]
            if not inside:
                regions = dict.fromkeys(node.region for node in nodes)
                raise BadFileError(
                    f"there is no region {region!r}{did_you_mean(region, regions)}; there are "
                    f"{listed(regions, region)}"
                )
            found |= dict.fromkeys(inside)
        else:
            names = [node.name for node in nodes]
            if word not in names:
                raise BadFileError(
                    f"there is no node {word!r}{did_you_mean(word, names)}; expected a name, "
                    "region:NAME or all"
                )
            found[word] = None
    return tuple(found)


def paths_of(words: str, nodes: Sequence[Node]) -> Paths:
    """Return the directed paths that are meant. One side alone means both directions with all
    nodes.

    Raises BadFileError.
    """
    for arrow, both in (("<->", True), ("->", False)):
        if arrow in words:
            left, right = (nodes_of(side, nodes) for side in words.split(arrow, 1))
            paths = Paths([(left, right), (right, left)] if both else [(left, right)])
            if not paths:
                raise BadFileError(
                    f"{words!r}: a path leads from one node to another, this names none"
                )
            return paths
    some, every = nodes_of(words, nodes), [node.name for node in nodes]
    return Paths([(some, every), (every, some)])


def is_node(words: str) -> bool:
    """Whether the words name nodes rather than paths."""
    return "->" not in words
