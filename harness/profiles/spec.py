"""What a scenario, or a person, asks for: a profile of whom, by which tool, when. Values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness import profiles
from harness.choices import did_you_mean
from harness.errors import BadFileError, UsageError
from harness.profiles.profiler import OURS, WORKER

_NUMBERED = re.compile(r"worker-([1-9]\d{0,2})")
SECONDS_MOST = 86_400.0


class Start(StrEnum):
    """When a profile begins: with its phase, or when a row of the budget first fails in it."""

    PHASE = "phase"
    ROW_FAILS = "row-fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSpec:
    """A profile that a phase asks for. Raises BadFileError.

    `at_s`: so long after the phase began, or after the row failed; `for_s` None: until the phase
    ends.
    """

    who: str
    tool: str = profiles.DEFAULT
    at_s: float = 0.0
    for_s: float | None = None
    start: Start = Start.PHASE

    def __post_init__(self) -> None:
        try:
            profiles.named(self.tool).require_of(self.who)
        except UsageError as error:
            raise BadFileError(f"with: {error}") from None
        if self.at_s < 0:
            raise BadFileError(f"at_s: expected 0 or more, found {self.at_s:g}")
        if self.for_s is not None and not 1 <= self.for_s <= SECONDS_MOST:
            raise BadFileError(f"for_s: expected 1 to {SECONDS_MOST:,.0f}, found {self.for_s:g}")

    def require_fits(self, duration_s: float | None, where: str) -> None:
        """Raise BadFileError where a phase of this length is over before it would be."""
        if not self.fits(duration_s):
            end_s = self.at_s + (self.for_s or 0.0)
            raise BadFileError(
                f"{where}: profile of {self.who}: from {self.at_s:g} to {end_s:g} s, it does not "
                f"fit into {duration_s:g} s"
            )

    def fits(self, duration_s: float | None) -> bool:
        """Whether it begins and ends within a phase of this length."""
        end_s = self.at_s + (self.for_s or 0.0)
        return duration_s is None or (end_s <= duration_s and self.at_s < duration_s)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "start": str(self.start)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> ProfileSpec:
        """Read what `as_json` said. Raises KeyError, TypeError, ValueError, BadFileError."""
        return cls(**{**said, "start": Start(said["start"])})


def require_who(who: str, nodes: Collection[str], where: str) -> None:
    """Raise BadFileError where this is no node, and no part of the harness."""
    if who not in nodes and who not in OURS and worker(who) is None:
        hint = did_you_mean(who, [*nodes, *OURS])
        raise BadFileError(
            f"{where}: profile: there is no node {who!r}{hint}; possible besides nodes: "
            f"{', '.join(OURS)} ({WORKER}-2 is the second one)"
        )


def worker(who: str) -> int | None:
    """Return which load worker is meant, from 1 on; None: it is none."""
    if who == WORKER:
        return 1
    found = _NUMBERED.fullmatch(who)
    return int(found[1]) if found else None
