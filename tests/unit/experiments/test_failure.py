"""What of a verdict has to fail again, and what another run says of it."""

from __future__ import annotations

import pytest

from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import UsageError
from harness.experiments.failure import Failure
from harness.experiments.sequential_test import Outcome


def finding(name, answer, phase="load", cause=None):
    return Finding(
        name=name,
        answer=answer,
        promised="1",
        measured="2",
        sentence="so",
        phase=phase,
        cause=cause,
    )


def verdict(*findings):
    return Verdict(findings=findings)


FAST = finding("fast", Answer.FAIL)
FAILED = verdict(FAST, finding("fast", Answer.PASS, "other"), finding("lost", Answer.FAIL, ""))
GAP = finding("record", Answer.UNKNOWN, "", Cause.GAP)
BROKEN = finding("load", Answer.UNKNOWN, "", Cause.LOAD_NOT_DELIVERED)


def test_all_that_failed_or_what_is_named():
    assert Failure.of(FAILED, None, "r").findings == {("fast", "load"), ("lost", "")}
    assert Failure.of(FAILED, "fast", "r").findings == {("fast", "load")}
    assert str(Failure.of(FAILED, None, "r")) == "fast (phase load), lost"


def test_a_run_in_which_nothing_failed_is_refused():
    with pytest.raises(UsageError, match="found the verdict PASS: there is nothing to shrink"):
        Failure.of(verdict(finding("fast", Answer.PASS)), None, "r")
    with pytest.raises(UsageError, match="--finding: expected one of fast, lost; found 'fats'"):
        Failure.of(FAILED, "fats", "r")


@pytest.mark.parametrize(
    ("findings", "outcome"),
    [
        ([FAST], Outcome.FAILS),
        ([finding("lost", Answer.FAIL, ""), BROKEN], Outcome.FAILS),
        ([finding("fast", Answer.PASS), finding("other", Answer.FAIL)], Outcome.PASSES),
        ([finding("fast", Answer.FAIL, "another phase")], Outcome.PASSES),
        ([], Outcome.PASSES),
        ([finding("fast", Answer.UNKNOWN, cause=Cause.HOST_LIMITED)], Outcome.UNRESOLVED),
        ([finding("fast", Answer.PASS), BROKEN], Outcome.UNRESOLVED),
        ([finding("fast", Answer.PASS), GAP], Outcome.PASSES),
        ([GAP], Outcome.UNRESOLVED),
        (
            [
                finding("fast", Answer.PASS),
                finding("came true", Answer.UNKNOWN, "", Cause.NOT_JUDGED),
            ],
            Outcome.PASSES,
        ),
    ],
)
def test_what_a_run_says(findings, outcome):
    assert Failure.of(FAILED, None, "r").outcome(verdict(*findings)).outcome is outcome


def test_a_run_says_by_which_of_the_findings_it_failed():
    failure = Failure.of(FAILED, None, "r")
    assert failure.outcome(FAILED).failed == {("fast", "load"), ("lost", "")}
    assert failure.outcome(verdict(FAST, finding("other", Answer.FAIL))).failed == {
        ("fast", "load")
    }
