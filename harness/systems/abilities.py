"""Whether a system can do what a scenario asks of it."""

from __future__ import annotations

from harness.errors import UsageError
from harness.operations import Operation
from harness.scenario.scenario import Scenario
from harness.systems import adapters


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
                    f"phase {phase.name}: {system} has no "
                    f"{stream.operation.word}; "
                    f"it can do {', '.join(sorted(operation.word for operation in can))}"
                )
