"""The counts of one worker so far, by operation: for the master's "Delivery" tab and the run's
metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.load.histogram import Histogram
from harness.load.record import DONE_NS, INTENDED_NS, OPERATION, OUTCOME, SENT_NS
from harness.operations import Operation, Outcome
from harness.stats import Integers

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass(slots=True)
class Tally:
    """Counts of one operation. `response` = done − intended of what ended OK, `lag` = sent −
    intended of what was sent.
    """

    response: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    in_flight: int = 0

    def add(self, rows: Integers) -> None:
        """Count ended operations (rows as gathered by Record)."""
        ended_ok = rows[rows[:, OUTCOME] == Outcome.OK]
        self.response.add(ended_ok[:, DONE_NS] - ended_ok[:, INTENDED_NS])
        sent = rows[rows[:, SENT_NS] > 0]
        self.lag.add(sent[:, SENT_NS] - sent[:, INTENDED_NS])
        for outcome in Outcome:
            self.outcomes[outcome] += int((rows[:, OUTCOME] == outcome).sum())

    def merge(self, other: Tally) -> None:
        """Add the counts of another worker."""
        self.response.merge(other.response)
        self.lag.merge(other.lag)
        self.in_flight += other.in_flight
        for outcome in Outcome:
            self.outcomes[outcome] += other.outcomes[outcome]

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack."""
        return {
            "response": self.response.to_wire(),
            "lag": self.lag.to_wire(),
            "in_flight": self.in_flight,
            "outcomes": [self.outcomes[outcome] for outcome in Outcome],
        }

    @classmethod
    def from_wire(cls, sent: Mapping[str, Any]) -> Tally:
        """The tally that `to_wire` made these values of."""
        return cls(
            Histogram.from_wire(sent["response"]),
            Histogram.from_wire(sent["lag"]),
            dict(zip(Outcome, sent["outcomes"], strict=True)),
            sent["in_flight"],
        )

    def facts(self) -> dict[str, Any]:
        """Numbers for tables and metadata: microseconds, None where nothing was measured."""
        found: dict[str, Any] = {
            f"{name}_us": self.response.percentile_us(quantile)
            for name, quantile in QUANTILES.items()
        }
        return found | {
            "lag_p50_us": self.lag.percentile_us(0.5),
            "lag_p99_us": self.lag.percentile_us(0.99),
            "ok": self.outcomes[Outcome.OK],
            "failed": self.outcomes[Outcome.FAILED],
            "unknown": self.outcomes[Outcome.UNKNOWN],
            "in_flight": self.in_flight,
        }


def split(rows: Integers) -> Iterable[tuple[Operation, Integers]]:
    """The gathered rows of each operation that has any."""
    for operation in Operation:
        chosen = rows[rows[:, OPERATION] == operation]
        if len(chosen):
            yield operation, chosen


def merged(reports: Iterable[Mapping[str, Any]]) -> dict[str, Tally]:
    """The sum of all workers' reports, by the operation's word."""
    found: dict[str, Tally] = {}
    for report in reports:
        for word, sent in report["operations"].items():
            found.setdefault(word, Tally()).merge(Tally.from_wire(sent))
    return found
