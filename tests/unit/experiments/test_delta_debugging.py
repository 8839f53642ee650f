"""Delta debugging on values whose truth is known: the result fails, no part of it can be left out,
and nothing is tried twice.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.experiments.delta_debugging import Drop, Lower, Number, Search, SpentError, Trials
from harness.experiments.sequential_test import Outcome, SequentialTest

FAILS, PASSES, UNRESOLVED = Outcome
CERTAIN = SequentialTest(p1=0.95)  # one run decides
# A candidate: which parts are in it, and a number.
PARTS = Drop(
    name="parts",
    parts=lambda one: sorted(one[0]),
    without=lambda one, gone: (one[0] - set(gone), one[1]),
)


def numbers(goal):
    return Lower(
        name="number",
        numbers=lambda one: [
            Number(
                name="n",
                value=one[1],
                goal=goal,
                put=lambda other, value: (other[0], value),
                near=1.0,
                is_whole=True,
            )
        ],
    )


def shrunk(original, truth, passes, **settings):
    """Search with an oracle; the search, and how often each candidate was played."""
    played = Counter()

    def play(one):
        played[one] += 1
        return FAILS if truth(one) else PASSES

    search = Search(original, Trials(play, CERTAIN, **settings))
    search.run(passes)
    return search, played


@given(st.sets(st.integers(0, 39)), st.integers(1, 40), st.integers(1, 100), st.integers(1, 100))
def test_exactly_what_is_needed_is_left(guilty, more, value, least):
    """Where more never helps: the guilty parts, and the lowest number that fails."""
    original = (frozenset(guilty) | frozenset(range(more)), float(max(value, least)))
    search, played = shrunk(
        original, lambda one: guilty <= one[0] and one[1] >= least, [PARTS, numbers(1)]
    )
    assert search.best == (frozenset(guilty), least)
    assert search.is_minimal
    assert set(played.values()) <= {1}


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 20), st.integers(1, 3))
def test_of_any_truth_the_result_fails_and_is_one_minimal(seed, count, value, jobs):
    """Also where the truth is random, so that more and less have nothing to do with failing."""
    original = (frozenset(range(count)), float(value))

    def truth(one):
        key = f"{seed}/{sorted(one[0])}/{float(one[1])}"
        return one == original or random.Random(key).random() < 0.4

    with ThreadPoolExecutor(jobs) as executor:
        search, played = shrunk(original, truth, [PARTS, numbers(1)], executor=executor, jobs=jobs)
    assert truth(search.best)
    assert all(truth(one) for one in search.found)
    kept, number = search.best
    for part in kept:
        smaller = (kept - {part}, number)
        assert not truth(smaller)
        assert played[smaller] == 1
    assert number == 1 or any(
        not truth((kept, lower)) and played[kept, lower] for lower in range(1, int(number))
    )
    assert set(played.values()) <= {1}


@pytest.mark.parametrize("jobs", [1, 4])
def test_two_of_a_hundred_take_few_runs(jobs):
    with ThreadPoolExecutor(jobs) as executor:
        search, played = shrunk(
            (frozenset(range(100)), 1.0),
            lambda one: {17, 83} <= one[0],
            [PARTS],
            executor=executor,
            jobs=jobs,
        )
    assert search.best[0] == {17, 83}
    assert played.total() <= 60 * jobs


def test_whoever_hears_of_one_finds_none_that_is_still_played():
    """Or the search would go on beside runs that nobody waits for, and play their cases again."""
    played = Counter()

    def play(one):
        played[one] += 1
        return PASSES

    def told(*_):
        assert len(trials.decided) == 4
        raise LookupError  # as one does who finds that the search went wrong

    with ThreadPoolExecutor(4) as executor:
        trials = Trials(play, CERTAIN, executor=executor, jobs=4, told=told)
        with pytest.raises(LookupError):
            trials.first_failing("some", [1, 2, 3, 4])
        assert trials.first_failing("some", [4, 3, 2, 1]) is None
    assert played.total() == 4 * CERTAIN.runs_to_pass


def test_a_number_may_be_raised():
    number = numbers(1000.0)
    search, _ = shrunk((frozenset(), 10.0), lambda one: one[1] <= 300, [number])
    assert search.best[1] == 300


def test_what_cannot_be_is_not_played_and_what_is_refused_is_told():
    """Odd numbers cannot be; 4 is refused."""
    number = Lower(
        name="number",
        numbers=lambda one: [
            Number(
                name="n",
                value=one[1],
                goal=2,
                put=lambda other, value: None if value % 2 else (other[0], value),
                near=1.0,
                is_whole=True,
            )
        ],
    )
    search, played = shrunk(
        (frozenset(), 20.0),
        lambda one: one[1] >= 3,
        [number],
        refusal=lambda one: "four" if one[1] == 4 else None,
    )
    assert search.best[1] == 6
    assert not [one for one in played if one[1] % 2 or one[1] == 4]
    assert set(search.trials.refused.values()) == {"four"}


def test_an_oracle_that_never_knows_changes_nothing():
    original = (frozenset(range(4)), 9.0)
    trials = Trials(lambda _: UNRESOLVED, CERTAIN)
    search = Search(original, trials)
    search.run([PARTS, numbers(1)])
    assert search.best == original
    assert {one.outcome for one in trials.decided.values()} == {UNRESOLVED}
    assert {one.unresolved for one in trials.decided.values()} == {2}


def test_where_the_runs_are_used_up_the_best_so_far_is_kept():
    left = [None] * 5

    def play(one):
        if not left:
            raise SpentError
        left.pop()
        return FAILS if {3, 11} <= one[0] else PASSES

    search = Search((frozenset(range(12)), 1.0), Trials(play, CERTAIN))
    search.run([PARTS])
    assert not search.is_minimal
    assert {3, 11} <= search.best[0]


def test_what_fails_in_one_run_of_three_is_shrunk_too():
    """Twenty searches: what does not fail is never kept for the result, and nearly all of them
    find the two that are needed.
    """
    test, exact, runs = SequentialTest(p1=1 / 3), 0, []
    for seed in range(20):
        lot = random.Random(seed)
        played = Counter()

        def play(one, lot=lot, played=played):
            played[one] += 1
            return FAILS if {3, 11} <= one[0] and lot.random() < 1 / 3 else PASSES

        search = Search((frozenset(range(12)), 1.0), Trials(play, test))
        search.run([PARTS])
        assert {3, 11} <= search.best[0]
        exact += search.best[0] == {3, 11}
        runs.append(played.total())
    assert exact >= 16
    assert max(runs) <= 300
