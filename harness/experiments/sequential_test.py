"""A sequential test decides, by as few runs as it takes, whether what fails only sometimes still
fails often enough. Pure.

A run ends in one of three outcomes; one that says nothing is counted for neither side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

FAILURES_WANTED = 3  # of the original, before its rate is told
ESTIMATE_RUNS_MOST = 12  # of the original, however seldom it fails
ESTIMATE_UNRESOLVED_MOST = 3  # of them may say nothing
UNRESOLVED_MOST = 2  # runs of one candidate that say nothing, before it is left unresolved
LONGEST = 3  # times what a candidate that never fails takes: then nothing is known of it


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

    `rate` is that of the original, above 0 and at most 1; p1 and p0 are as far below it as the
    errors allow, so that a single run decides where the original fails each time.
    """

    rate: float
    alpha: float = 0.05
    beta: float = 0.05

    @property
    def p1(self) -> float:
        """The share of runs from which on a candidate still fails."""
        return (1 - self.beta) * self.rate

    @property
    def p0(self) -> float:
        """The share of runs up to which a candidate does not fail any more."""
        return self.alpha * self.p1

    def outcome(self, fails: int, passes: int) -> Outcome | None:
        """Return what so many runs say; None: not enough yet."""
        ratio = fails * math.log(self.p1 / self.p0) + passes * self._pass
        if ratio >= math.log((1 - self.beta) / self.alpha):
            return Outcome.FAILS
        return Outcome.PASSES if ratio <= self._lower else None

    @property
    def runs_to_pass(self) -> int:
        """How many runs it takes to say of a candidate that never fails that it does not."""
        return math.ceil(self._lower / self._pass)

    @property
    def _pass(self) -> float:
        return math.log((1 - self.p1) / (1 - self.p0))

    @property
    def _lower(self) -> float:
        return math.log(self.beta / (1 - self.alpha))

    def decide(self, play: Callable[[], Outcome]) -> Decision:
        """Play runs until the test ends.

        It is unresolved where two of them say nothing, or where it has taken three times as many
        as one that never fails: the truth lies between p0 and p1 then.
        """
        counts = dict.fromkeys(Outcome, 0)
        most = LONGEST * self.runs_to_pass
        outcome: Outcome | None = None
        while outcome is None:
            counts[play()] += 1
            fails, passes, unresolved = counts.values()
            outcome = self.outcome(fails, passes)
            if outcome is None and (unresolved >= UNRESOLVED_MOST or fails + passes >= most):
                outcome = Outcome.UNRESOLVED
        return Decision(outcome=outcome, fails=fails, passes=passes, unresolved=unresolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How often the original fails, by repeats."""

    fails: int
    passes: int
    unresolved: int

    @property
    def rate(self) -> float:
        """The share of runs that fail; 0 where none did.

        Runs are played until 3 of them failed, so 2 of all but the last is the unbiased estimate
        (J. B. S. Haldane, On a Method of Estimating Frequencies, Biometrika 33, 1945, 222-225).
        Where it took too many, it is the plain share.
        """
        runs = self.fails + self.passes
        if self.fails >= FAILURES_WANTED:
            return (self.fails - 1) / (runs - 1)
        return self.fails / runs if runs else 0.0

    def __str__(self) -> str:
        said = f"{self.fails} of {self.fails + self.passes} runs"
        return f"{said} ({self.unresolved} more said nothing)" if self.unresolved else said


def estimate(play: Callable[[], Outcome]) -> Estimate:
    """Play the original until it failed 3 times, for 12 runs, or until 3 runs said nothing.

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
