"""A topology says which nodes there are, where they stand, and who is linked with whom.

Frozen values; no files, no chance. Shapes (ring, random-regular, …) are pure functions in
shapes.py; scenario/files.py reads them all.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.choices import did_you_mean, listed
from harness.errors import BadFileError
from harness.topology.impairment import Impairment

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
VERSION = 1  # of topology.json
NODES_MAX = 1_000_000  # what a file may ask for; what a host can hold is preflight's business
DISK_LEAST = 1_000_000
# RFC 2544: set aside for benchmarks, routed nowhere.
BENCHMARK_BLOCK = ipaddress.IPv4Network("198.18.0.0/15")

Option = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: a name (a DNS label of at most 32 characters), a region, and options for its
    adapter. `disk_bytes`: its directory is a disk of its own, of this size; None: the host's.
    `own_clock`: the wall clock that it reads can be made another than the host's.
    """

    name: str
    region: str = "default"
    options: Mapping[str, Option] = field(default_factory=dict)
    disk_bytes: int | None = None
    own_clock: bool = False

    def __post_init__(self) -> None:
        for what, value in (("node name", self.name), ("region", self.region)):
            if not NAME.fullmatch(value):
                raise BadFileError(
                    f"{what} {value!r}: expected 1 to 32 of a-z, 0-9 and '-', beginning and "
                    "ending with a letter or digit"
                )
        if self.disk_bytes is not None and self.disk_bytes < DISK_LEAST:
            raise BadFileError(
                f"disk: expected at least {DISK_LEAST:,} bytes, found {self.disk_bytes:,}"
            )

    def as_json(self) -> dict[str, Any]:
        """Return all that this is; what it has not of its own is left out."""
        own = {"disk_bytes": self.disk_bytes, "own_clock": self.own_clock}
        return {
            "name": self.name,
            "region": self.region,
            "options": dict(self.options),
            **{what: value for what, value in own.items() if value},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Nodes and undirected links between them.

    `baseline` has what is always wrong between regions; faults come later, as network states.
    Raises BadFileError where a name stands twice, a link leads to nobody or to itself, or there are
    no nodes.
    """

    name: str
    nodes: tuple[Node, ...]
    links: frozenset[tuple[str, str]]  # each pair once, in the order of the nodes
    adapter: str = "meshnode"
    addresses: ipaddress.IPv4Network = BENCHMARK_BLOCK
    seed: int = 1
    # TCP's, in every node (reno, …); None: the host's, which the metadata say.
    congestion_control: str | None = None
    # 1: every TCP packet is one segment, so a lost one is 1,448 bytes and not up to 64 kB.
    gso_max_segs: int | None = None
    # Nodes that say nothing new for so long while they start have failed to start.
    silence_s: float = 30.0
    # (region, region), directed → what is always wrong there.
    baseline: Mapping[tuple[str, str], Impairment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gso_max_segs is not None and not 1 <= self.gso_max_segs <= 65_535:
            raise BadFileError(f"gso_max_segs: expected 1 to 65,535, found {self.gso_max_segs}")
        if not self.silence_s > 0:
            raise BadFileError(f"silence_s: expected more than 0 s, found {self.silence_s:g}")
        for pair in self.baseline:
            for region in pair:
                if region not in self.regions:
                    raise BadFileError(
                        f"region_link: there is no region {region!r}"
                        f"{did_you_mean(region, self.regions)}; there are "
                        f"{listed(self.regions, region)}"
                    )
        if not NAME.fullmatch(self.name):
            raise BadFileError(f"topology name {self.name!r}: expected 1 to 32 of a-z, 0-9 and '-'")
        if not self.nodes:
            raise BadFileError("nodes: expected at least 1 node, found 0")
        if len(self.nodes) > NODES_MAX:
            raise BadFileError(f"nodes: at most {NODES_MAX:,} nodes, found {len(self.nodes):,}")
        names: set[str] = set()
        for node in self.nodes:
            if node.name in names:
                raise BadFileError(
                    f"nodes: the name {node.name!r} stands twice; every node needs a name of its "
                    "own"
                )
            names.add(node.name)
        for a, b in self.links:
            for end in (a, b):
                if end not in names:
                    raise BadFileError(f"links: {a} – {b}: there is no node {end!r}")
            if a == b:
                raise BadFileError(f"links: {a} – {b}: a node cannot be linked to itself")

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions, in the order of their first node."""
        return tuple(dict.fromkeys(node.region for node in self.nodes))

    def neighbours(self) -> dict[str, list[str]]:
        """Return for each node the nodes it is linked with, in the order of the nodes."""
        order = {node.name: index for index, node in enumerate(self.nodes)}
        found: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for a, b in self.links:
            found[a].append(b)
            found[b].append(a)
        return {name: sorted(others, key=order.__getitem__) for name, others in found.items()}

    def as_json(self) -> dict[str, Any]:
        """Return all that this is: the content of topology.json."""
        return {
            "version": VERSION,
            "name": self.name,
            "adapter": self.adapter,
            "addresses": str(self.addresses),
            "seed": self.seed,
            "nodes": [node.as_json() for node in self.nodes],
            "links": sorted(self.links),
            "congestion_control": self.congestion_control,
            "gso_max_segs": self.gso_max_segs,
            "silence_s": self.silence_s,
            "baseline": [
                {"from": source, "to": target, **what.as_json()}
                for (source, target), what in sorted(self.baseline.items())
            ],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Topology:
        """Read what `as_json` said. Raises BadFileError for another version, and what is none."""
        if said.get("version") != VERSION:
            raise BadFileError(f"topology: expected version {VERSION}, found {said.get('version')}")
        try:
            return cls(
                **{
                    name: said[name]
                    for name in (
                        *("name", "adapter", "seed", "congestion_control", "gso_max_segs"),
                        "silence_s",
                    )
                },
                addresses=ipaddress.IPv4Network(said["addresses"]),
                nodes=tuple(Node(**one) for one in said["nodes"]),
                links=frozenset((a, b) for a, b in said["links"]),
                baseline={
                    (one.pop("from"), one.pop("to")): Impairment.from_json(one)
                    for one in map(dict, said["baseline"])
                },
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadFileError(f"topology: {type(error).__name__}: {error}") from None

    def among(self, names: Collection[str]) -> Topology:
        """Return the topology of these nodes alone, linked as they were by way of the others.

        Each of the others goes to the one of them that is nearest by links, and so do its links:
        what was in one piece stays so, and a ring stays a ring.
        """
        kept = [node for node in self.nodes if node.name in names]
        near, neighbours = {node.name: node.name for node in kept}, self.neighbours()
        reached = deque(near)
        while reached:
            name = reached.popleft()
            for other in neighbours[name]:
                if other not in near:
                    near[other] = near[name]
                    reached.append(other)
        order = {node.name: index for index, node in enumerate(kept)}
        ends = ((near[a], near[b]) for a, b in self.links if a in near and b in near)
        regions = {node.region for node in kept}
        return replace(
            self,
            nodes=tuple(kept),
            links=frozenset((a, b) if order[a] < order[b] else (b, a) for a, b in ends if a != b),
            baseline={pair: what for pair, what in self.baseline.items() if {*pair} <= regions},
        )

    def digest(self) -> str:
        """Compute what two topologies have in common only where they are the same: SHA-256, hex."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()
