"""What a criterion answers: MET only where each run was played and kept what was asked for."""

from __future__ import annotations

import pytest

from harness.checks import gate
from harness.checks.gate import Played
from harness.checks.verdict import Answer, Cause, Finding, Verdict


def run(**answers):
    """A run with these findings."""
    findings = [
        Finding(
            name=name,
            answer=answer,
            promised="< 50 MB",
            measured="60 MB",
            sentence=f"why {name}",
            cause=Cause.GAP if answer is Answer.UNKNOWN else None,
        )
        for name, answer in answers.items()
    ]
    return Played(folder="../x", verdict=Verdict(findings=tuple(findings)))


GOOD, BAD, NOT_SEEN = run(a=Answer.PASS), run(a=Answer.FAIL), run(a=Answer.UNKNOWN)


@pytest.mark.parametrize(
    ("played", "planned", "answer", "why"),
    [
        ([GOOD], 1, Answer.PASS, ""),
        ([BAD], 1, Answer.FAIL, "a, 60 MB, promised < 50 MB: why a"),
        ([NOT_SEEN], 1, Answer.UNKNOWN, "why a"),
        ([run(a=Answer.MEASURED)], 1, Answer.UNKNOWN, "nothing was promised"),
        ([run()], 1, Answer.UNKNOWN, "nothing was promised"),
        ([Played(failure="NodeStartError: no")], 1, Answer.UNKNOWN, "NodeStartError: no"),
        ([], 1, Answer.UNKNOWN, "1 of 1 runs were not played"),
        ([GOOD, GOOD], 3, Answer.UNKNOWN, "1 of 3 runs were not played"),
        ([GOOD, NOT_SEEN, BAD], 3, Answer.FAIL, "run 3: a, 60 MB"),
        ([BAD], 3, Answer.FAIL, "run 1: a, 60 MB"),
        ([GOOD, NOT_SEEN, GOOD], 3, Answer.UNKNOWN, "run 2: a"),
        ([GOOD, GOOD, GOOD], 3, Answer.PASS, ""),
    ],
)
def test_each_run_has_to_be_played_and_to_pass(played, planned, answer, why):
    found = gate.judge("c", (), planned, played)
    assert found.answer is answer
    assert why in found.sentence if why else not found.sentence


def test_a_row_of_a_budget_that_is_not_as_it_was_is_not_kept():
    """Whoever made its bound wide in the run folder had its criterion met."""
    edited = run(**{"a": Answer.PASS, "record: whole": Answer.UNKNOWN})
    found = gate.judge("c", ("a",), 1, [edited])
    assert found.answer is Answer.UNKNOWN
    assert found.sentence.endswith("why record: whole")


def test_only_the_rows_that_are_asked_for_count():
    mixed = run(a=Answer.PASS, b=Answer.FAIL, c=Answer.UNKNOWN, d=Answer.MEASURED)
    assert gate.judge("c", ("a",), 1, [mixed]).answer is Answer.PASS
    assert gate.judge("c", ("a", "b"), 1, [mixed]).answer is Answer.FAIL
    assert gate.judge("c", ("a", "c"), 1, [mixed]).answer is Answer.UNKNOWN
    # What is only measured was not promised, and so was not kept.
    assert gate.judge("c", ("a", "d"), 1, [mixed]).answer is Answer.UNKNOWN


def test_a_row_that_the_run_has_not_is_not_met():
    found = gate.judge("c", ("a", "gone"), 1, [GOOD])
    assert found.answer is Answer.UNKNOWN
    assert "no finding 'gone'" in found.sentence
    # It hides no failure.
    assert gate.judge("c", ("a", "gone"), 1, [BAD]).answer is Answer.FAIL


def test_what_was_skipped_says_why():
    found = gate.judge("c", (), 2, [GOOD], "skipped: 3 s of 60 were left")
    assert (found.answer, found.sentence) == (Answer.UNKNOWN, "skipped: 3 s of 60 were left")
    assert found.measured == "1 of 2"
