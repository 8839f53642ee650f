"""What the master tells its workers before a run: one frozen value, and its form on Locust's
messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.history.plan import bounds_ns
from harness.operations import Operation, own
from harness.scenario import schedule
from harness.scenario.budget import LATE_NS_LEAST
from harness.scenario.rate import Profile
from harness.scenario.scenario import Phase
from harness.scenario.stream import Arrivals, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A node as load sees it: its name, its control socket and its id on the wire."""

    name: str
    control: str
    wire_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """One run: when it starts (`t0_ns`, CLOCK_MONOTONIC), where it is written, whom it loads, and
    who does which part.
    """

    run: str
    t0_ns: int
    adapter: str
    seed: int
    nodes: tuple[Target, ...]
    phases: tuple[Phase, ...]
    workers: tuple[str, ...]  # Locust client ids; the position is the worker's number
    late_ns: int = LATE_NS_LEAST  # how late an operation may be sent
    id_key: bytes = b""  # see scenario/identifiers
    ended_ns: Mapping[str, int] = field(default_factory=dict)  # phases whose condition held: when

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, in the order of their indexes."""
        return tuple(node.name for node in self.nodes)

    @property
    def salt(self) -> bytes:
        """8 bytes that tell this run's operations from those of every other run."""
        return schedule.salt(self.t0_ns, self.seed)

    @property
    def end_ns(self) -> int | None:
        """When the last phase ends; None where it has no end of its own."""
        return self.bounds_ns()[-1][1]

    def bounds_ns(self) -> tuple[tuple[int, int | None], ...]:
        """Start and end of every phase (end None: until somebody stops)."""
        lengths_s = [(phase.name, phase.duration_s) for phase in self.phases]
        return bounds_ns(self.t0_ns, lengths_s, self.ended_ns)

    def ended(self, phase: str, at_ns: int) -> RunPlan:
        """Return the plan in which the condition of a phase held, and it ends at `at_ns`."""
        return replace(self, ended_ns={**self.ended_ns, phase: at_ns})

    @property
    def kinds(self) -> tuple[Operation, ...]:
        """The operations that it sends, or that are sent for it: each once, by number."""
        streams = (stream for phase in self.phases for stream in phase.streams)
        return tuple(sorted({*Operation, *(stream.operation for stream in streams)}))

    @property
    def timeout_s(self) -> float:
        """The longest that an operation may take."""
        timeouts = [stream.timeout_ms for phase in self.phases for stream in phase.streams]
        return max(timeouts, default=0) / 1e3

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack."""
        sent = asdict(self)
        for phase, wire in zip(self.phases, sent["phases"], strict=True):
            for stream, each in zip(phase.streams, wire["streams"], strict=True):
                each["operation"] = int(stream.operation)
                each["own"] = own.as_json(stream.operation) if stream.operation.is_own else None
        return sent

    @classmethod
    def from_wire(cls, sent: Mapping[str, Any]) -> RunPlan:
        """The plan that `to_wire` made these values of."""
        return cls(
            run=sent["run"],
            t0_ns=sent["t0_ns"],
            adapter=sent["adapter"],
            seed=sent["seed"],
            nodes=tuple(Target(**node) for node in sent["nodes"]),
            phases=tuple(_phase(phase) for phase in sent["phases"]),
            workers=tuple(sent["workers"]),
            late_ns=sent["late_ns"],
            id_key=sent["id_key"],
        )


def _profile(sent: Mapping[str, Any] | None) -> Profile | None:
    return None if sent is None else Profile.parsed(sent["points"])


def _phase(sent: Mapping[str, Any]) -> Phase:
    streams = (
        Stream(
            **{
                **{key: stream[key] for key in stream if key != "own"},
                "operation": Operation(stream["operation"])
                if stream["own"] is None
                else own.from_json(stream["own"]),
                "arrivals": Arrivals(stream["arrivals"]),
                "sources": tuple(stream["sources"]),
                "profile": _profile(stream["profile"]),
            }
        )
        for stream in sent["streams"]
    )
    # Its faults are the supervisor's.
    return Phase(
        name=sent["name"],
        duration_s=sent["duration_s"],
        streams=tuple(streams),
        iperf3=tuple(sent["iperf3"]) if sent["iperf3"] else None,
    )
