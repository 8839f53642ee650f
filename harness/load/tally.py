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

LATE_S = 1.0  # an operation in flight for longer is told of
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
    oldest_ns: int = 0  # when the oldest in flight was due (CLOCK_MONOTONIC); 0: none is
    late: int = 0  # in flight for longer than LATE_S when this was reported
    waiting: Histogram = field(default_factory=Histogram)  # ages of those in flight, then

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
        self.late += other.late
        self.waiting.merge(other.waiting)
        known = [each for each in (self.oldest_ns, other.oldest_ns) if each]
        self.oldest_ns = min(known, default=0)
        for outcome in Outcome:
            self.outcomes[outcome] += other.outcomes[outcome]

    def to_wire(self) -> dict[str, Any]:
        """Plain values for msgpack."""
        return {
            "response": self.response.to_wire(),
            "lag": self.lag.to_wire(),
            "in_flight": self.in_flight,
            "oldest_ns": self.oldest_ns,
            "late": self.late,
            "waiting": self.waiting.to_wire(),
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
            sent["oldest_ns"],
            sent["late"],
            Histogram.from_wire(sent["waiting"]),
        )

    def count_in_flight(self, intended_ns: Integers, now_ns: int) -> None:
        """Count what is in flight: due at these times, waiting since."""
        ages_ns = now_ns - intended_ns[intended_ns <= now_ns]
        self.in_flight += len(intended_ns)
        self.late += int((ages_ns > LATE_S * 1e9).sum())
        self.waiting.add(ages_ns)
        if len(intended_ns):
            oldest_ns = int(intended_ns.min())
            self.oldest_ns = min(self.oldest_ns or oldest_ns, oldest_ns)

    def forget_in_flight(self) -> None:
        """Count anew what is in flight."""
        self.in_flight, self.late, self.oldest_ns, self.waiting = 0, 0, 0, Histogram()

    def oldest_s(self, now_ns: int) -> float | None:
        """How long the oldest in flight has waited by now; None where none is."""
        return max(0, now_ns - self.oldest_ns) / 1e9 if self.oldest_ns else None

    def with_waiting(self) -> Histogram:
        """Response times, and of what is in flight the time that it has waited so far."""
        both = Histogram()
        both.merge(self.response)
        both.merge(self.waiting)
        return both

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


def split(
    rows: Integers, kinds: Iterable[Operation] = tuple(Operation)
) -> Iterable[tuple[Operation, Integers]]:
    """The gathered rows of each of these operations that has any."""
    for operation in kinds:
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
