"""A proof is what was seen of a fault, in plain names and numbers (a line of proofs.jsonl)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.errors import BadFileError
from harness.history import shape


class ProofAnswer(StrEnum):
    """What a look at a fault showed."""

    IN_FORCE = "in force"
    NOT_IN_FORCE = "not in force"
    GONE = "gone"
    NOT_GONE = "not gone"
    AMOUNT_NOT_SHOWN = "amount not shown"

    @property
    def is_contradiction(self) -> bool:
        """Whether the answer contradicts what was asked."""
        return self in (ProofAnswer.NOT_IN_FORCE, ProofAnswer.NOT_GONE)


# A word of what a fault does → what `what` says of looks at it.
SEEN_AS = {
    "up": "rate up",
    "down": "rate down",
    "rate": "rate into",
    "half-open new": "half-open",
    "half-open established": "flows",
    "state": "state",
    "cpu": "cpu",
    "memory": "memory",
    "fds": "fds",
    "disk": "disk",
    "clock": "clock",
    **{
        word: word for word in ("cut", "delay", "jitter", "loss", "duplicate", "reorder", "corrupt")
    },
}
# What looks are made at besides faults, in place of a fault's name: the network before the first
# one, all of it, and paths that no fault touches.
BEFORE, ALL, UNTOUCHED = "before", "all", "untouched"
READ_BACK = "read back"  # what `what` says of a comparison with the kernel's own state


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One look at one thing. Times are CLOCK_MONOTONIC ns."""

    at_ns: int
    fault: str
    path: tuple[str, str] | None = None
    # read back, condition, state, command, limits, cpu, memory, fds, disk, clock, cut, half-open,
    # flows, delay, jitter, duplicate, reorder, corrupt, loss, rate up|down|into, clear, stream,
    # toxic KIND DIRECTION
    what: str
    # ms, probability, bit/s, % of a core, a toxic's own unit; None where it is no amount
    asked: float | None = None
    achieved: float | None = None
    n: int = 0
    tolerance: float | None = None
    backend: str
    answer: ProofAnswer
    sentence: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the values of a line in proofs.jsonl."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Proof:
        """Read what `as_json` said. Raises BadFileError for what is no proof."""
        try:
            path = tuple(said["path"]) if said.get("path") else None
            made = cls(**{**said, "path": path, "answer": ProofAnswer(said["answer"])})
        except (KeyError, TypeError, ValueError) as error:
            raise BadFileError(f"proofs.jsonl: {type(error).__name__}: {error}") from None
        if wrong := shape.misfit(made):
            raise BadFileError(f"proofs.jsonl: {wrong}")
        return made

    def __str__(self) -> str:
        on = f" on {self.path[0]} -> {self.path[1]}" if self.path else ""
        because = f": {self.sentence}" if self.sentence else ""
        return f"{self.fault}: {self.what}{on} {self.answer} by {self.backend}{because}"


def seen_as(does: str) -> list[str]:
    """Return, of what a fault does (``delay 50 ms, up 5 Mbit/s``), what a look at each says.

    Stream faults are left out: a look names their direction too.
    """
    said = (part.strip() for part in does.split(","))
    words = (part if part in SEEN_AS else part.partition(" ")[0] for part in said)
    return [SEEN_AS[word] for word in words if word in SEEN_AS]
