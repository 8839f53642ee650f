"""Limits of what a node may use of the host, and what its clock shows. Values; several on one node
fold to the narrowest, and offsets of its clock add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar

from harness.choices import one_of
from harness.errors import BadFileError
from harness.topology.quantities import number, percent, share, size_bytes, time_ms
from harness.topology.topology import Node

Number = TypeVar("Number", int, float)

CPU_LEAST = 0.01  # of a core: the kernel gives a millisecond in a hundred, or nothing
MEMORY_LEAST = 1_000_000
CLOCK_MOST_S = 10 * 365 * 86_400
FDS_LEAST = 3  # a program's standard ones


class Disk(StrEnum):
    """What is wrong with a node's disk."""

    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a node may use; None: as much as the host has. Raises BadFileError.

    `cpu` is of all its processes together, in cores; `memory_bytes`, the address space, and `fds`
    are of each. `disk` and `clock_s` are of the node's own: its clock is so many seconds ahead.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    fds: int | None = None
    disk: Disk | None = None
    clock_s: float | None = None

    def __post_init__(self) -> None:
        if self.cpu is not None and self.cpu < CPU_LEAST:
            raise BadFileError(f"cpu: expected at least 1%, found {self.cpu * 100:g}%")
        if self.clock_s is not None and not abs(self.clock_s) <= CLOCK_MOST_S:
            raise BadFileError(
                f"clock: expected at most {CLOCK_MOST_S:,} s ahead or behind, found "
                f"{self.clock_s:+g}"
            )
        for name, value, least in (
            ("memory", self.memory_bytes, MEMORY_LEAST),
            ("fds", self.fds, FDS_LEAST),
        ):
            if value is not None and value < least:
                raise BadFileError(f"{name}: expected at least {least:,}, found {value:,}")

    def require(self, node: Node) -> None:
        """Raise BadFileError where a node has not of its own what these are about."""
        for what, asked, own, say in (
            ("disk", self.disk, node.disk_bytes, 'disk = "8mb"'),
            ("clock", self.clock_s, node.own_clock, "own_clock = true"),
        ):
            if asked is not None and not own:
                raise BadFileError(
                    f"{what}: {node.name} has no {what} of its own; say {say} of [nodes], or its "
                    "[[node]], in the topology"
                )

    @property
    def kinds(self) -> list[str]:
        """The words for what is limited."""
        asked = (
            ("cpu", self.cpu),
            ("memory", self.memory_bytes),
            ("fds", self.fds),
            ("disk", self.disk),
            ("clock", self.clock_s),
        )
        return [name for name, value in asked if value is not None]

    def words(self) -> str:
        """The limits as a person says them: ``cpu 20 %, fds 64``."""
        said = [f"cpu {percent(self.cpu)}"] if self.cpu is not None else []
        if self.memory_bytes is not None:
            said.append(f"memory {number(self.memory_bytes / 1e6)} MB")
        said += [f"fds {self.fds:,}"] if self.fds is not None else []
        said += [f"disk {self.disk}"] if self.disk is not None else []
        said += [f"clock {self.clock_s:+g} s"] if self.clock_s is not None else []
        return ", ".join(said)

    @property
    def of_processes(self) -> Limits:
        """Those that the kernel holds a node's processes to."""
        return replace(self, disk=None, clock_s=None)

    def with_(self, other: Limits) -> Limits:
        """Fold two limits: of each the narrower, and both offsets of the clock."""
        clocks = [one for one in (self.clock_s, other.clock_s) if one is not None]
        return Limits(
            cpu=_narrower(self.cpu, other.cpu),
            memory_bytes=_narrower(self.memory_bytes, other.memory_bytes),
            fds=_narrower(self.fds, other.fds),
            disk=self.disk or other.disk,
            clock_s=sum(clocks) if clocks else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the limits as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Read what `as_json` said. Raises TypeError, ValueError, BadFileError."""
        disk = said.get("disk")
        return cls(**{**said, "disk": None if disk is None else Disk(disk)})


UNLIMITED = Limits()


def _whole(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit():
        raise BadFileError(f"expected a whole number, found {value!r}")
    return int(text)


def _disk(value: object) -> Disk:
    if value == "slow":
        raise BadFileError(
            "slow cannot be shown: a node's disk is in memory (tmpfs), and has no device whose "
            "reads and writes the kernel could hold back; possible: full"
        )
    if value not in tuple(Disk):
        raise BadFileError(one_of(value, Disk))
    return Disk(str(value))


def _clock(value: object) -> float:
    text = str(value)
    sign = -1 if text.startswith("-") else 1
    return sign * time_ms(text.removeprefix("-").removeprefix("+")) / 1e3


class Word(NamedTuple):
    """One word of a fault that limits nodes: the field of Limits that it is, and what reads it."""

    field: str
    read: Callable[[object], Any]
    example: str
    sentence: str


WORDS = {
    "cpu": Word(
        "cpu",
        lambda value: share(str(value)),
        "20%",
        "how much of a core the processes of a node get together",
    ),
    "memory": Word(
        "memory_bytes",
        lambda value: size_bytes(str(value)),
        "500mb",
        "address space that each process of a node may have; above it, it gets no more",
    ),
    "fds": Word(
        "fds", _whole, "64", "descriptors (files, sockets) that each process of a node may have"
    ),
    "disk": Word(
        "disk", _disk, "full", "the node's own disk (a topology's disk) takes nothing more: ENOSPC"
    ),
    "clock": Word(
        "clock_s",
        _clock,
        "+90s",
        "how far ahead the node's own wall clock (a topology's own_clock) is; -90s: behind",
    ),
}


def _narrower(one: Number | None, other: Number | None) -> Number | None:
    return min((value for value in (one, other) if value is not None), default=None)


def folded(limits: Iterable[Limits]) -> Limits:
    """Fold any number of limits."""
    found = UNLIMITED
    for one in limits:
        found = found.with_(one)
    return found
