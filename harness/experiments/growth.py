"""A run grows: its topology gets more nodes, and each new one is like one that is there. Pure.

It is of the region of its like, with its options. Nodes are linked by the shape of the topology's
file, where that has one; else a new node is linked with its like and with all that this one is. It
is on the side of a cut that its like is on, or on that of another, where that one stands alone: one
that is cut off alone stays alone. What is on all nodes of a region, or on all, is on the new too;
a fault of nodes or paths that are named stays where it was.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from harness.errors import BadFileError
from harness.experiments.original import Original
from harness.faults.fault import Far, Fault
from harness.faults.paths import Paths
from harness.scenario import files
from harness.topology.topology import Node, Topology

TOPOLOGY = "topology.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A topology with more nodes, and each new one's like, by their names."""

    topology: Topology
    like: Mapping[str, Node]

    def fault(self, fault: Fault) -> Fault:
        """Return a fault as it is in the larger topology."""
        paths = fault.paths if isinstance(fault.paths, Paths) else Paths.of_pairs(fault.paths)
        return replace(
            fault,
            paths=Paths((self._every(a), self._every(b)) for a, b in paths.blocks),
            far=self._far(fault.far),
            up=self._rates(fault.up),
            down=self._rates(fault.down),
            nodes=self.names(fault.nodes),
        )

    def names(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """Return these nodes, and the new ones of each region of which they are all."""
        return (*named, *sorted(self._every(named) - {*named}, key=[*self.like].index))

    def _every(self, named: Iterable[str]) -> frozenset[str]:
        some = frozenset(named)
        left = {
            node.region
            for node in self.topology.nodes
            if node.name not in self.like and node.name not in some
        }
        more = {name for name, like in self.like.items() if like.region not in left}
        return some | more if len(some) > 1 else some

    def _rates(self, rates: Mapping[str, int]) -> dict[str, int]:
        """Return the rates of links; new nodes have one where all of a region have the same."""
        found = dict(rates)
        for rate_bps in set(rates.values()):
            alike = [name for name, one in rates.items() if one == rate_bps]
            found |= dict.fromkeys(self._every(alike), rate_bps)
        return found

    def _far(self, far: Far) -> dict[str, frozenset[str]]:
        if not far:
            return {}
        sides: dict[frozenset[str], list[str]] = {}
        for node in self.topology.nodes:
            if node.name not in self.like:
                sides.setdefault(far.get(node.name, frozenset()), []).append(node.name)
        company = [name for side in sides.values() if len(side) > 1 for name in side]
        company = company or [name for side in sides.values() for name in side]
        beside = {
            name: like.name if like.name in company else company[number % len(company)]
            for number, (name, like) in enumerate(self.like.items())
        }
        grown: dict[AbstractSet[str], frozenset[str]] = {
            targets: targets | {name for name, other in beside.items() if other in targets}
            for targets in set(far.values())
        }
        found = {source: grown[targets] for source, targets in far.items()}
        return found | {name: found[other] for name, other in beside.items() if other in found}


def grown(of: Original, count: int) -> Growth:
    """Return the topology of a run with so many nodes, more than it has. Raises BadFileError."""
    old = of.scenario.topology
    like = _alike(old, count)
    nodes = tuple(replace(model, name=name) for name, model in like.items())
    links = _shaped(of, [*(node.name for node in old.nodes), *like])
    topology = replace(
        old, nodes=old.nodes + nodes, links=_linked(old, like) if links is None else links
    )
    return Growth(topology=topology, like=like)


def _alike(old: Topology, count: int) -> dict[str, Node]:
    """Name the new nodes as those that are there, and give each its like: evenly from all."""
    there = {node.name for node in old.nodes}
    more = count - len(old.nodes)
    prefix = re.sub(r"-?[0-9]+$", "", old.nodes[-1].name) or "node"
    found: dict[str, Node] = {}
    number = len(old.nodes)
    while len(found) < more:
        if (name := f"{prefix}-{number}") not in there:
            turn = len(found) if more > len(old.nodes) else len(found) * len(old.nodes) // more
            found[name] = old.nodes[turn % len(old.nodes)]
        number += 1
    return found


def _shaped(of: Original, names: list[str]) -> frozenset[tuple[str, str]] | None:
    """Link these nodes by the shape of the topology's file; None where it has none that made the
    links of the run.
    """
    try:
        values = tomllib.loads(of.files[TOPOLOGY])
        before = files.topology_from(dict(values), TOPOLOGY, "before")
        nodes = {**values["nodes"], "count": len(names)}
        after = files.topology_from({**values, "nodes": nodes}, TOPOLOGY, "after")
    except (KeyError, TypeError, tomllib.TOMLDecodeError, BadFileError):
        return None
    made = [node.name for node in before.nodes], before.links
    was = [node.name for node in of.scenario.topology.nodes], of.scenario.topology.links
    return after.links if made == was and [node.name for node in after.nodes] == names else None


def _linked(old: Topology, like: Mapping[str, Node]) -> frozenset[tuple[str, str]]:
    """Link each new node with its like, and with all that this one is linked with, and their likes
    among the new.
    """
    alike: dict[str, list[str]] = {node.name: [node.name] for node in old.nodes}
    for name, model in like.items():
        alike[model.name].append(name)
    order = {name: index for index, name in enumerate([*(one.name for one in old.nodes), *like])}
    found = {(a, b) for one, other in old.links for a in alike[one] for b in alike[other]}
    found |= {(a, b) for group in alike.values() for a in group for b in group if a != b}
    return frozenset((a, b) if order[a] < order[b] else (b, a) for a, b in found)
