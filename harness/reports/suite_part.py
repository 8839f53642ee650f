"""A part of a suite, as its report shows it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.checks.verdict import Verdict
from harness.history.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePart:
    """One run of a suite: its scenario, its folder as the suite's folder reaches it, its verdict by
    the suite's budget, and what happened.
    """

    name: str
    folder: str
    verdict: Verdict
    history: History
