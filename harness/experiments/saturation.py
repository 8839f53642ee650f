"""The search for the highest rate, or number of nodes, that holds: pure, bounded, and honest about
its ends.

One holds when every try of it held. Between the highest that does and the lowest that does not
lies the answer; it is narrowed until the two are near, then the lower one is tried again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checks import statistic
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import TIMES
from harness.checks.verdict import Answer
from harness.choices import one_of
from harness.errors import UsageError
from harness.operations import Operation, own
from harness.scenario.budget import UNITS, Conditions, Row
from harness.scenario.stream import RATE_PER_S_MAX
from harness.topology.quantities import number
from harness.topology.topology import NODES_MAX

NEAR = 1.1  # high ÷ low from which on the search repeats instead of narrowing
PHASE = "load"
UNTIL = re.compile(r"(?:(\S+)\s+)?(\S+)\s*(<=|<)\s*([0-9.]+)\s*(\S+)")
MARGIN = 1.1  # some samples of a try are of no use: sent late, or due at its very end
CURVE = ("p50", "p95", "p99", "p99.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search varies, how it is told, and how far it goes."""

    name: str
    unit: str  # behind a value
    key: str  # of a try in saturation.json
    ends: str  # of the interval there, behind ``holds_at_`` and ``fails_at_``
    least: float
    most: float
    rounded: Callable[[float], float]

    def told(self, value: float) -> str:
        """Write a value with its unit."""
        return f"{number(value, value)}{self.unit}"


RATE = Searched(
    name="rate",
    unit="/s",
    key="rate_per_s",
    ends="per_s",
    least=1.0,
    most=RATE_PER_S_MAX,
    rounded=lambda rate_per_s: float(f"{rate_per_s:.3g}"),  # three figures are enough
)
NODES = Searched(
    name="number of nodes",
    unit=" nodes",
    key="nodes",
    ends="nodes",
    least=2,
    most=NODES_MAX,
    # an odd number of nodes with an odd number of links each cannot be
    rounded=lambda nodes: 2 * round(nodes / 2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One short run at a value of what is searched."""

    at: float
    answer: Answer
    why: str  # the sentence that decided it
    values: Mapping[str, float]  # statistic → value in the unit of the promise; not finite: lost
    run: str = ""  # its folder
    under: str = ""  # the faults that somebody set by hand meanwhile; empty: none
    is_last: bool = False  # the harness broke, or a node ended: another try would tell of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """What is known of the highest value that holds: the tries, in their order."""

    tries: tuple[Try, ...] = field(default=())
    repeats: int = 1
    searched: Searched = RATE

    def of(self, value: float) -> list[Try]:
        """Return the tries of one value."""
        return [one for one in self.tries if one.at == value]

    @property
    def fails_at(self) -> float | None:
        """The lowest of which a try did not hold; None: each held."""
        return min((one.at for one in self.tries if not _holds(one)), default=None)

    @property
    def holds_at(self) -> float | None:
        """The highest below that; None: none held."""
        ceiling = self.fails_at or math.inf
        return max((one.at for one in self.tries if one.at < ceiling), default=None)

    @property
    def answer(self) -> Answer:
        """PASS where one held as often as was asked; FAIL where none did and the system missed
        the promise at the lowest; UNKNOWN where neither is known.
        """
        low, high = self.holds_at, self.fails_at
        if low is not None:
            return Answer.PASS if len(self.of(low)) >= self.repeats else Answer.UNKNOWN
        return Answer.FAIL if high is not None and self.is_missed(high) else Answer.UNKNOWN

    def next(self, first: float) -> float | None:
        """Return what to try next; None where the search is over."""
        low, high, it = self.holds_at, self.fails_at, self.searched
        if low is None and high is None:
            return first
        if self.tries[-1].is_last:
            return None
        if low is None:
            assert high is not None
            below = max(it.rounded(high / 2), it.least)
            return below if below < high else None
        if high is None and low < it.most:
            return min(it.rounded(low * 2), it.most)
        between = it.rounded(math.sqrt(low * high)) if high is not None else low
        if high is not None and high / low > NEAR and low < between < high:
            return between
        return low if len(self.of(low)) < self.repeats else None

    def sentence(self) -> str:
        """Say what is known, and under which faults that nobody planned."""
        under = [one.under for one in self.tries if one.under]
        said = "; ".join(dict.fromkeys(under))
        of = f"; {len(under)} of {len(self.tries)} tries were under faults set by hand: {said}"
        return self._known() + (of if under else "")

    def _known(self) -> str:
        low, high, told = self.holds_at, self.fails_at, self.searched.told
        if low is None and high is None:
            return "nothing was tried"
        if low is None:
            assert high is not None
            missed = self.is_missed(high)
            held = "held that was tried" if missed else "that was tried is known to hold"
            down = f"down to {told(high)} ({self._ceiling(high)})"
            return f"no {self.searched.name} {held}, {down}"
        count = len(self.of(low))
        times = f"{count} of {count} tries" if count > 1 else "its only try"
        if high is None:
            return f"{told(low)} held in {times}; no {self.searched.name} that was tried did not"
        did_not = "did not" if self.is_missed(high) else "is not known to"
        return f"{told(low)} held in {times}, {told(high)} {did_not} ({self._ceiling(high)})"

    def is_missed(self, value: float) -> bool:
        """Whether the system missed the promise there: else nobody knows what it can do."""
        return any(one.answer is Answer.FAIL for one in self.of(value))

    def _ceiling(self, high: float) -> str:
        """Why the lowest that did not hold did not: by the system, if any try says so."""
        return min(
            (one for one in self.of(high) if not _holds(one)),
            key=lambda one: one.answer is not Answer.FAIL,
        ).why

    def as_json(self) -> dict[str, Any]:
        """Return what saturation.json holds, beside what was asked."""
        high, it = self.fails_at, self.searched
        return {
            "answer": str(self.answer),
            "sentence": self.sentence(),
            f"holds_at_{it.ends}": self.holds_at,
            f"fails_at_{it.ends}": high,
            "system_missed_there": high is not None and self.is_missed(high),
            "tries": [
                {
                    it.key: one.at,
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
    first: float,
    *,
    tries: int,
    repeats: int,
    searched: Searched = RATE,
    told: Callable[[Saturation], None] = lambda _: None,
) -> Saturation:
    """Try values until the highest that holds is known or the tries are used up; `told` hears what
    is known after each.
    """
    found = Saturation(repeats=repeats, searched=searched)
    while len(found.tries) < tries and (value := found.next(first)) is not None:
        found = replace(found, tries=(*found.tries, attempt(value)))
        told(found)
    return found


def rates_for(promised: Row, seconds: float) -> Searched:
    """Search rates, but none so low that a try has fewer samples than the promise wants: what it
    does there is not known, and lower still neither.
    """
    least = RATE.rounded(MARGIN * statistic.samples(promised.statistic) / seconds)
    return replace(RATE, least=max(RATE.least, least))


def promise(text: str, operation: Operation) -> Row:
    """Read a promise such as ``p99 < 50 ms``, or ``private_message.burst p99 < 50 ms``.

    Raises UsageError with what is possible.
    """
    found = UNTIL.fullmatch(text.strip())
    mine = sorted(
        metric
        for metric in (*TIMES, *own.metrics([operation]))
        if metric.startswith(f"{operation.word}.") and METRICS[metric].kind == "time"
    )
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
        most = float(bound)
    except ValueError:
        raise UsageError(f"--until: bound: expected a number, found {bound!r}") from None
    if not most > 0:
        raise UsageError(f"--until: bound: expected more than 0 {unit}, found {bound!r}")
    return Row(
        name=text.strip(),
        metric=metric,
        statistic=taken,
        unit=unit,
        bound=most,
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
    return tuple(
        f"{operation.word}.{name}" for name in ("end_to_end", "response", "delivery", own.TIME)
    )


def _holds(one: Try) -> bool:
    return one.answer is Answer.PASS
