"""Shapes of overlays: pure functions from node names (and a seed) to links.

Docs and errors come from the table SHAPES.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError

Links = frozenset[tuple[str, str]]
_REWIRE_ATTEMPTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A way to link nodes: its function, its numbers (if it takes any) and one sentence."""

    build: Callable[[Sequence[str], dict[str, float], random.Random], set[tuple[int, int]]]
    parameters: dict[str, float]  # name → default
    sentence: str


def links(kind: str, names: Sequence[str], parameters: dict[str, float], seed: int) -> Links:
    """Link `names` in the shape `kind`; the result is one connected component for every shape.

    Raises BadFileError for an unknown shape or parameter, or a number that the shape cannot have.
    """
    shape = SHAPES.get(kind)
    if shape is None:
        raise BadFileError(f"shape.kind: {one_of(kind, SHAPES)}")
    for name in parameters:
        if name not in shape.parameters:
            possible = ", ".join(shape.parameters) or "none"
            raise BadFileError(
                f"shape.{name}: the shape {kind} has no such number; possible: "
                f"{possible}{did_you_mean(name, shape.parameters)}"
            )
    built = shape.build(names, shape.parameters | parameters, random.Random(f"{seed}/{kind}"))
    return frozenset((names[min(a, b)], names[max(a, b)]) for a, b in built)


def _whole(values: dict[str, float], name: str, least: int, most: float) -> int:
    value = values[name]
    if not math.isfinite(value) or value != int(value) or not least <= value <= most:
        raise BadFileError(
            f"shape.{name}: expected a whole number from {least} to {most:g}, found {value:g}"
        )
    return int(value)


def _share(values: dict[str, float], name: str) -> float:
    if not 0 <= values[name] <= 1:
        raise BadFileError(
            f"shape.{name}: expected a probability from 0 to 1, found {values[name]:g}"
        )
    return values[name]


def full_mesh(names: Sequence[str], _: dict[str, float], __: random.Random) -> set[tuple[int, int]]:
    return {(a, b) for b in range(len(names)) for a in range(b)}


def line(names: Sequence[str], _: dict[str, float], __: random.Random) -> set[tuple[int, int]]:
    return {(a, a + 1) for a in range(len(names) - 1)}


def ring(
    names: Sequence[str], values: dict[str, float], rng: random.Random
) -> set[tuple[int, int]]:
    closed = {(0, len(names) - 1)} if len(names) > 2 else set()
    return line(names, values, rng) | closed


def star(names: Sequence[str], _: dict[str, float], __: random.Random) -> set[tuple[int, int]]:
    return {(0, b) for b in range(1, len(names))}


def tree(names: Sequence[str], values: dict[str, float], _: random.Random) -> set[tuple[int, int]]:
    children = _whole(values, "children", 1, 1000)
    return {((b - 1) // children, b) for b in range(1, len(names))}


def grid(names: Sequence[str], _: dict[str, float], __: random.Random) -> set[tuple[int, int]]:
    columns = math.ceil(math.sqrt(len(names)))
    found = set()
    for a in range(len(names)):
        if (a + 1) % columns and a + 1 < len(names):
            found.add((a, a + 1))
        if a + columns < len(names):
            found.add((a, a + columns))
    return found


def random_regular(
    names: Sequence[str], values: dict[str, float], rng: random.Random
) -> set[tuple[int, int]]:
    """Give every node `degree` links: the pairing model with repair by switches (Steger & Wormald
    1999).
    """
    count = len(names)
    degree = _whole(values, "degree", 1, 1000)
    if degree >= count:
        return full_mesh(names, values, rng)
    if degree == 1 and count > 2:
        raise BadFileError("shape.degree: 1 cannot connect more than two nodes; expected 2 or more")
    if degree * count % 2:
        raise BadFileError(
            f"shape.degree: {count} nodes × degree {degree} is odd, and a link has two ends; "
            "change one"
        )
    for _ in range(_REWIRE_ATTEMPTS):
        found = _pairing(count, degree, rng)
        if found is not None and is_connected(count, found):
            return found
    raise BadFileError(
        f"shape: no connected {degree}-regular graph of {count} nodes was found; expected a "
        "larger degree"
    )


def _pairing(count: int, degree: int, rng: random.Random) -> set[tuple[int, int]] | None:
    stubs = [node for node in range(count) for _ in range(degree)]
    found: set[tuple[int, int]] = set()
    while stubs:
        rng.shuffle(stubs)
        left: list[int] = []
        for a, b in zip(stubs[::2], stubs[1::2], strict=True):
            pair = (min(a, b), max(a, b))
            if a == b or pair in found:
                left += [a, b]
            else:
                found.add(pair)
        if len(left) == len(stubs) and not any(
            a != b and (min(a, b), max(a, b)) not in found for a in left for b in left
        ):
            return None
        stubs = left
    return found


def small_world(
    names: Sequence[str], values: dict[str, float], rng: random.Random
) -> set[tuple[int, int]]:
    """Link a ring lattice of even `degree`; move each link's far end with probability `rewire`.

    Watts & Strogatz 1998.
    """
    count = len(names)
    degree = _whole(values, "degree", 2, 1000)
    if degree % 2:
        raise BadFileError(f"shape.degree: expected an even number, found {degree}")
    rewire = _share(values, "rewire")
    if degree >= count - 1:
        return full_mesh(names, values, rng)
    reach = degree // 2
    lattice = [(a, (a + step) % count) for a in range(count) for step in range(1, reach + 1)]
    for _ in range(_REWIRE_ATTEMPTS):
        found = {(min(a, b), max(a, b)) for a, b in lattice}
        for a, b in lattice:
            if rng.random() < rewire:
                target = rng.randrange(count)
                pair = (min(a, target), max(a, target))
                if target != a and pair not in found:
                    found.discard((min(a, b), max(a, b)))
                    found.add(pair)
        if is_connected(count, found):
            return found
    raise BadFileError(
        f"shape: no connected small world of {count} nodes was found; expected a larger degree"
    )


def scale_free(
    names: Sequence[str], values: dict[str, float], rng: random.Random
) -> set[tuple[int, int]]:
    """Link each new node to `attach` earlier ones, chosen in proportion to their degree.

    Barabási & Albert 1999.
    """
    attach = _whole(values, "attach", 1, 100)
    seeds = min(attach + 1, len(names))
    found = full_mesh(names[:seeds], values, rng)
    ends = [end for pair in sorted(found) for end in pair] or [0]
    for new in range(seeds, len(names)):
        chosen: set[int] = set()
        while len(chosen) < attach:
            chosen.add(rng.choice(ends))
        for old in sorted(chosen):
            found.add((old, new))
            ends += [old, new]
    return found


def is_connected(count: int, pairs: set[tuple[int, int]]) -> bool:
    """Whether the nodes 0 … count − 1 are one component (union-find with path halving)."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    components = count
    for a, b in pairs:
        left, right = root(a), root(b)
        if left != right:
            parent[left] = right
            components -= 1
    return components == 1


SHAPES: dict[str, Shape] = {
    "full-mesh": Shape(build=full_mesh, parameters={}, sentence="everybody with everybody"),
    "ring": Shape(
        build=ring, parameters={}, sentence="each with the next, the last with the first"
    ),
    "line": Shape(build=line, parameters={}, sentence="each with the next"),
    "star": Shape(build=star, parameters={}, sentence="the first with all others"),
    "tree": Shape(build=tree, parameters={"children": 2}, sentence="each with `children` below it"),
    "grid": Shape(build=grid, parameters={}, sentence="a square grid, four neighbours"),
    "random-regular": Shape(
        build=random_regular, parameters={"degree": 8}, sentence="each with `degree` random others"
    ),
    "small-world": Shape(
        build=small_world,
        parameters={"degree": 8, "rewire": 0.1},
        sentence="a ring lattice, partly rewired",
    ),
    "scale-free": Shape(
        build=scale_free,
        parameters={"attach": 4},
        sentence="hubs: new nodes prefer the well linked",
    ),
}
