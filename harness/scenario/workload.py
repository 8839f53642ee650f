"""A workload is the load of one run: the streams of each phase, and their seed.

As workload.json in a run folder it is what the generator sends, whatever file or hand the streams
once came from: so a replay has exactly those of the run that it replays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadFileError
from harness.history.other_system import OtherSystem
from harness.history.plan import PhaseKind
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream

FILE = "workload.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The streams of each phase, in order, and what ends one early. `left_out` and `other_system`:
    see plan.Plan.
    """

    seed: int
    phases: tuple[Phase, ...]
    left_out: tuple[str, ...] = ()
    other_system: OtherSystem | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the content of workload.json."""
        return {
            "version": VERSION,
            "seed": self.seed,
            "left_out": list(self.left_out),
            "other_system": None if self.other_system is None else self.other_system.as_json(),
            "phases": [
                {
                    "name": phase.name,
                    "duration_s": phase.duration_s,
                    "streams": phase.streams_as_json(),
                    **({} if phase.until is None else {"until": phase.until}),
                }
                for phase in self.phases
            ],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Workload:
        """Read what `as_json` said. Raises BadFileError for another version, and what is none."""
        if said.get("version") != VERSION:
            raise BadFileError(f"workload: expected version {VERSION}, found {said.get('version')}")
        try:
            return cls(
                seed=said["seed"],
                left_out=tuple(said["left_out"]),
                other_system=OtherSystem.from_json(said.get("other_system")),
                phases=tuple(
                    Phase(
                        name=phase["name"],
                        duration_s=phase["duration_s"],
                        streams=tuple(map(Stream.from_json, phase["streams"])),
                        until=phase.get("until"),
                        kind=PhaseKind.CONVERGE if phase.get("until") else None,
                    )
                    for phase in said["phases"]
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadFileError(f"workload: {type(error).__name__}: {error}") from None


def read(path: Path) -> Workload:
    """Read workload.json. Raises BadFileError."""
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{path}: cannot be read: {error}") from None
    if not isinstance(said, dict):
        raise BadFileError(f"{path}: expected a table")
    return Workload.from_json(said)
