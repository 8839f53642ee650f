"""A stream is operations in an open model, due by the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from harness.errors import BadFileError
from harness.operations import Operation, own
from harness.operations.operation import MESSAGE, Address
from harness.scenario.rate import Profile

RATE_PER_S_MAX = 1_000_000.0
COUNT_MAX = 1_000_000_000
KEYS_MAX = 1_000_000
OF_KEYS = (Address.NEW_KEY, Address.STORED_KEY)


class Arrivals(StrEnum):
    """How the intended times of a stream are spread."""

    UNIFORM = "uniform"  # message k is due at t0 + k / rate
    POISSON = "poisson"  # seeded exponential gaps of the same mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of operations in an open model: due by the clock, never waiting for an earlier
    answer.

    `target` names the one node that they go to (None: a seeded random one, never the source).
    `sources` names who sends (empty: every node but the target, in seeded random order). `count`
    ends the stream after so many operations: with a high rate it is a burst. A `profile` is a rate
    over time, whose highest `rate_per_s` is; without it the rate stays. The stream begins
    `after_s` into its phase: at 0, the nodes may still be busy with the end of the phase before,
    when histograms are fetched. Raises BadFileError for a number out of its range.
    """

    operation: Operation
    rate_per_s: float
    payload_bytes: int = MESSAGE.default_bytes
    target: str | None = None
    sources: tuple[str, ...] = ()
    arrivals: Arrivals = Arrivals.UNIFORM
    timeout_ms: int = 10_000
    count: int | None = None
    after_s: float = 0.0
    profile: Profile | None = None
    keys: int | None = None  # of the DHT, which all puts and gets that name a number share

    def planned_per_s(self, seconds: float) -> float:
        """Return the operations a second over a phase of so many seconds."""
        rate_per_s = self.rate_per_s * max(0.0, 1 - self.after_s / seconds)
        if self.profile is not None:
            rate_per_s = self.profile.count(max(0.0, seconds - self.after_s)) / seconds
        return rate_per_s if self.count is None else min(rate_per_s, self.count / seconds)

    def as_json(self, phase: str, seconds: float) -> dict[str, Any]:
        """Return what metadata.json says of it: enough to replay its schedule.

        `seconds`: how long its phase lasts.
        """
        profile = {} if self.profile is None else {"profile": [*map(list, self.profile.points)]}
        keys = {} if self.keys is None else {"keys": self.keys}
        mine = {"own": own.as_json(self.operation)} if self.operation.is_own else {}
        return (
            profile
            | keys
            | mine
            | {
                "phase": phase,
                "operation": self.operation.word,
                "rate_per_s": self.planned_per_s(seconds),
                "asked_per_s": self.rate_per_s,
                "after_s": self.after_s,
                "count": self.count,
                "payload_bytes": self.payload_bytes,
                "target": self.target,
                "sources": list(self.sources),
                "arrivals": self.arrivals.value,
                "timeout_ms": self.timeout_ms,
            }
        )

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Stream:
        """Read what `as_json` said. Raises KeyError, TypeError, ValueError, BadFileError for what
        is no stream.
        """
        plain = {one.name: said[one.name] for one in fields(cls) if one.name in said}
        read: dict[str, Any] = {
            "operation": own.of_stream(said),
            "rate_per_s": said["asked_per_s"],
            "sources": tuple(said["sources"]),
            "arrivals": Arrivals(said["arrivals"]),
            "profile": Profile.parsed(said["profile"]) if "profile" in said else None,
        }
        return cls(**{**plain, **read})

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s <= RATE_PER_S_MAX:
            raise BadFileError(
                f"rate_per_s: expected above 0 and at most {RATE_PER_S_MAX:,.0f}, found "
                f"{self.rate_per_s}"
            )
        if self.profile is not None and self.profile.highest != self.rate_per_s:
            raise BadFileError(
                f"rate_per_s: expected the highest of its points, found {self.rate_per_s}"
            )
        most = (self.operation.spec.payload or MESSAGE).most_bytes
        if not 0 <= self.payload_bytes <= most:
            raise BadFileError(f"payload_bytes: expected 0 to {most:,}, found {self.payload_bytes}")
        if self.count is not None and not 1 <= self.count <= COUNT_MAX:
            raise BadFileError(f"count: expected 1 to {COUNT_MAX:,}, found {self.count}")
        if self.keys is not None:
            words = [one.word for one in Operation if one.spec.to in OF_KEYS]
            if self.operation.word not in words:  # keys of a system's own operations are fresh
                raise BadFileError(
                    f"keys: they are of {' and '.join(words)}, and {self.operation.word} has none"
                )
            if not 1 <= self.keys <= KEYS_MAX:
                raise BadFileError(f"keys: expected 1 to {KEYS_MAX:,}, found {self.keys}")
        if not 0 <= self.after_s <= 86_400:
            raise BadFileError(f"after_s: expected 0 to 86,400, found {self.after_s}")
        if not 1 <= self.timeout_ms <= 600_000:
            raise BadFileError(f"timeout_ms: expected 1 to 600,000, found {self.timeout_ms}")
