"""What the system of this cluster can be asked: operations that it has of its own, each of which
has a rate and a class; and those that it has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.control.client import Client
from harness.errors import HarnessError
from harness.operations import TABLE, Operation, own
from harness.systems import adapters


@cache
def here() -> tuple[Operation, ...]:
    """Return those of the cluster that is up; none where no cluster answers."""
    return tuple(map(own.from_json, _status().get("own", ())))


@dataclass(frozen=True, slots=True)
class Lacking:
    """The operations that a system has not, of those that the harness has a word for."""

    system: str = ""
    words: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is said beside the streams that can be picked; empty: it has all."""
        return f"{self.system} has no {', '.join(self.words)}" if self.words else ""


@cache
def lacking() -> Lacking:
    """Return what the system of the cluster has not; nothing where no cluster answers."""
    try:
        system = adapters.named(_status()["adapter"])
    except (HarnessError, KeyError):
        return Lacking()
    known = {one.word for one in system.operations}
    return Lacking(system.name, tuple(one.word for one in TABLE if one.word not in known))


@cache
def _status() -> dict[str, Any]:
    try:
        with Client.connect(None) as client:
            found: dict[str, Any] = client.status()
            return found
    except HarnessError:  # which whoever starts a run is told
        return {}
