"""One row of a budget against a literal history."""

from __future__ import annotations

from typing import Any

from harness.checks import rows
from harness.checks.verdict import Finding
from harness.history.history import History
from harness.scenario.budget import Conditions, Row

CONDITIONS = ("phase", "nodes", "node", "received_per_s", "under", "process")


def row(**changes: Any) -> Row:
    """The p50 of private messages below 10 ms in the phase "load", but for these changes."""
    conditions = {key: changes.pop(key) for key in CONDITIONS if key in changes}
    plain = {
        "name": "r",
        "metric": "private_message.end_to_end",
        "statistic": "p50",
        "unit": "ms",
        "bound": 10.0,
    }
    return Row(**{**plain, **changes}, conditions=Conditions(**{"phase": "load", **conditions}))


def judged(found: History, **changes: Any) -> Finding:
    """The finding of that row."""
    (finding,) = rows.check(found, [row(**changes)])
    return finding
