"""The sequential test: how few runs it takes, how often it errs, and what says nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.experiments.sequential_test import (
    ESTIMATE_RUNS_MOST,
    FAILURES_WANTED,
    SEARCH,
    VERIFY,
    Estimate,
    Outcome,
    SequentialTest,
    estimate,
)

FAILS, PASSES, UNRESOLVED = Outcome
SHARES = [0.95, 0.8, 0.5, 1 / 3, 0.1]


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


@pytest.mark.parametrize("odds", [SEARCH, VERIFY])
@pytest.mark.parametrize("p1", SHARES)
def test_it_errs_as_seldom_as_it_says(p1, odds):
    """Wald's bounds: alpha / (1 - beta), and beta / (1 - alpha)."""
    test = SequentialTest(p1=p1, odds=odds)
    assert ends(test, test.p0)[FAILS] <= test.alpha / (1 - test.beta)
    assert ends(test, test.p1)[PASSES] <= test.beta / (1 - test.alpha)


def estimates(rate: float) -> dict[Estimate, float]:
    """The exact probabilities of what is estimated of an original that fails at a rate."""
    found: dict[Estimate, float] = {}
    open_ = {(): 1.0}
    while open_:
        after: dict[tuple[Outcome, ...], float] = {}
        for outcomes, weight in open_.items():
            try:
                counted = estimate(played(outcomes))
            except StopIteration:
                for one, share in ((FAILS, rate), (PASSES, 1 - rate)):
                    key = tuple(sorted((*outcomes, one), reverse=True))  # the last may have failed
                    after[key] = after.get(key, 0.0) + weight * share
            else:
                found[counted] = found.get(counted, 0.0) + weight
        open_ = after
    return found


@pytest.mark.parametrize(
    ("rate", "most"), [(1.0, 0.05), (0.8, 0.05), (0.5, 0.05), (1 / 3, 0.051), (0.1, 0.09)]
)
def test_it_loses_a_failure_as_seldom_also_where_the_rate_is_only_estimated(rate, most):
    """Over all that the repeats of the original may say: a candidate that fails as often as the
    original is said not to in 5 % at most, in 9 % where that is one run of ten.
    """
    known = {one: weight for one, weight in estimates(rate).items() if one.p1}
    wrong = sum(
        weight * ends(SequentialTest(p1=one.p1), rate)[PASSES] for one, weight in known.items()
    )
    assert wrong / sum(known.values()) <= most


@pytest.mark.parametrize(("rate", "least"), [(1.0, 1.0), (0.8, 0.99), (0.5, 0.98), (1 / 3, 0.97)])
def test_a_result_that_fails_as_often_as_the_original_is_verified(rate, least):
    known = {one: weight for one, weight in estimates(rate).items() if one.p1}
    verified = sum(
        weight * ends(SequentialTest(p1=one.p1).stricter(), rate)[FAILS]
        for one, weight in known.items()
    )
    assert verified / sum(known.values()) >= least


@pytest.mark.parametrize(("rate", "most"), [(1 / 3, 0.003), (0.1, 0.21)])
def test_how_often_the_original_does_not_fail_again(rate, most):
    assert sum(weight for one, weight in estimates(rate).items() if not one.p1) <= most


def test_two_runs_decide_where_the_original_always_fails():
    test = SequentialTest(p1=Estimate(fails=5, passes=0, unresolved=0).p1)
    assert test.outcome(1, 0) is FAILS
    assert [test.outcome(0, passes) for passes in (1, 2)] == [None, PASSES]
    assert test.runs_to_pass == 2
    assert test.runs_to_verify == 4
    assert [test.stricter().outcome(fails, 0) for fails in (2, 3)] == [None, FAILS]
    assert [test.stricter().outcome(0, passes) for passes in (4, 5)] == [None, PASSES]


def test_what_fails_in_one_run_of_three_takes_some():
    test = SequentialTest(p1=1 / 3)
    assert test.outcome(1, 0) is FAILS
    assert test.runs_to_pass == 8
    assert [test.outcome(0, passes) for passes in (7, 8)] == [None, PASSES]
    assert test.outcome(1, 1) is None


@pytest.mark.parametrize(("fails", "passes"), [(5, 0), (5, 10), (1, 14)])
def test_a_quarter_of_the_rates_that_explain_the_repeats_is_lower(fails, passes):
    """By drawing rates, and repeats of each."""
    lot, lower, all_ = random.Random(1), 0, 0
    p1 = Estimate(fails=fails, passes=passes, unresolved=0).p1
    for _ in range(60_000):
        rate = lot.random()
        if sum(lot.random() < rate for _ in range(fails + passes)) == fails:
            all_ += 1
            lower += rate < p1
    assert lower / all_ == pytest.approx(0.25, abs=0.03)


def played(outcomes):
    left = iter(outcomes)
    return lambda: next(left)


def test_a_run_that_says_nothing_counts_for_neither_side():
    test = SequentialTest(p1=0.95)
    decision = test.decide(played([UNRESOLVED, FAILS]))
    assert (decision.outcome, decision.fails, decision.unresolved) == (FAILS, 1, 1)
    assert str(decision) == "1 of 1 runs failed, 1 said nothing"
    decision = test.decide(played([UNRESOLVED, PASSES]))
    assert decision.outcome is PASSES


def test_two_that_say_nothing_leave_a_candidate_unresolved():
    test = SequentialTest(p1=0.8)
    decision = test.decide(played([UNRESOLVED, PASSES, UNRESOLVED]))
    assert (decision.outcome, decision.runs) == (UNRESOLVED, 3)
    decision = test.decide(played([UNRESOLVED, PASSES, UNRESOLVED, PASSES]), unresolved_most=3)
    assert (decision.outcome, decision.runs) == (PASSES, 4)


@given(st.floats(0.05, 0.99), st.floats(0.0, 1.0), st.integers(0, 1_000))
def test_it_always_ends(p1, truth, seed):
    lot = random.Random(seed)
    test = SequentialTest(p1=p1)
    decision = test.decide(lambda: FAILS if lot.random() < truth else PASSES)
    assert decision.runs <= 3 * test.runs_to_pass


@pytest.mark.parametrize(
    "outcomes",
    [
        [FAILS] * FAILURES_WANTED,
        [PASSES, FAILS, PASSES, *[FAILS] * (FAILURES_WANTED - 1)],
        [UNRESOLVED, *[FAILS] * FAILURES_WANTED],
        [PASSES] * (ESTIMATE_RUNS_MOST - 1) + [FAILS],
        [PASSES] * ESTIMATE_RUNS_MOST,
        [UNRESOLVED] * 5,
    ],
)
def test_the_original_is_played_until_its_rate_is_known(outcomes):
    left = list(outcomes)
    found = estimate(lambda: left.pop(0))
    assert left == []
    assert (found.fails, found.passes, found.unresolved) == tuple(
        outcomes.count(one) for one in Outcome
    )
    assert (found.p1 == 0) == (found.fails == 0)
