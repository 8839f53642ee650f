"""What a row shows is never rounded onto its promise, and never onto all."""

from __future__ import annotations

import math

import pytest
from kit.budget_rows import judged, row
from kit.histories import history, operation

from harness.checks.promises import missed, promised, shown, stretch
from harness.checks.verdict import Answer
from harness.operations import Outcome

SHARE = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}


def delivered(of, lost, **changes):
    """The finding of a row about so many messages, of which so many were lost."""
    bad = {"outcome": int(Outcome.FAILED)}
    sent = [operation(at, **(bad if at < lost else {})) for at in range(of)]
    return judged(history(sent), **SHARE, **changes)


def test_one_of_2500_that_was_lost_is_seen_in_a_row_that_was_kept():
    kept = delivered(2500, 1, bound=99.9, comparison=">=")
    assert (kept.answer, kept.measured) == (Answer.PASS, "99.96 % (n=2,500)")


def test_a_row_that_was_missed_says_a_number_that_misses():
    found = delivered(10_000, 13, bound=99.9, comparison=">=")
    assert found.answer is Answer.FAIL
    assert found.sentence.startswith("missed: 99.87 is not >= 99.9 %")
    found = delivered(2500, 1, bound=100.0, comparison="==")
    assert found.sentence.startswith("missed: 99.96 is not == 100 %")
    assert found.measured == "99.96 % (n=2,500)"


@pytest.mark.parametrize(
    ("value", "said"), [(999.7, "999.7 ms"), (1234.0, "1,234 ms"), (50_000.4, "50,000 ms")]
)
def test_a_long_time_is_no_power_of_ten(value, said):
    assert shown(row(bound=1000.0), value) == said


def test_a_promise_has_all_of_its_digits():
    assert promised(row(bound=10_000_000.0)) == "< 10,000,000 ms"
    assert promised(row(bound=99.99995, unit="%")) == "< 99.99995 %"
    assert promised(row(bound=5.0, unit="1")) == "< 5"
    assert promised(row(bound=None)) == "–"


def test_a_further_aim_that_was_not_reached_is_not_shown_as_if():
    one = row(bound=200.0, stretch=100.0)
    assert shown(one, 100.04) == "100.04 ms"
    assert stretch(one, 100.04) == "; stretch < 100: not reached"


def test_what_was_never_sent_has_no_arrival():
    """An operation whose source had ended was never sent: its lag is infinite."""
    assert missed(row(), math.inf).startswith("some never arrived, ")
    assert missed(row(metric="pacer.lag"), math.inf).startswith("some were never sent, ")
