"""A fault of the network as a row of a list (docs/interfaces.md, ``fault list --json``)."""

from __future__ import annotations

from typing import Any

from harness.faults.fault import Fault


def row(fault: Fault) -> dict[str, Any]:
    """Return the row of one fault."""
    return {
        "name": fault.name,
        "words": fault.words,
        "paths": fault.count,
        "does": fault.does,
        "up": dict(fault.up),
        "down": dict(fault.down),
        "nodes": [],
        "sides": fault.groups,
        "mutual": bool(fault.sides),
        "lost": fault.lost,
    }
