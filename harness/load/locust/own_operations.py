"""The operations that the system of this cluster has of its own: each has a rate, and a class."""

from __future__ import annotations

from functools import cache

from harness.control.client import Client
from harness.errors import HarnessError
from harness.operations import Operation, own


@cache
def here() -> tuple[Operation, ...]:
    """Return those of the cluster that is up; none where no cluster answers."""
    try:
        with Client.connect(None) as client:
            return tuple(map(own.from_json, client.status().get("own", ())))
    except HarnessError:  # which whoever starts a run is told
        return ()
