"""A failure is the findings of a run of which one has to be FAIL again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.choices import one_of
from harness.errors import UsageError
from harness.experiments.sequential_test import Outcome

# Why a run that does not fail says nothing: it was not the one that was asked for.
OTHER_RUN = (Cause.FAULT_NOT_PROVEN, Cause.LOAD_NOT_DELIVERED, Cause.CHECKER_BROKE)


Key = tuple[str, str]  # of a finding: its name, and its phase (empty: of no phase)


class Said(NamedTuple):
    """What a run says of a failure: whether it is there, why, and which of its findings failed."""

    outcome: Outcome
    why: str
    failed: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Findings, any of which is the failure."""

    findings: frozenset[Key]

    @classmethod
    def of(cls, verdict: Verdict, name: str | None, run: str) -> Failure:
        """Take what failed in a verdict: the findings of that name, or all of them.

        Raises UsageError where nothing failed, or nothing of that name did. `run`: of messages.
        """
        failed = [one for one in verdict.findings if one.answer is Answer.FAIL]
        if not failed:
            raise UsageError(
                f"{run}: expected a run in which something failed, found the verdict "
                f"{verdict.answer}: there is nothing to shrink"
            )
        names = {one.name for one in failed}
        if name is not None and name not in names:
            raise UsageError(f"--finding: {one_of(name, sorted(names))}")
        found = ((one.name, one.phase) for one in failed if name in (None, one.name))
        return cls(findings=frozenset(found))

    @property
    def names(self) -> frozenset[str]:
        """The names of the findings."""
        return frozenset(name for name, _ in self.findings)

    @property
    def phases(self) -> frozenset[str]:
        """The phases of the findings."""
        return frozenset(phase for _, phase in self.findings)

    def __str__(self) -> str:
        return names(self.findings)

    def outcome(self, verdict: Verdict) -> Said:
        """Return whether a run failed so again.

        It did where one of the findings is FAIL. It says nothing where one is UNKNOWN, or where it
        was another run than was asked for: its faults were not proven, its load not delivered; and
        where none of them is in it, and there is a gap in the record.
        """
        mine = [one for one in verdict.findings if (one.name, one.phase) in self.findings]
        failed = [one for one in mine if one.answer is Answer.FAIL]
        if failed:
            keys = frozenset((one.name, one.phase) for one in failed)
            return Said(Outcome.FAILS, "; ".join(map(_said, failed)), keys)
        other = OTHER_RUN if mine else (*OTHER_RUN, Cause.GAP)
        for one in (*mine, *verdict.findings):
            if one.answer is Answer.UNKNOWN and (one in mine or one.cause in other):
                return Said(Outcome.UNRESOLVED, f"{one.cause}: {_said(one)}")
        why = "; ".join(map(_said, mine)) or "no such finding in this run"
        return Said(Outcome.PASSES, why)


def names(findings: Collection[Key]) -> str:
    """Say findings by their names and phases."""
    said = (f"{name} (phase {phase})" if phase else name for name, phase in findings)
    return ", ".join(sorted(said))


def _said(one: Finding) -> str:
    return f"{one.name}: {one.measured}; {one.sentence}"
