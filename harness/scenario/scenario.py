"""A scenario is a topology, load and faults in phases, a budget and a seed. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean
from harness.errors import BadFileError
from harness.faults.churn import Churn
from harness.faults.spec import FaultSpec
from harness.history.other_system import OtherSystem
from harness.history.plan import PhaseKind
from harness.history.run_folders import require_name
from harness.operations import Operation
from harness.profiles.spec import ProfileSpec, require_who
from harness.scenario import seeds, until
from harness.scenario.stream import Stream
from harness.scenario.until import Until
from harness.topology.topology import NAME, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of time that is judged by itself.

    `duration_s` None: it lasts until somebody stops the load. `iperf3` names two nodes: iperf3
    sends from the first to the second all the while, and says what their path carries. `kind` says
    what it is for, and so what of it is judged; None: everything. `until` ends it as soon as that
    holds (until.py); `duration_s` is then how long it lasts at most.
    """

    name: str
    duration_s: float | None
    streams: tuple[Stream, ...] = ()
    iperf3: tuple[str, str] | None = None
    faults: tuple[FaultSpec, ...] = ()
    churn: tuple[Churn, ...] = ()
    kind: PhaseKind | None = None
    until: str | None = None
    profiles: tuple[ProfileSpec, ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadFileError(f"phase name {self.name!r}: expected 1 to 32 of a-z, 0-9 and '-'")
        for profile in self.profiles:
            profile.require_fits(self.duration_s, f"phase {self.name}")
        if self.duration_s is None:
            if self.churn:
                raise BadFileError(f"phase {self.name}: churn needs a duration_s, to end within it")
            return
        if not 0 < self.duration_s <= 7 * 86_400:
            raise BadFileError(
                f"phase {self.name}: duration_s: expected above 0 and at most a week, found "
                f"{self.duration_s}"
            )
        for churn in self.churn:
            end_s = churn.at_s + (churn.for_s or churn.down_s)
            if end_s > self.duration_s:
                raise BadFileError(
                    f"phase {self.name}: churn that takes {end_s:g} s at least does not fit into "
                    f"{self.duration_s:g} s"
                )
        if self.until is not None:
            self._require_until(until.parse(self.until, self.own))
        for fault in self.faults:
            end_s = fault.at_s + (fault.for_s or 0.0)
            if end_s > self.duration_s:
                raise BadFileError(
                    f"phase {self.name}: a fault that ends after {end_s:g} s does not fit into "
                    f"{self.duration_s:g} s"
                )
            if fault.at_s >= self.duration_s:
                raise BadFileError(
                    f"phase {self.name}: a fault at its end, {end_s:g} s, would never be set"
                )

    @property
    def own(self) -> tuple[Operation, ...]:
        """The operations of a system's own that its streams have."""
        return tuple(stream.operation for stream in self.streams if stream.operation.is_own)

    def streams_as_json(self) -> list[dict[str, Any]]:
        """Return what metadata.json says of its streams."""
        return [stream.as_json(self.name, self.duration_s or 1.0) for stream in self.streams]

    def _require_until(self, wanted: Until) -> None:
        """Raise BadFileError where the condition cannot be looked at, or would end what has an end
        of its own.
        """
        where = f"phase {self.name}: until"
        if self.kind is not PhaseKind.CONVERGE:
            raise BadFileError(
                f"{where}: it is of a phase of the kind {PhaseKind.CONVERGE}, found "
                f"{self.kind or 'none'}"
            )
        if self.faults or self.churn or self.profiles or self.iperf3 is not None:
            raise BadFileError(
                f"{where}: nobody knows when it ends: no fault, no churn, no iperf3 beside it, and "
                "no profile"
            )
        if wanted.operation is None:
            return
        word = wanted.operation.word
        rate_per_s = sum(
            stream.rate_per_s for stream in self.streams if stream.operation == wanted.operation
        )
        if rate_per_s < wanted.least:
            raise BadFileError(
                f"{where}: {wanted.quantity} wants at least {wanted.least} {word} a second, found "
                f"{rate_per_s:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One experiment.

    `other_system`: what is under test instead of the system that its files name, and what was left
    out for it. Raises BadFileError where a stream names a node that the topology does not have.
    """

    name: str
    topology: Topology
    phases: tuple[Phase, ...]
    budget: Path | None = None
    seed: int = 1
    checks: tuple[str, ...] = ()  # beyond what every run is held to: words, or module:function
    other_system: OtherSystem | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadFileError(f"scenario name {self.name!r}: expected 1 to 32 of a-z, 0-9 and '-'")
        require_name(self.name, "scenario name")
        seeds.require(self.seed)
        for name in self.checks:
            if self.checks.count(name) > 1:
                raise BadFileError(f"checks: {name!r} stands twice")
        if not self.phases:
            raise BadFileError("phases: expected at least 1 phase, found 0")
        names = [phase.name for phase in self.phases]
        for name in names:
            if names.count(name) > 1:
                raise BadFileError(
                    f"phases: the name {name!r} stands twice; every phase needs a name of its own"
                )
        if any(phase.duration_s is None for phase in self.phases[:-1]):
            raise BadFileError("phases: only the last phase may have no duration_s")
        known = {node.name for node in self.topology.nodes}
        for phase in self.phases:
            for profile in phase.profiles:
                require_who(profile.who, known, f"phase {phase.name}")
            named = [
                name
                for stream in phase.streams
                for name in (*stream.sources, *((stream.target,) if stream.target else ()))
            ]
            for name in (*named, *(phase.iperf3 or ())):
                if name not in known:
                    raise BadFileError(
                        f"phase {phase.name}: there is no node {name!r} in topology "
                        f"{self.topology.name!r}{did_you_mean(name, known)}"
                    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Scenarios that are played one after another and answer for one budget together.

    Each row is measured by the scenario that it names.
    """

    name: str
    parts: tuple[Path, ...]
    budget: Path

    def __post_init__(self) -> None:
        require_name(self.name, "suite name")
        names = [part.stem for part in self.parts]
        for name in names:
            if names.count(name) > 1:
                raise BadFileError(f"parts: {name!r} stands twice; every scenario is played once")
