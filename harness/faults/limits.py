"""Limits of what a node may use of the host. Values; several on one node fold to the narrowest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar

from harness.choices import one_of
from harness.errors import BadFileError
from harness.topology.quantities import number, percent, share, size_bytes

Number = TypeVar("Number", int, float)

CPU_LEAST = 0.01  # of a core: the kernel gives a millisecond in a hundred, or nothing
MEMORY_LEAST = 1_000_000
FDS_LEAST = 3  # a program's standard ones


class Disk(StrEnum):
    """What is wrong with a node's disk."""

    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a node may use; None: as much as the host has. Raises BadFileError.

    `cpu` is of all its processes together, in cores; `memory_bytes`, the address space, and `fds`
    are of each. `disk` is of the node's own.
    """

    cpu: float | None = None
    memory_bytes: int | None = None
    fds: int | None = None
    disk: Disk | None = None

    def __post_init__(self) -> None:
        if self.cpu is not None and self.cpu < CPU_LEAST:
            raise BadFileError(f"cpu: expected at least 1%, found {self.cpu * 100:g}%")
        for name, value, least in (
            ("memory", self.memory_bytes, MEMORY_LEAST),
            ("fds", self.fds, FDS_LEAST),
        ):
            if value is not None and value < least:
                raise BadFileError(f"{name}: expected at least {least:,}, found {value:,}")

    @property
    def kinds(self) -> list[str]:
        """The words for what is limited."""
        asked = (
            ("cpu", self.cpu),
            ("memory", self.memory_bytes),
            ("fds", self.fds),
            ("disk", self.disk),
        )
        return [name for name, value in asked if value is not None]

    def words(self) -> str:
        """The limits as a person says them: ``cpu 20 %, fds 64``."""
        said = [f"cpu {percent(self.cpu)}"] if self.cpu is not None else []
        if self.memory_bytes is not None:
            said.append(f"memory {number(self.memory_bytes / 1e6)} MB")
        said += [f"fds {self.fds:,}"] if self.fds is not None else []
        return ", ".join([*said, *([f"disk {self.disk}"] if self.disk is not None else [])])

    @property
    def of_processes(self) -> Limits:
        """Those that the kernel holds a node's processes to."""
        return replace(self, disk=None)

    def with_(self, other: Limits) -> Limits:
        """Fold two limits: of each the narrower."""
        return Limits(
            cpu=_narrower(self.cpu, other.cpu),
            memory_bytes=_narrower(self.memory_bytes, other.memory_bytes),
            fds=_narrower(self.fds, other.fds),
            disk=self.disk or other.disk,
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
}


def _narrower(one: Number | None, other: Number | None) -> Number | None:
    return min((value for value in (one, other) if value is not None), default=None)


def folded(limits: Iterable[Limits]) -> Limits:
    """Fold any number of limits."""
    found = UNLIMITED
    for one in limits:
        found = found.with_(one)
    return found
