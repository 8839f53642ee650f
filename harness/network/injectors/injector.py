"""The port of all injectors: how a part of a network state comes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from harness.network.fabric import Fabric
from harness.network.injectors.compiler import Compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the injectors of one cluster work."""

    fabric: Fabric  # wired
    seed: int
    ports: Sequence[int] = ()  # TCP, at which nodes dial each other; empty: nobody says so
    # impairment → backend that serves it here, or NONE
    backends: Mapping[str, str] = field(default_factory=dict)


class Injector(Protocol):
    """How a part of a network state comes true; made by its class with the Site.

    `nftables` chooses among what the others have made: that is the one atomic step of a change.
    """

    name: str

    @staticmethod
    def is_needed(wanted: Compiled) -> bool:
        """Whether it must stand while this state is in force; one that stands stays until no fault
        is left.
        """

    @staticmethod
    def require() -> None:
        """Raise UnavailableError where a program that it needs is not here; before anything
        changes.
        """

    def prepare(self, wanted: Compiled) -> None:
        """Before packets choose what is new: make it, and narrow what gets narrower. Raises
        HarnessError.
        """

    def finish(self, wanted: Compiled) -> None:
        """Once no packet chooses it any more: take away what is not wanted. Raises HarnessError."""

    def drift(self, wanted: Compiled) -> str | None:
        """Why what is there, read back, is not what was asked; None where it is. Never raises."""

    def close(self) -> None:
        """Take away what it made, and nothing else."""


class OfTheKernel:
    """What injectors share that need nothing but the kernel: they stand from the first fault on."""

    @staticmethod
    def is_needed(wanted: Compiled) -> bool:
        """At every fault."""
        del wanted
        return True

    @staticmethod
    def require() -> None:
        """It needs no program."""


class Limit(NamedTuple):
    """One rate: of a node's link up or down, or of a class of paths into it."""

    which: str  # up, down, into
    node: int
    number: int  # of the class
    rate_bps: int


class RateCounter(Protocol):
    """What an injector that serves rates also does: count what each lets through."""

    def sent(self, wanted: Compiled) -> dict[Limit, int]:
        """Bytes that each rate has let through, cumulative."""
