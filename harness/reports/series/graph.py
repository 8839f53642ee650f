"""The topology as a picture: where each node stands, in groups that a cut or regions make. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.history.history import History
from harness.operations import Outcome
from harness.reports.series import bands

WIDTH = 520.0
COLUMNS_MOST = 4
RING_MOST = 40  # nodes on a ring; more fill a disc
LINKS_MOST = 20_000  # more would be a black disc
CUTS_MOST = 3
MARGIN, LABEL = 10.0, 20.0
# What may have been the matter with a node, the worst first.
WORST = ("ended", "crashed", "killed", "stopped", "restarted", "paused", "slowed", "limited")
GOLDEN = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A node: its place in the picture, the kind of the worst that happened to it (empty: it ran
    throughout), and a sentence.
    """

    name: str
    x: float
    y: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Nodes that stand together: a side of a cut, or a region."""

    name: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A picture of a topology. `links` are pairs of positions of their ends, `cut` those that the
    picture's cut took.
    """

    title: str
    dots: tuple[Dot, ...]
    groups: tuple[Group, ...]
    links: tuple[tuple[int, int], ...]
    cut: tuple[tuple[int, int], ...]
    height: float
    note: str


def graphs(history: History, regions: Sequence[str]) -> list[Graph]:
    """Draw the nodes by the sides of each cut that parted them; of a run without one, by region."""
    if not history.nodes:
        return []
    cuts: dict[str, Mapping[str, int]] = {}  # title → the sides of the cut
    for change in bands.asked_for(history):
        if change.is_set and change.sides:
            _add(cuts, f"Cut {change.fault}", change.sides)
    if not cuts:
        return [_graph(history, "Nodes and links", regions, {})]
    drawn = [
        _graph(history, title, _sides(history, sides), sides)
        for title, sides in list(cuts.items())[:CUTS_MOST]
    ]
    if more := len(cuts) - len(drawn):
        drawn[-1] = replace(drawn[-1], note=f"{drawn[-1].note}; {more} more cuts are not drawn")
    return drawn


def _add(cuts: dict[str, Mapping[str, int]], title: str, sides: Mapping[str, int]) -> None:
    """Add a cut, where there is none of that title with these sides: ``Cut halves (2)``."""
    titles = itertools.chain([title], (f"{title} ({number})" for number in itertools.count(2)))
    free = next(one for one in titles if cuts.get(one, sides) == sides)
    cuts[free] = sides


def _letters(number: int) -> str:
    """Name a side as spreadsheets name columns: A to Z, then AA."""
    rest, last = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + last)


def _sides(history: History, sides: Mapping[str, int]) -> list[str]:
    """Name each node's side of a cut; nodes that are each alone are one group."""
    sizes = [0] * (max(sides.values(), default=0) + 1)
    for side in sides.values():
        sizes[side] += 1
    shared = [number for number, size in enumerate(sizes) if size > 1]
    names = {number: f"side {_letters(at)}" for at, number in enumerate(shared)}
    alone = sum(size == 1 for size in sizes)
    lone = "alone" if alone == 1 else "each alone"
    return [
        names.get(sides[node], lone) if node in sides else "not in the cut"
        for node in history.nodes
    ]


def _graph(
    history: History, title: str, group_of: Sequence[str], sides: Mapping[str, int]
) -> Graph:
    members: dict[str, list[int]] = {}
    for node, group in enumerate(group_of):
        members.setdefault(group, []).append(node)
    groups, height = _placed(members)
    places: dict[int, tuple[float, float]] = {}
    for placed in groups:
        mine = members[placed.name]
        places.update(zip(mine, _inside(placed, len(mine)), strict=True))
    side_of = [sides.get(node) for node in history.nodes]

    def is_cut(ends: tuple[int, int]) -> bool:
        """Whether the cut lies between them: it parts only those that are on a side of it."""
        a, b = (side_of[end] for end in ends)
        return a is not None and b is not None and a != b

    links = sorted(history.links)
    drawn = links if len(links) <= LINKS_MOST else []
    said = f"{len(history.nodes):,} nodes, {len(links):,} links"
    if sides:
        said += f", of which {sum(map(is_cut, links)):,} cross the cut"
    if len(drawn) < len(links):
        said += "; so many are not drawn"
    return Graph(
        title=title,
        dots=_dots(history, places),
        groups=tuple(groups),
        links=tuple(ends for ends in drawn if not is_cut(ends)),
        cut=tuple(ends for ends in drawn if is_cut(ends)),
        height=height,
        note=said,
    )


def _placed(members: Mapping[str, Sequence[int]]) -> tuple[list[Group], float]:
    """Put groups into rows, each as large as it has nodes; return the picture's height too."""
    columns = min(len(members), COLUMNS_MOST)
    cell = WIDTH / columns
    largest = max(len(mine) for mine in members.values())
    most = min(cell / 2 - MARGIN, 150.0)
    found = []
    for number, (name, mine) in enumerate(members.items()):
        row, column = divmod(number, columns)
        found.append(
            Group(
                name=name,
                x=cell * (column + 0.5),
                y=(2 * most + LABEL + MARGIN) * row + most + LABEL,
                radius=max(most * math.sqrt(len(mine) / largest), 14.0),
            )
        )
    rows = -(-len(members) // columns)
    return found, rows * (2 * most + LABEL + MARGIN) + MARGIN


def _inside(group: Group, count: int) -> list[tuple[float, float]]:
    """Place nodes in their group: one in its middle, few on a ring, many over its disc."""
    if count == 1:
        return [(group.x, group.y)]
    found = []
    for number in range(count):
        if count <= RING_MOST:
            angle, away = 2 * math.pi * number / count, group.radius - 6
        else:
            angle = number * GOLDEN
            away = (group.radius - 6) * math.sqrt((number + 0.5) / count)
        found.append((group.x + away * math.sin(angle), group.y - away * math.cos(angle)))
    return found


def _bad(history: History, end: str) -> npt.NDArray[np.int64]:
    """Count, for each node, the operations that did not come true, by their source or target."""
    node = history.column(end).astype(np.int64)
    mine = (history.column("outcome") != Outcome.OK) & (node >= 0)
    return np.bincount(node[mine], minlength=len(history.nodes)).astype(np.int64)


def _kinds(history: History) -> dict[str, list[str]]:
    """Find what was the matter with each node at some time, the worst first: by faults, and by
    what happened to it besides.
    """
    found = {(one.node, one.kind) for one in bands.away(history)}
    for change in bands.asked_for(history):
        if change.is_set:
            found |= {(node, bands.kind_of(change.does)) for node in change.nodes}
    by_node: dict[str, list[str]] = {}
    for kind in WORST:
        for node, _ in sorted(one for one in found if one[1] == kind):
            by_node.setdefault(node, []).append(kind)
    return by_node


def _dots(history: History, places: Mapping[int, tuple[float, float]]) -> tuple[Dot, ...]:
    kinds, (to, by) = _kinds(history), (_bad(history, end) for end in ("target", "source"))
    found = []
    for node, name in enumerate(history.nodes):
        mine, lost = kinds.get(name, []), int(to[node] + by[node])
        kind, says = mine[0] if mine else "", f"{name}: {', '.join(mine) or 'ran throughout'}"
        if lost:
            says += f"; did not come true: {int(by[node]):,} by it, {int(to[node]):,} to it"
        x, y = places[node]
        found.append(Dot(name=name, x=x, y=y, kind=kind or ("bad" if lost else ""), says=says))
    return tuple(found)
