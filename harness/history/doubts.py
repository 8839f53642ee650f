"""What a load worker noted of the seconds in which it was not sure of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import BadFileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """About a second of one load worker, CLOCK_MONOTONIC ns."""

    worker: int
    begin_ns: int
    end_ns: int
    stalled_ns: int  # how late its loop came by at worst
    blocked: int  # operations that a node's control socket did not take at once
    cpu_ns: int  # its CPU time

    @property
    def cores(self) -> float:
        """How many cores it used."""
        return self.cpu_ns / max(self.end_ns - self.begin_ns, 1)

    def as_row(self) -> list[int]:
        """Return it as metadata.json has it, below its worker."""
        return [self.begin_ns, self.end_ns, self.stalled_ns, self.blocked, self.cpu_ns]


def read(facts: Mapping[str, Any]) -> tuple[Doubt, ...]:
    """Read them from metadata.json, in the order of time. Raises BadFileError."""
    workers = facts["load"].get("workers")
    if not isinstance(workers, list):
        return ()
    try:
        found = [
            Doubt(
                worker=int(one["worker"]),
                begin_ns=int(begin_ns),
                end_ns=int(end_ns),
                stalled_ns=int(stalled_ns),
                blocked=int(blocked),
                cpu_ns=int(cpu_ns),
            )
            for one in workers
            for begin_ns, end_ns, stalled_ns, blocked, cpu_ns in one.get("doubts", ())
        ]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadFileError(f"the load workers' doubts: {type(error).__name__}: {error}") from None
    return tuple(sorted(found, key=lambda one: (one.begin_ns, one.worker)))
