"""The port of all checks."""

from __future__ import annotations

from typing import Protocol

from harness.checks.verdict import Finding
from harness.history.history import History


class Check(Protocol):
    """Holds a history against what must be true of every run. Pure; one that crashes becomes
    UNKNOWN.
    """

    def __call__(self, history: History, /) -> list[Finding]: ...
