"""Locust's own figures, as its page polls them, with what waits for an answer in them.

Without that a cut shows no failure and a p99 of milliseconds for as long as a timeout lasts.

The page polls while a run is spawning or running, and no longer. One that is told anything else
while a run begins, stops or is judged would show that for ever: the form to start another, a stop
under way, or totals without the last second.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

from harness.load.locust.tabs.desk import Desk
from harness.load.tally import Tally
from harness.operations import Outcome

WINDOW_S = 10.0  # of Locust's current figures
PERCENTILE = "response_time_percentile_"
STOPPING = ("stopping", "cleanup")


def state(of_runner: str, desk: Desk) -> str:
    """What the page is told of a runner's state: a run goes on from its start's beginning until it
    is judged.
    """
    if desk.starts.is_under_way:
        return "spawning"
    return "running" if desk.master.plan is not None or of_runner in STOPPING else of_runner


def reset(desk: Desk) -> None:
    """Count from now on, as Locust does."""
    desk.reset = desk.master.tallies()


def counted(desk: Desk) -> dict[str, Tally]:
    """What was counted since the run began, or since somebody reset Locust's figures."""
    found = desk.master.tallies()
    for word, before in desk.reset.items():
        if word in found:
            found[word].response.counts -= before.response.counts
            for outcome, count in before.outcomes.items():
                found[word].outcomes[outcome] -= count
    return found


def corrected(answer: dict[str, Any], tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """The answer of ``/stats/requests``, where an operation that is late counts as failed so far
    and with the time that it has waited.
    """
    whole = Tally()
    for tally in tallies.values():
        whole.merge(tally)
    if not whole.late:
        return answer
    for row in answer.get("stats", []):
        tally = whole if row["name"] == "Aggregated" else tallies.get(row["name"], Tally())
        if tally.late:
            _correct(row, tally)
            if row["name"] == "Aggregated":
                answer["fail_ratio"] = row["num_failures"] / row["num_requests"]
    recent = answer.get("total_rps", 0.0) * WINDOW_S + whole.in_flight - whole.late
    now = answer.get("current_response_time_percentiles") or {}
    for key, value in now.items():
        waited = _waited_ms(whole, recent, float(key.removeprefix(PERCENTILE)))
        now[key] = value if waited is None else max(waited, value or 0.0)
    return answer


def _correct(row: dict[str, Any], tally: Tally) -> None:
    """Put what waits into a row's counts and times. Locust may give the same answer again, with
    this in it: nothing is added to what stands there.
    """
    times, ended = tally.with_waiting(), sum(tally.outcomes.values())
    row["num_requests"] = ended + tally.late
    row["num_failures"] = ended - tally.outcomes[Outcome.OK] + tally.late
    row["avg_response_time"] = (times.mean_us or 0.0) / 1e3
    for key in row:
        if key.startswith(PERCENTILE):
            value_us = times.percentile_us(float(key.removeprefix(PERCENTILE)))
            row[key] = float(f"{(value_us or 0.0) / 1e3:.3g}")
    row["median_response_time"] = (times.percentile_us(0.5) or 0.0) / 1e3
    oldest_ms = (tally.oldest_s(monotonic_ns()) or 0.0) * 1e3
    row["max_response_time"] = round(max(row["max_response_time"], oldest_ms), 4)


def _waited_ms(tally: Tally, others: float, quantile: float) -> float | None:
    """The quantile of those that are late among so many others; None where it is one of these."""
    after = (1 - quantile) * (others + tally.late)  # so many take longer
    if after >= tally.late:
        return None
    waited_us = tally.waiting.percentile_us(1 - after / max(1, tally.in_flight))
    return None if waited_us is None else waited_us / 1e3
