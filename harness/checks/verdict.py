"""Verdict: PASS, UNKNOWN or FAIL. Worst wins; nothing measured is UNKNOWN, and UNKNOWN carries its
cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.history import shape


class Answer(StrEnum):
    """The three answers; MEASURED for a row that promises nothing, and NOT ASKED for one about a
    stream that nobody picked: both are shown, and are never PASS.
    """

    PASS = "PASS"  # noqa: S105 - an answer, not a password
    MEASURED = "MEASURED"
    NOT_ASKED = "NOT ASKED"
    UNKNOWN = "UNKNOWN"
    FAIL = "FAIL"

    def __bool__(self) -> bool:
        """Refuse to be a truth: each answer is a word, and FAIL would be as true as PASS."""
        raise TypeError(f"{self} is an answer, neither true nor false: ask `is Answer.PASS`")

    @property
    def exit_code(self) -> int:
        """0 PASS (and what is only shown), 1 FAIL, 2 UNKNOWN."""
        return {Answer.FAIL: 1, Answer.UNKNOWN: 2}.get(self, 0)


class Cause(StrEnum):
    """Why a finding is UNKNOWN."""

    NOT_MEASURED = "not measured"
    NOT_BELIEVED = "not believed"  # what nodes told of themselves cannot be
    TOO_FEW = "too few samples"
    CONDITIONS = "conditions not met"
    LOAD_NOT_DELIVERED = "load not delivered"
    GENERATOR_BEHIND = "generator fell behind"
    GATEWAY_STALLED = "the gateway stood still"
    PROFILED = "profiled by the harness"
    NODE_STOPPED = "the node was stopped by the harness"
    NOTHING_TO_READ = "nothing to read yet"
    FAULT_NOT_PROVEN = "fault not proven"
    FAULT_OVERRAN = "a fault stood too long"
    UNSTABLE = "unstable"
    HOST_LIMITED = "host limited"
    CHECKER_BROKE = "the checker broke"
    VACUOUS = "nothing to check"  # a fault that met nothing, a check that had nothing to look at
    NOT_JUDGED = "not judged"
    GAP = "gap in the record"
    OTHERS_SENT = "others may have sent it"
    UNDER_WAY = "still under way"  # of a look at a run that has not ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a verdict. `promised` and `measured` are ready to print, units included."""

    name: str
    answer: Answer
    promised: str
    measured: str
    sentence: str
    cause: Cause | None = None
    phase: str = ""
    value: float | None = None  # in the row's unit, as judged
    source: str = ""
    # What a row of a budget named: its metric, the statistic of it, and the bound in its unit.
    metric: str = ""
    statistic: str = ""
    unit: str = ""
    bound: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no finding: it may be somebody else's check that made it."""
        if not isinstance(self.answer, Answer) or not isinstance(self.cause, Cause | None):
            raise TypeError(
                f"finding {self.name!r}: expected an Answer, and a Cause or None; found "
                f"{self.answer!r}, and {self.cause!r}"
            )
        if wrong := shape.misfit(self):
            raise TypeError(f"finding {self.name!r}: {wrong}")
        if (self.answer is Answer.UNKNOWN) != (self.cause is not None):
            raise ValueError(
                f"{self.name}: UNKNOWN and a cause go together, found {self.answer} with "
                f"{self.cause}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The findings of a run; its answer is the worst of theirs, and UNKNOWN where nothing was
    judged.
    """

    findings: tuple[Finding, ...]

    def __bool__(self) -> bool:
        """Refuse to be a truth: there are three answers, and UNKNOWN is none of both."""
        raise TypeError("a verdict is neither true nor false: ask its `answer`")

    @property
    def answer(self) -> Answer:
        """FAIL if any is FAIL, else UNKNOWN if any is UNKNOWN or none promised anything, else
        PASS.
        """
        answers = {finding.answer for finding in self.findings}
        for worst in (Answer.FAIL, Answer.UNKNOWN):
            if worst in answers:
                return worst
        return Answer.PASS if Answer.PASS in answers else Answer.UNKNOWN

    def counts(self) -> dict[Answer, int]:
        """How many findings have each answer."""
        return {
            answer: sum(finding.answer is answer for finding in self.findings) for answer in Answer
        }

    def rows(self) -> dict[str, int]:
        """How many rows of the budget promise something (`of`), how many of them are PASS or FAIL
        (`judged`), and how many nobody asked for (`not_asked`).
        """
        answers = [one.answer for one in self.findings if one.metric and one.bound is not None]
        return {
            "of": len(answers),
            "judged": answers.count(Answer.PASS) + answers.count(Answer.FAIL),
            "not_asked": answers.count(Answer.NOT_ASKED),
        }


def worst(answers: Sequence[Answer]) -> Answer:
    """The worst of several verdicts' answers; UNKNOWN of none."""
    order = [Answer.FAIL, Answer.UNKNOWN, Answer.MEASURED, Answer.PASS]
    return min(answers, key=order.index, default=Answer.UNKNOWN)
