"""What a system can do of what a scenario asks: another one than its files name is asked for the
part that it can do, and what is left out is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from harness.errors import UsageError
from harness.history.other_system import OtherSystem
from harness.operations import Operation
from harness.scenario import until
from harness.scenario.scenario import Phase, Scenario
from harness.systems import adapters
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
    can = adapter.operations
    without = [_without(phase, can) for phase in planned.phases]
    other = OtherSystem(
        name=adapter.name,
        instead_of=planned.topology.adapter,
        streams=tuple(
            said
            for phase in planned.phases
            for said, stream in zip(phase.streams_as_json(), phase.streams, strict=True)
            if stream.operation not in can
        ),
        until={
            before.name: before.until
            for before, after in zip(planned.phases, without, strict=True)
            if before.until is not None and after.until is None
        },
        options=_left_out(topology, built),
    )
    return replace(planned, topology=built, phases=tuple(without), other_system=other)


def _without(phase: Phase, can: Collection[Operation]) -> Phase:
    """Return a phase without what needs an operation that is not one of these."""
    condition = phase.until
    if condition is not None and until.parse(condition).operation not in (None, *can):
        condition = None
    streams = tuple(stream for stream in phase.streams if stream.operation in can)
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
