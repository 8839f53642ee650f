"""A sequential test decides, by as few runs as it takes, whether what fails only sometimes still
fails often enough. Pure.

A run ends in one of three outcomes; one that says nothing is counted for neither side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

FAILURES_WANTED = 5  # of the original, before its rate is told
ESTIMATE_RUNS_MOST = 15  # of the original, however seldom it fails
ESTIMATE_UNRESOLVED_MOST = 5  # of them may say nothing
UNRESOLVED_MOST = 2  # runs of one candidate that say nothing, before it is left unresolved
LONGEST = 3  # times what a candidate that never fails takes: then nothing is known of it
SEARCH = 20.0  # p1 / p0 of the test by which candidates are searched: one failure is enough
VERIFY = 4.0  # of the stricter one by which the result is verified


class Outcome(StrEnum):
    """What a run says of a failure: it is there, it is not, or nobody knows."""

    FAILS = "fails"
    PASSES = "passes"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is known of a candidate: the answer, and how many of its runs ended how."""

    outcome: Outcome
    fails: int = 0
    passes: int = 0
    unresolved: int = 0

    @property
    def runs(self) -> int:
        """How many runs it took."""
        return self.fails + self.passes + self.unresolved

    def __str__(self) -> str:
        counted = self.fails + self.passes
        said = [f"{self.fails} of {counted} runs failed"] if counted else []
        return ", ".join([*said, *([f"{self.unresolved} said nothing"] if self.unresolved else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialTest:
    """Wald's test between *fails in at least p1 of its runs* and *in at most p0*.

    With k failures in n runs the logarithm of the likelihood ratio is
    ``k ln(p1 / p0) + (n - k) ln((1 - p1) / (1 - p0))``. It fails once this is
    ``ln((1 - beta) / alpha)`` or more, and does not once it is ``ln(beta / (1 - alpha))`` or less.
    Then at most about `alpha` of those that fail in p0 of their runs are said to fail, and at most
    about `beta` of those that fail in p1 are said not to (A. Wald, Sequential Tests of Statistical
    Hypotheses, Annals of Mathematical Statistics 16, 1945, 117-186).

    `odds` is p1 / p0: the greater it is, the fewer runs it takes, and the more lies between the
    two, of which the test may say either. p1 is above 0 and below 1.
    """

    p1: float
    odds: float = SEARCH
    alpha: float = 0.05
    beta: float = 0.05

    @property
    def p0(self) -> float:
        """The share of runs up to which a candidate does not fail any more."""
        return self.p1 / self.odds

    def stricter(self) -> SequentialTest:
        """Return the test of a result: several failures make it sure that it was no chance. It asks
        for two thirds of p1, so that a result is not lost because the original seemed to fail more
        often than it does.
        """
        return replace(self, p1=self.p1 * 2 / 3, odds=VERIFY)

    def outcome(self, fails: int, passes: int) -> Outcome | None:
        """Return what so many runs say; None: not enough yet."""
        ratio = fails * math.log(self.odds) + passes * self._pass
        if ratio >= self._upper:
            return Outcome.FAILS
        return Outcome.PASSES if ratio <= self._lower else None

    @property
    def runs_to_pass(self) -> int:
        """How many runs it takes to say of a candidate that never fails that it does not."""
        return math.ceil(self._lower / self._pass)

    @property
    def runs_to_verify(self) -> int:
        """How many runs the stricter test takes, about, of what fails in p1 of its runs."""
        strict = self.stricter()
        return math.ceil(math.ceil(strict._upper / math.log(strict.odds)) / self.p1)

    @property
    def _upper(self) -> float:
        return math.log((1 - self.beta) / self.alpha)

    @property
    def _pass(self) -> float:
        return math.log((1 - self.p1) / (1 - self.p0))

    @property
    def _lower(self) -> float:
        return math.log(self.beta / (1 - self.alpha))

    def decide(
        self, play: Callable[[], Outcome], unresolved_most: int = UNRESOLVED_MOST
    ) -> Decision:
        """Play runs until the test ends.

        It is unresolved where so many of them say nothing, or where it has taken three times as
        many as one that never fails: the truth lies between p0 and p1 then.
        """
        counts = dict.fromkeys(Outcome, 0)
        most = LONGEST * self.runs_to_pass
        outcome: Outcome | None = None
        while outcome is None:
            counts[play()] += 1
            fails, passes, unresolved = counts.values()
            outcome = self.outcome(fails, passes)
            if outcome is None and (unresolved >= unresolved_most or fails + passes >= most):
                outcome = Outcome.UNRESOLVED
        return Decision(outcome=outcome, fails=fails, passes=passes, unresolved=unresolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How often the original fails, by repeats."""

    fails: int
    passes: int
    unresolved: int

    @property
    def p1(self) -> float:
        """The share of runs that the original fails in at least, as far as its repeats can tell: of
        all rates, which are equally likely before, a quarter is below it. 0: it never failed.

        A higher one, as the mean, would be above the truth each other time, and the tests of
        candidates would lose what fails more often than they say.
        """
        return _quartile(self.fails, self.passes) if self.fails else 0.0

    def __str__(self) -> str:
        said = f"{self.fails} of {self.fails + self.passes} runs"
        return f"{said} ({self.unresolved} more said nothing)" if self.unresolved else said


def _quartile(fails: int, passes: int) -> float:
    """The lower quartile of the beta distribution of a rate, by bisection."""
    runs = fails + passes + 1

    def below(rate: float) -> float:
        ways = range(fails + 1, runs + 1)
        return sum(math.comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in ways)

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0.25 else (low, middle)
    return low


def estimate(play: Callable[[], Outcome]) -> Estimate:
    """Play the original until it failed 5 times, for 15 runs, or until 5 runs said nothing.

    The run that made somebody ask is not counted: it was picked because it failed.
    """
    counts = dict.fromkeys(Outcome, 0)
    while (
        counts[Outcome.FAILS] < FAILURES_WANTED
        and counts[Outcome.UNRESOLVED] < ESTIMATE_UNRESOLVED_MOST
        and sum(counts.values()) < ESTIMATE_RUNS_MOST
    ):
        counts[play()] += 1
    fails, passes, unresolved = counts.values()
    return Estimate(fails=fails, passes=passes, unresolved=unresolved)
