"""What a system can do of what a scenario asks: another one than its files name is asked for the
part that it can do, and what is left out is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.choices import listed
from harness.errors import UsageError
from harness.history.other_system import OtherSystem
from harness.operations import Operation, own
from harness.scenario import until
from harness.scenario.scenario import Phase, Scenario
from harness.systems import adapters
from harness.systems.adapter import DrivenAdapter, FiledAdapter, NodeAdapter
from harness.topology.topology import Topology


def of_other(topology: Topology, system: str | None) -> Topology:
    """Put another system under test than a topology was written for: options of nodes that it says
    it does not know are left out.
    """
    built = adapters.with_system(topology, system)
    if built.adapter == topology.adapter:
        return built
    # An adapter of somebody's own may be older than its `options`.
    known: Collection[str] | None = getattr(adapters.named(built.adapter), "options", None)
    if known is None:
        return built
    nodes = (
        replace(node, options={key: node.options[key] for key in node.options if key in known})
        for node in built.nodes
    )
    return replace(built, nodes=tuple(nodes))


def require_start(topology: Topology, *, brought: bool) -> None:
    """Raise UsageError where nobody would say how nodes are started, and where nodes that are
    `brought`, which run already, would have to be started in a way of their own.
    """
    adapter = adapters.named(topology.adapter)
    # An adapter of somebody's own may be older than its `starts`.
    if not brought and not getattr(adapter, "starts", True):
        raise UsageError(
            f"{topology.adapter}: start.brought: its nodes are containers that a Python program "
            "brings (`harness.up(nodes=[…])`), and none were brought; expected these, or start.argv"
        )
    if not brought:
        return
    if not isinstance(adapter, DrivenAdapter):
        raise UsageError(
            f"nodes: {adapter.name} starts its nodes itself, and no container that was brought "
            "can be one; expected system=, a command file or a class that drives them"
        )
    own = [
        ("start.state wipe", adapter.wipes),
        ("congestion_control", topology.congestion_control is not None),
        ("a disk of a node's own", any(node.disk_bytes for node in topology.nodes)),
        ("a clock of a node's own", any(node.own_clock for node in topology.nodes)),
    ]
    for what, is_asked in own:
        if is_asked:
            raise UsageError(
                f"nodes: {what} is asked, which a container has from its start on or not at all; "
                "expected none for containers that were brought"
            )


def fitted(planned: Scenario, system: str | None, *, imports: bool = True) -> Scenario:
    """Return what of a scenario another system can be asked: streams of operations that it does not
    have are left out, and so are options of nodes that it does not know. The scenario itself where
    its own system is named, or none. `imports` as in `require`.
    """
    topology = adapters.with_system(planned.topology, system)
    if topology.adapter == planned.topology.adapter:
        return planned
    if not imports and adapters.is_foreign(topology.adapter):
        return replace(planned, topology=topology)
    adapter, built = adapters.named(topology.adapter), of_other(planned.topology, system)
    can = {operation.word: operation for operation in adapter.operations}
    without = [_without(phase, can) for phase in planned.phases]
    other = OtherSystem(
        name=adapter.name,
        instead_of=planned.topology.adapter,
        streams=tuple(
            said
            for phase in planned.phases
            for said, stream in zip(phase.streams_as_json(), phase.streams, strict=True)
            if stream.operation.word not in can
        ),
        until={
            before.name: before.until
            for before, after in zip(planned.phases, without, strict=True)
            if before.until is not None and after.until is None
        },
        options=_left_out(topology, built),
    )
    return replace(planned, topology=built, phases=tuple(without), other_system=other)


def _without(phase: Phase, can: Mapping[str, Operation]) -> Phase:
    """Return a phase without what needs an operation that is not one of these, by word: what a word
    means that is of a system's own, the system says that is under test.
    """
    condition = phase.until
    if condition is not None:
        wanted = until.parse(condition, phase.own).operation
        condition = condition if wanted is None or wanted.word in can else None
    streams = tuple(
        replace(stream, operation=can[stream.operation.word])
        for stream in phase.streams
        if stream.operation.word in can
    )
    return replace(phase, streams=streams, until=condition)


def _left_out(before: Topology, after: Topology) -> dict[str, int]:
    """Count the nodes that were to have each option that is left out."""
    return dict(
        Counter(
            key
            for was, now in zip(before.nodes, after.nodes, strict=True)
            for key in was.options
            if key not in now.options
        )
    )


def require(planned: Scenario, *, imports: bool = True) -> None:
    """Raise UsageError for a phase without an end, and for a stream that the system cannot do.

    `imports`: whether a system that is Python of the user's own may be imported; what it can do is
    not looked at otherwise.
    """
    system = planned.topology.adapter
    known = imports or not adapters.is_foreign(system)
    can = adapters.named(system).operations if known else frozenset(Operation)
    for phase in planned.phases:
        if phase.duration_s is None:
            raise UsageError(
                f"phase {phase.name}: a scenario that is run needs a duration_s in every phase"
            )
        for stream in phase.streams:
            if stream.operation not in can:
                raise UsageError(
                    f"phase {phase.name}: {adapters.shown(system)} has no "
                    f"{stream.operation.word}; "
                    f"it can do {', '.join(sorted(operation.word for operation in can))}"
                )


def meant_now(planned: Scenario) -> Scenario:
    """Return a scenario that was read from a run folder, had its operations of a system's own the
    numbers that they have now. Raises UsageError where the system means another thing by a word.
    """
    if not any(phase.own for phase in planned.phases):
        return planned
    adapter = adapters.named(planned.topology.adapter)
    can = {one.word: one for one in adapter.operations if one.is_own}
    for one in (one for phase in planned.phases for one in phase.own if one.word in can):
        was, now = (own.as_json(each) | {"number": 0} for each in (one, can[one.word]))
        if was != now:
            raise UsageError(
                f"{one.word}: it was counted as {was['ledger']} and addressed to {was['to']!r}, "
                f"and {adapter.name} now says {now['ledger']} and {now['to']!r}"
            )
    return replace(planned, phases=tuple(_numbered(phase, can) for phase in planned.phases))


def _numbered(phase: Phase, can: Mapping[str, Operation]) -> Phase:
    streams = (
        replace(stream, operation=can.get(stream.operation.word, stream.operation))
        for stream in phase.streams
    )
    return replace(phase, streams=tuple(streams))


def require_same(system: NodeAdapter, streams: Iterable[Mapping[str, Any]]) -> None:
    """Raise UsageError where streams, as metadata.json says them, have operations of a system's own
    that are others than those of the system as it was started, and where its files were edited
    since: who asks for a run means the nodes that these describe.
    """
    known = {one.word: one for one in system.operations}
    for one in own.of_streams(streams):
        if known.get(one.word) != one:
            raise UsageError(
                f"{one.word}: the nodes of {system.name} were started with a file that said "
                "something else of its operations: `harness down`, and start them again"
            )
    if isinstance(system, FiledAdapter) and (edited := system.edited()):
        raise UsageError(
            f"{listed(edited)}: edited since the nodes of {system.name} were started by it: "
            "`harness down`, and start them again"
        )


def own_metrics_of(planned: Scenario, *, imports: bool = True) -> frozenset[str]:
    """Return the metrics that a row may name of operations of the system's own: those of the
    system, and of streams that are left out. `imports` as in `require`.
    """
    system = planned.topology.adapter
    mine = adapters.named(system).operations if imports or not adapters.is_foreign(system) else ()
    other = planned.other_system
    left_out = own.of_streams(other.streams) if other is not None else ()
    return frozenset(own.metrics((*mine, *left_out)))
