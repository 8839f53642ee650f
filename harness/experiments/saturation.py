"""The search for the highest rate that holds: pure, bounded, and honest about its ends.

A rate holds when every try of it held. Between the highest that does and the lowest that does not
lies the answer; it is narrowed until the two are near, then the lower one is tried again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checks import statistic
from harness.checks.operation_metrics import TIMES
from harness.checks.verdict import Answer
from harness.choices import one_of
from harness.errors import UsageError
from harness.operations import Operation
from harness.scenario.budget import UNITS, Conditions, Row
from harness.scenario.stream import RATE_PER_S_MAX

NEAR = 1.1  # high ÷ low from which on the search repeats instead of narrowing
LEAST_PER_S = 1.0
PHASE = "load"
UNTIL = re.compile(r"(?:(\S+)\s+)?(\S+)\s*(<=|<)\s*([0-9.]+)\s*(\S+)")
CURVE = ("p50", "p95", "p99", "p99.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One short run at a rate."""

    rate_per_s: float
    answer: Answer
    why: str  # the sentence that decided it
    values: Mapping[str, float]  # statistic → value in the unit of the promise; not finite: lost
    run: str = ""  # its folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What is known of the highest rate: the tries, in their order."""

    tries: tuple[Try, ...] = field(default=())
    repeats: int = 1

    def of(self, rate_per_s: float) -> list[Try]:
        """Return the tries of one rate."""
        return [one for one in self.tries if one.rate_per_s == rate_per_s]

    @property
    def fails_at_per_s(self) -> float | None:
        """The lowest rate of which a try did not hold; None: each held."""
        return min((one.rate_per_s for one in self.tries if not _holds(one)), default=None)

    @property
    def holds_at_per_s(self) -> float | None:
        """The highest rate below that; None: none held."""
        ceiling = self.fails_at_per_s or math.inf
        return max((one.rate_per_s for one in self.tries if one.rate_per_s < ceiling), default=None)

    @property
    def answer(self) -> Answer:
        """PASS where a rate held as often as was asked; FAIL where none did and the system missed
        the promise at the lowest; UNKNOWN where neither is known.
        """
        low, high = self.holds_at_per_s, self.fails_at_per_s
        if low is not None:
            return Answer.PASS if len(self.of(low)) >= self.repeats else Answer.UNKNOWN
        return Answer.FAIL if high is not None and self.is_missed(high) else Answer.UNKNOWN

    def next_per_s(self, first_per_s: float) -> float | None:
        """Return the rate to try next; None where the search is over."""
        low, high = self.holds_at_per_s, self.fails_at_per_s
        if low is None and high is None:
            return first_per_s
        if low is None:
            assert high is not None
            return None if high <= LEAST_PER_S else max(_rounded(high / 2), LEAST_PER_S)
        if high is None and low < RATE_PER_S_MAX:
            return min(_rounded(low * 2), RATE_PER_S_MAX)
        between = _rounded(math.sqrt(low * high)) if high is not None else low
        if high is not None and high / low > NEAR and low < between < high:
            return between
        return low if len(self.of(low)) < self.repeats else None

    def sentence(self) -> str:
        """Say what is known."""
        low, high = self.holds_at_per_s, self.fails_at_per_s
        if low is None and high is None:
            return "nothing was tried"
        if low is None:
            assert high is not None
            return f"no rate held that was tried, down to {high:,g}/s ({self._ceiling(high)})"
        held = len(self.of(low))
        times = f"{held} of {held} tries" if held > 1 else "its only try"
        if high is None:
            return f"{low:,g}/s held in {times}; no rate that was tried did not"
        did_not = "did not" if self.is_missed(high) else "is not known to"
        return f"{low:,g}/s held in {times}, {high:,g}/s {did_not} ({self._ceiling(high)})"

    def is_missed(self, rate_per_s: float) -> bool:
        """Whether the system missed the promise at a rate: else nobody knows what it can do."""
        return any(one.answer is Answer.FAIL for one in self.of(rate_per_s))

    def _ceiling(self, high: float) -> str:
        """Why the lowest rate that did not hold did not: by the system, if any try says so."""
        return min(
            (one for one in self.of(high) if not _holds(one)),
            key=lambda one: one.answer is not Answer.FAIL,
        ).why

    def as_json(self) -> dict[str, Any]:
        """Return what saturation.json holds, beside what was asked."""
        high = self.fails_at_per_s
        return {
            "answer": str(self.answer),
            "sentence": self.sentence(),
            "holds_at_per_s": self.holds_at_per_s,
            "fails_at_per_s": self.fails_at_per_s,
            "system_missed_there": high is not None and self.is_missed(high),
            "tries": [
                {
                    "rate_per_s": one.rate_per_s,
                    "answer": str(one.answer),
                    "why": one.why,
                    "values": {
                        name: value if math.isfinite(value) else None
                        for name, value in one.values.items()
                    },
                    "run": one.run,
                }
                for one in self.tries
            ],
        }


def search(
    attempt: Callable[[float], Try],
    first_per_s: float,
    *,
    tries: int,
    repeats: int,
    told: Callable[[Saturation], None] = lambda _: None,
) -> Saturation:
    """Try rates until the highest that holds is known or the tries are used up; `told` hears what
    is known after each.
    """
    found = Saturation(repeats=repeats)
    while len(found.tries) < tries and (rate := found.next_per_s(first_per_s)) is not None:
        found = Saturation(tries=(*found.tries, attempt(rate)), repeats=repeats)
        told(found)
    return found


def promise(text: str, operation: Operation) -> Row:
    """Read a promise such as ``p99 < 50 ms``, or ``private_message.burst p99 < 50 ms``.

    Raises UsageError with what is possible.
    """
    found = UNTIL.fullmatch(text.strip())
    mine = sorted(metric for metric in TIMES if metric.startswith(f"{operation.word}."))
    statistics = [name for name in statistic.NAMES if name != "count"]
    times = [unit for unit, (kind, _) in UNITS.items() if kind == "time"]
    if found is None:
        raise UsageError(f"--until: expected such as 'p99 < 50 ms', found {text!r}")
    metric, taken, comparison, bound, unit = found.groups()
    metric = metric or next((one for one in mine if one in _usual(operation)), mine[0])
    for what, value, allowed in (
        ("metric", metric, mine),
        ("statistic", taken, statistics),
        ("unit", unit, times),
    ):
        if value not in allowed:
            raise UsageError(f"--until: {what}: {one_of(value, allowed)}")
    try:
        number = float(bound)
    except ValueError:
        raise UsageError(f"--until: bound: expected a number, found {bound!r}") from None
    return Row(
        name=text.strip(),
        metric=metric,
        statistic=taken,
        unit=unit,
        bound=number,
        comparison=comparison,
        conditions=Conditions(phase=PHASE),
    )


def rows(promised: Row) -> Sequence[Row]:
    """Return the promise and what the curve shows, as rows of a budget."""
    shown = [
        Row(
            name=f"{promised.metric} {name}",
            metric=promised.metric,
            statistic=name,
            unit=promised.unit,
            bound=None,
            conditions=promised.conditions,
        )
        for name in CURVE
    ]
    return [promised, *shown]


def _usual(operation: Operation) -> tuple[str, ...]:
    return tuple(f"{operation.word}.{name}" for name in ("end_to_end", "response", "delivery"))


def _holds(one: Try) -> bool:
    return one.answer is Answer.PASS


def _rounded(rate_per_s: float) -> float:
    """Three figures are enough."""
    return float(f"{rate_per_s:.3g}")
