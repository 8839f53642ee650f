"""The port of all checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from harness.checks.verdict import Finding
from harness.history.history import History
from harness.scenario.budget import Row


class Checker(Protocol):
    """Holds a history against what was promised. Pure; one that crashes becomes UNKNOWN."""

    def __call__(self, history: History, rows: Sequence[Row], /) -> list[Finding]: ...
