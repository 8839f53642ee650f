"""The port of all injectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.network.injectors.compiler import Compiled


class Injector(Protocol):
    """How a part of a network state comes true. nftables.py chooses among what the others have
    made: that is the one atomic step.
    """

    name: str

    def prepare(self, wanted: Compiled) -> None:
        """Before packets choose what is new: make it, and narrow what gets narrower. Raises
        HarnessError.
        """

    def finish(self, wanted: Compiled) -> None:
        """Once no packet chooses it any more: take away what is not wanted. Raises HarnessError."""

    def agrees(self, wanted: Compiled) -> str:
        """Why what is there, read back, is not what was asked; empty where it is. Never raises."""

    def close(self) -> None:
        """Take away what it made, and nothing else."""
