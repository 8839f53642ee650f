"""The sequential test: how few runs it takes, how often it errs, and what says nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.experiments.sequential_test import (
    ESTIMATE_RUNS_MOST,
    FAILURES_WANTED,
    Outcome,
    SequentialTest,
    estimate,
)

FAILS, PASSES, UNRESOLVED = Outcome
RATES = [1.0, 0.8, 0.5, 1 / 3, 0.1]


def ends(test: SequentialTest, rate: float) -> dict[Outcome | None, float]:
    """The exact probabilities of how the test ends for what fails at a rate, run after run.

    None: it has not ended after 2,000 runs.
    """
    found: dict[Outcome | None, float] = dict.fromkeys([FAILS, PASSES], 0.0)
    open_ = {(0, 0): 1.0}
    for _ in range(2_000):
        after: dict[tuple[int, int], float] = {}
        for (fails, passes), weight in open_.items():
            for more, share in (((1, 0), rate), ((0, 1), 1 - rate)):
                now = (fails + more[0], passes + more[1])
                said = test.outcome(*now)
                if said is None:
                    after[now] = after.get(now, 0.0) + weight * share
                else:
                    found[said] += weight * share
        open_ = {now: weight for now, weight in after.items() if weight > 1e-12}
        if not open_:
            break
    return {**found, None: sum(open_.values())}


@pytest.mark.parametrize("rate", RATES)
def test_it_errs_as_seldom_as_it_says(rate):
    """Wald's bounds: alpha / (1 - beta), and beta / (1 - alpha)."""
    test = SequentialTest(rate=rate)
    assert ends(test, test.p0)[FAILS] <= test.alpha / (1 - test.beta)
    assert ends(test, test.p1)[PASSES] <= test.beta / (1 - test.alpha)


def test_one_run_decides_where_the_original_always_fails():
    test = SequentialTest(rate=1.0)
    assert test.outcome(1, 0) is FAILS
    assert test.outcome(0, 1) is PASSES
    assert test.runs_to_pass == 1


def test_what_fails_in_one_run_of_three_takes_some():
    test = SequentialTest(rate=1 / 3)
    assert test.outcome(1, 0) is FAILS
    assert test.runs_to_pass == 9
    assert [test.outcome(0, passes) for passes in (8, 9)] == [None, PASSES]
    assert test.outcome(1, 1) is None


def played(outcomes):
    left = iter(outcomes)
    return lambda: next(left)


def test_a_run_that_says_nothing_counts_for_neither_side():
    test = SequentialTest(rate=1.0)
    decision = test.decide(played([UNRESOLVED, FAILS]))
    assert (decision.outcome, decision.fails, decision.unresolved) == (FAILS, 1, 1)
    assert str(decision) == "1 of 1 runs failed, 1 said nothing"
    decision = test.decide(played([UNRESOLVED, PASSES]))
    assert decision.outcome is PASSES


def test_two_that_say_nothing_leave_a_candidate_unresolved():
    decision = SequentialTest(rate=1.0).decide(played([UNRESOLVED] * 2))
    assert (decision.outcome, decision.runs) == (UNRESOLVED, 2)


@given(st.floats(0.05, 1.0), st.floats(0.0, 1.0), st.integers(0, 1_000))
def test_it_always_ends(rate, truth, seed):
    lot = random.Random(seed)
    test = SequentialTest(rate=rate)
    decision = test.decide(lambda: FAILS if lot.random() < truth else PASSES)
    assert decision.runs <= 3 * test.runs_to_pass


def test_the_estimate_is_unbiased():
    """Over all ways in which 3 failures can come, its mean is the rate."""
    for rate in (1.0, 0.7, 0.4):
        mean, left, ways = 0.0, 1.0, 1.0
        for runs in range(FAILURES_WANTED, 400):
            # the last one failed, and two of those before it: C(runs - 1, 2) ways
            ways = (runs - 1) * (runs - 2) / 2
            weight = ways * rate**3 * (1 - rate) ** (runs - 3)
            mean, left = mean + weight * 2 / (runs - 1), left - weight
        assert abs(left) < 1e-9
        assert mean == pytest.approx(rate)


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        ([FAILS] * 3, 1.0),
        ([PASSES, FAILS, PASSES, FAILS, FAILS], 0.5),
        ([UNRESOLVED, FAILS, FAILS, FAILS], 1.0),
        ([PASSES] * 11 + [FAILS], 1 / 12),
        ([PASSES] * ESTIMATE_RUNS_MOST, 0.0),
        ([UNRESOLVED] * 3, 0.0),
    ],
)
def test_the_original_is_played_until_its_rate_is_known(outcomes, rate):
    left = list(outcomes)
    found = estimate(lambda: left.pop(0))
    assert left == []
    assert found.rate == pytest.approx(rate)
