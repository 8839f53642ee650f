"""Files: topologies, scenarios and budgets are read from TOML into the vocabulary.

Every key is known or refused, with what is possible. An error reads ``FILE: KEY: expected …, found
…; possible: …``; syntax errors carry line and column.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean
from harness.errors import BadFileError
from harness.faults.spec import FaultSpec, parse
from harness.history.plan import PhaseKind
from harness.scenario import own_operations, shipped, soak
from harness.scenario.budget import Budget, Conditions, Row
from harness.scenario.churn import read_churn
from harness.scenario.profiles import read_profile
from harness.scenario.rate import Profile
from harness.scenario.region_links import read_region_links
from harness.scenario.scenario import Phase, Scenario, Suite
from harness.scenario.stream import Arrivals, Stream
from harness.scenario.tables import Table, load, with_file
from harness.topology import shapes
from harness.topology.quantities import size_bytes, time_ms
from harness.topology.topology import BENCHMARK_BLOCK, NODES_MAX, Node, Option, Topology


def read_topology(path: Path) -> Topology:
    """Read a topology. Raises BadFileError."""
    return topology_from(load(path), str(path), path.stem)


def topology_from(values: dict[str, object], where: str, name: str) -> Topology:
    """Make a topology from parsed TOML; `where` names the file in errors. Raises BadFileError."""
    table = Table(values, where)
    seed = table.take("seed", int, 1)
    nodes = _nodes(table)
    built = with_file(
        where,
        lambda: Topology(
            name=table.take("name", str, name),
            nodes=nodes,
            links=_links(table, nodes, seed),
            adapter=_system(Path(where), table.take("adapter", str, "meshnode")),
            addresses=_addresses(table, where),
            seed=seed,
            congestion_control=table.take_or_none("congestion_control", str),
            gso_max_segs=table.take_or_none("gso_max_segs", int),
            silence_s=table.take("silence_s", float, 30.0),
            baseline=read_region_links(table),
        ),
    )
    table.finish()
    return built


def _nodes(table: Table) -> tuple[Node, ...]:
    group = table.table("nodes")
    count = group.take("count", int, 0)
    prefix = group.take("prefix", str, "node")
    regions = group.texts("regions") or ["default"]
    options, own = _options(group.table("options")), _own(group)
    group.finish()
    if count < 0 or count > NODES_MAX:
        raise BadFileError(
            f"{group.where}.count: expected 1 to {NODES_MAX:,} nodes, found {count:,}"
        )
    if count and len(regions) > count:
        raise BadFileError(
            f"{group.where}.regions: expected at most a region a node, found {len(regions):,} of "
            f"{count:,} nodes"
        )
    # Blocks, not round robin: a region's nodes stand together, as its addresses do.
    found = [
        _node(
            group.where, f"{prefix}-{index}", regions[index * len(regions) // count], options, own
        )
        for index in range(count)
    ]
    for one in table.tables("node"):
        name, region = one.take("name", str), one.take("region", str, "default")
        mine = options | _options(one.table("options"))
        found.append(_node(one.where, name, region, mine, {**own, **_own(one)}))
        one.finish()
    return tuple(found)


def _node(
    where: str, name: str, region: str, options: dict[str, Option], own: dict[str, Any]
) -> Node:
    return with_file(where, partial(Node, name=name, region=region, options=options, **own))


def _own(table: Table) -> dict[str, Any]:
    """Read what a node has of its own, as far as it is said."""
    text, clock = table.take_or_none("disk", str), table.take_or_none("own_clock", bool)
    found: dict[str, Any] = {} if clock is None else {"own_clock": clock}
    if text is not None:
        found["disk_bytes"] = with_file(f"{table.where}.disk", partial(size_bytes, text))
    return found


def _options(table: Table) -> dict[str, Option]:
    found: dict[str, Option] = {}
    for key, value in table.rest().items():
        if not isinstance(value, (str, int, float, bool)):
            raise BadFileError(
                f"{table.where}.{key}: expected text, a number, or true or false; found {value!r}"
            )
        found[key] = value
    return found


def _links(table: Table, nodes: tuple[Node, ...], seed: int) -> frozenset[tuple[str, str]]:
    names = [node.name for node in nodes]
    order = {name: index for index, name in enumerate(names)}
    found: set[tuple[str, str]] = set()
    shape = table.table("shape")
    kind = shape.choice(
        "kind",
        [*shapes.SHAPES, "none"],
        "none" if table.take_or_none("link", list) else "random-regular",
    )
    numbers: dict[str, float] = {}
    for key, value in shape.rest().items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadFileError(f"{shape.where}.{key}: expected a number, found {value!r}")
        numbers[key] = value
    if kind != "none" and names:
        found |= shapes.links(kind, names, numbers, seed)
    for one in table.tables("link"):
        ends = one.texts("between")
        one.finish()
        if len(ends) != 2:
            raise BadFileError(
                f"{one.where}.between: expected the names of two nodes, found {ends!r}"
            )
        for end in ends:
            if end not in order:
                hint = did_you_mean(end, names)
                raise BadFileError(f"{one.where}.between: there is no node {end!r}{hint}")
        a, b = sorted(ends, key=order.__getitem__)
        found.add((a, b))
    return frozenset(found)


def _addresses(table: Table, where: str) -> ipaddress.IPv4Network:
    text = table.take("addresses", str, str(BENCHMARK_BLOCK))
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise BadFileError(
            f"{where}: addresses: expected an IPv4 block such as 198.18.0.0/15, found {text!r} "
            f"({error})"
        ) from None
    if isinstance(network, ipaddress.IPv6Network):
        raise BadFileError(
            f"{where}: addresses: IPv6 topologies are not supported yet; expected an IPv4 block, "
            f"found {text!r}"
        )
    return network


def read_scenario(path: Path, other: str | None = None) -> Scenario:
    """Read a scenario, of a soak its first window. Raises BadFileError.

    Its topology and budget are named relative to the file, or by a shipped name. Its streams may be
    of operations that its system has of its own, or the `other` that is under test instead.
    """
    return scenario_from(soak.first_window(load(path), str(path)), path, other)


def scenario_from(values: dict[str, object], path: Path, other: str | None = None) -> Scenario:
    """Make a scenario from parsed TOML, as if it stood in that file. Raises BadFileError."""
    table = Table(values, str(path))
    named = table.take("topology", str)
    at = beside(path, named, "topologies")
    system = table.take_or_none("system", str)
    topology = _of_system(read_topology(at), _system(path, system) if system else None)
    systems = [topology.adapter, *([other] if other else [])]
    phases = tuple(_phase(one, systems) for one in table.tables("phase"))
    budget = table.take_or_none("budget", str)
    built = with_file(
        str(path),
        lambda: Scenario(
            name=table.take("name", str, path.stem),
            topology=topology,
            phases=phases,
            budget=beside(path, budget, "budgets") if budget else None,
            seed=table.take("seed", int, 1),
            checks=tuple(table.texts("checks")),
        ),
    )
    table.finish()
    return built


def _system(path: Path, named: str) -> str:
    """Return a system under test as a file names it: an adapter, or a command file beside it."""
    return str((path.parent / named).resolve()) if named.endswith(".toml") else named


def _of_system(built: Topology, system: str | None) -> Topology:
    return built if system is None else replace(built, adapter=system)


def topology_of(path: Path) -> Path:
    """Return the file of a scenario's topology. Raises BadFileError."""
    return beside(path, Table(load(path), str(path)).take("topology", str), "topologies")


def read_suite(path: Path) -> Suite | None:
    """Read a suite; None where the file is a scenario, which has no `parts`.

    Raises BadFileError.
    """
    values = load(path)
    if "parts" not in values:
        return None
    table = Table(values, str(path))
    parts = tuple(beside(path, named, "scenarios") for named in table.texts("parts"))
    built = with_file(
        str(path),
        lambda: Suite(
            name=table.take("name", str, path.stem),
            parts=parts,
            budget=beside(path, table.take("budget", str), "budgets"),
        ),
    )
    table.finish()
    return built


def beside(path: Path, named: str, folder: str) -> Path:
    """Find `named` beside the file, as ``../FOLDER/NAME.toml``, or among those that are shipped."""
    candidates = [
        path.parent / named,
        path.parent.parent / folder / f"{named}.toml",
        path.parent / f"{named}.toml",
        shipped.root() / folder / f"{named}.toml",
    ]
    for candidate in candidates:
        if shipped.is_file(candidate):
            return candidate
    known = shipped.names(folder, path.parent, path.parent.parent / folder)
    raise BadFileError(
        f"{path}: {named!r} names no file{did_you_mean(named, known)}; looked for "
        f"{', '.join(map(str, candidates))}"
    )


def _phase(table: Table, systems: Sequence[str]) -> Phase:
    streams = tuple(_stream(one, systems) for one in table.tables("stream"))
    until = table.take_or_none("until", str)
    if until is None and "at_most_s" in table:
        raise BadFileError(f"{table.where}.at_most_s: expected until beside it, found none")
    built = with_file(
        table.where,
        lambda: Phase(
            name=table.take("name", str),
            duration_s=table.take("duration_s" if until is None else "at_most_s", float),
            streams=streams,
            iperf3=_pair(table, "iperf3"),
            faults=tuple(_fault(one) for one in table.tables("fault")),
            churn=tuple(map(read_churn, table.tables("churn"))),
            kind=_kind(table),
            until=until,
            profiles=tuple(map(read_profile, table.tables("profile"))),
        ),
    )
    table.finish()
    return built


def _kind(table: Table) -> PhaseKind | None:
    if "kind" not in table:
        return None
    return PhaseKind(table.choice("kind", [kind.value for kind in PhaseKind]))


def _fault(table: Table) -> FaultSpec:
    return with_file(table.where, partial(parse, table.rest()))


def _pair(table: Table, key: str) -> tuple[str, str] | None:
    named = table.texts(key)
    if not named:
        return None
    if len(named) != 2 or named[0] == named[1]:
        raise BadFileError(f"{table.where}.{key}: expected the names of two nodes, found {named!r}")
    return named[0], named[1]


def _stream(table: Table, systems: Sequence[str]) -> Stream:
    word = table.take("operation", str)
    operation = own_operations.kind(word, f"{table.where}.operation", systems)
    profile = _profile(table)
    built = with_file(
        table.where,
        lambda: Stream(
            operation=operation,
            rate_per_s=table.take("rate_per_s", float) if profile is None else profile.highest,
            profile=profile,
            payload_bytes=table.take("payload_bytes", int, 256),
            target=table.take_or_none("target", str),
            sources=tuple(table.texts("sources")),
            arrivals=Arrivals(table.choice("arrivals", Arrivals, Arrivals.UNIFORM)),
            timeout_ms=table.take("timeout_ms", int, 10_000),
            count=table.take_or_none("count", int),
            after_s=table.take("after_s", float, 0.0),
            keys=table.take_or_none("keys", int),
        ),
    )
    table.finish()
    return built


def _profile(table: Table) -> Profile | None:
    """Read a rate that is given as points `[seconds, rate]`; None where it is a number."""
    if not table.has_list("rate_per_s"):
        return None
    return with_file(table.where, lambda: Profile.parsed(table.take("rate_per_s", list)))


def read_budget(path: Path) -> Budget:
    """Read a budget; checks/rows.py knows whether what it names exists. Raises BadFileError."""
    return budget_from(load(path), str(path), path.stem)


def budget_from(values: dict[str, object], where: str, name: str) -> Budget:
    """Make a budget from parsed TOML; `where` names the file in errors. Raises BadFileError."""
    table = Table(values, where)
    source = table.take("source", str, " ").strip()
    rows = tuple(_row(one, source) for one in table.tables("row"))
    built = with_file(where, lambda: Budget(name=table.take("name", str, name), rows=rows))
    table.finish()
    return built


def _within_ms(table: Table) -> float | None:
    text = table.take_or_none("within", str)
    try:
        return None if text is None else time_ms(text)
    except BadFileError as error:
        raise BadFileError(f"{table.where}.within: {error}") from None


def _row(table: Table, source: str) -> Row:
    built = with_file(
        table.where,
        lambda: Row(
            name=table.take("name", str),
            metric=table.take("metric", str),
            statistic=table.take("statistic", str),
            unit=table.take("unit", str),
            bound=table.take_or_none("bound", float),
            comparison=table.take("comparison", str, "<"),
            stretch=table.take_or_none("stretch", float),
            factor=table.take_or_none("factor", float),
            within_ms=_within_ms(table),
            source=table.take_or_none("source", str) or source,
            conditions=Conditions(
                phase=table.take("phase", str),
                nodes=table.take_or_none("nodes", int),
                node=table.take_or_none("node", str),
                received_per_s=table.take_or_none("received_per_s", float),
                scenario=table.take_or_none("scenario", str),
                under=table.take_or_none("under", str),
                process=table.take_or_none("process", str),
            ),
        ),
    )
    table.finish()
    return built
