"""Nothing grows and does not stop: a finding a resource, of all nodes and of the harness's own
processes. Pure. A scenario asks for it by the word `leaks`; a budget's row with
`statistic = "slope"` promises how much may grow.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.checks import leaks
from harness.checks.leaks import RESOURCES, Trend
from harness.checks.verdict import Answer, Cause, Finding
from harness.checks.watched import watched
from harness.history.history import History

SAID = 3  # leaks that a sentence names


def check(history: History) -> list[Finding]:
    """One finding for each resource that was sampled."""
    return findings(leaks.found(watched(history)))


def findings(trends: Sequence[Trend]) -> list[Finding]:
    """One finding for each resource: FAIL where something leaks, UNKNOWN where of something nobody
    can tell yet.
    """
    return [
        _finding(resource, mine)
        for resource in RESOURCES
        if (mine := [one for one in trends if one.watched.resource == resource])
    ]


def _finding(resource: str, trends: Sequence[Trend]) -> Finding:
    name, promised = f"leaks: {resource}", "grows no longer than a warm-up"
    leaking = sorted((one for one in trends if one.is_leak), key=lambda one: one.p)
    if leaking:
        said = "; ".join(one.sentence for one in leaking[:SAID])
        more = f"; and {len(leaking) - SAID} more" if len(leaking) > SAID else ""
        return Finding(
            name=name,
            answer=Answer.FAIL,
            promised=promised,
            measured=f"{len(leaking)} of {len(trends)} grow",
            sentence=said + more,
        )
    untold = [one for one in trends if one.is_open]
    if untold:
        return Finding(
            name=name,
            answer=Answer.UNKNOWN,
            promised=promised,
            measured=f"{sum(one.is_told for one in trends)} of {len(trends)} told",
            sentence=untold[0].sentence,
            cause=Cause.TOO_FEW,
        )
    highest = max((one.slope for one in trends if one.slope), key=lambda one: one.high_per_s)
    shows = leaks.at_rate(resource, highest.high_per_s)
    return Finding(
        name=name,
        answer=Answer.PASS,
        promised=promised,
        measured="none grows",
        sentence=f"of {len(trends)} series none; a leak of {shows} would have shown in each",
    )
