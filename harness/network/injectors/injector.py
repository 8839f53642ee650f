"""The port of all injectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from harness.network.fabric import Fabric
from harness.network.injectors.compiler import Compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the injectors of one cluster are made with."""

    fabric: Fabric  # wired
    seed: int
    ports: Sequence[int] = ()  # TCP, at which nodes dial each other; empty: nobody says so
    # impairment → backend that serves it here, or NONE
    backends: Mapping[str, str] = field(default_factory=dict)


class Injector(Protocol):
    """An injector brings a part of a network state about; its class makes it with the Site.

    `nftables` chooses among what the others have made: that is the one atomic step of a change.
    """

    name: str

    @staticmethod
    def is_needed(wanted: Compiled) -> bool:
        """Whether the injector must stand in this state; one that stands stays until no fault is
        left.
        """

    @staticmethod
    def require() -> None:
        """Raise UnavailableError where a program that the injector needs is not here.

        Called before anything changes.
        """

    def prepare(self, wanted: Compiled) -> None:
        """Make what is new, and narrow what gets narrower, before packets choose it.

        Raises HarnessError.
        """

    def finish(self, wanted: Compiled) -> None:
        """Take away what is not wanted, once no packet chooses it any more. Raises HarnessError."""

    def drift(self, wanted: Compiled) -> str | None:
        """Say why what is there, read back, is not what was asked; None where it is.

        Never raises.
        """

    def close(self) -> None:
        """Take away what the injector made, and nothing else."""


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
    """One rate: of a node's link up or down, or of a class of paths into the node."""

    which: str  # up, down, into
    node: int
    number: int  # of the class
    rate_bps: int


def limits(wanted: Compiled) -> list[Limit]:
    """List every rate of a compiled state."""
    rates = {number: what.rate_bps for number, what in wanted.classes.items() if what.rate_bps}
    return [
        *(Limit("up", node, 0, rate) for node, rate in wanted.up.items()),
        *(Limit("down", node, 0, rate) for node, rate in wanted.down.items()),
        *(
            Limit("into", node, number, rates[number])
            for node, numbers in (wanted.into.items() if rates else ())
            for number in numbers & rates.keys()
        ),
    ]


class RateCounter(Protocol):
    """An injector that serves rates also counts what each lets through."""

    def sent(self, wanted: Compiled) -> dict[Limit, int]:
        """Read the bytes that each rate has let through, cumulative."""
