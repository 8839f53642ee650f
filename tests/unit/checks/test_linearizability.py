"""Linearizability of a register: known histories, and every order, tried one by one."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.histories import SECOND, history, operation, stored

from harness.checks import linearizability
from harness.checks.linearizability import violation
from harness.checks.silences import FOR_EVER_NS
from harness.checks.verdict import Answer, Cause
from harness.operations import Operation, Outcome

A, B, C = b"a", b"b", b"c"


@pytest.mark.parametrize(
    ("puts", "gets"),
    [
        ({A: (0, 1)}, [(A, (2, 3))]),
        ({A: (0, 1), B: (2, 3)}, [(A, (1, 2)), (B, (4, 5))]),
        # While B is put, A may be read, and B, but in this order.
        ({A: (0, 1), B: (2, 9)}, [(A, (3, 4)), (B, (5, 6))]),
        # Both are put at once: either may be last.
        ({A: (0, 5), B: (0, 5)}, [(A, (6, 7)), (A, (8, 9))]),
        ({A: (0, 5), B: (0, 5)}, [(B, (6, 7)), (B, (8, 9))]),
        # A get may overlap all of it.
        ({A: (0, 1), B: (2, 3)}, [(A, (0, 9))]),
        # Nobody knows whether B was put: it was, late.
        ({A: (0, 1), B: (2, FOR_EVER_NS)}, [(A, (5, 6)), (B, (7, 8))]),
        ({A: (0, 1), B: (2, FOR_EVER_NS)}, [(A, (5, 6)), (A, (7, 8))]),
    ],
)
def test_good_histories(puts, gets):
    assert violation(puts, gets) is None


@pytest.mark.parametrize(
    ("puts", "gets", "says"),
    [
        ({A: (0, 1)}, [(B, (2, 3))], "nobody put"),
        ({A: (5, 6)}, [(A, (2, 3))], "was read before"),
        ({A: (0, 1), B: (2, 3)}, [(A, (4, 5))], "before and after"),
        # New, then old, while both are under way.
        ({A: (0, 1), B: (2, 9)}, [(B, (3, 4)), (A, (5, 6))], "before and after"),
        # Two at once, whose order two readers see differently.
        ({A: (0, 5), B: (0, 5)}, [(A, (6, 7)), (B, (8, 9)), (A, (10, 11))], "was read until"),
        ({A: (0, 1), B: (2, FOR_EVER_NS)}, [(B, (5, 6)), (A, (7, 8))], "before and after"),
        # Likewise, and the new one is read again.
        ({A: (0, 1), B: (2, 9)}, [(B, (3, 4)), (A, (5, 6)), (B, (7, 8))], "was read until"),
    ],
)
def test_bad_histories(puts, gets, says):
    assert says in violation(puts, gets)


def by_search(puts, gets):
    """Whether some order of the operations explains it: each is tried (Wing and Gong)."""
    rows = [("put", value, *interval) for value, interval in puts.items()]
    rows += [("get", value, *interval) for value, interval in gets]
    must = frozenset(at for at, row in enumerate(rows) if row[0] == "get" or row[3] < FOR_EVER_NS)

    @cache
    def explains(left, value):
        if not left & must:
            return True
        first_end = min(rows[at][3] for at in left)
        for at in left:
            kind, mine, begin, _ = rows[at]
            if begin > first_end:
                continue  # another one had ended before it began
            if (kind == "put" or mine == value) and explains(left - {at}, mine):
                return True
        return False

    # A put without an answer may never happen: then it is left to the end.
    return explains(frozenset(range(len(rows))), None)


moments = st.integers(0, 12)
intervals = st.tuples(moments, moments).map(lambda ends: (min(ends), max(ends)))


@st.composite
def histories(draw):
    puts = {}
    for value in (A, B, C)[: draw(st.integers(1, 3))]:
        begin, end = draw(intervals)
        puts[value] = (begin, FOR_EVER_NS if draw(st.booleans()) and draw(st.booleans()) else end)
    gets = draw(st.lists(st.tuples(st.sampled_from(sorted(puts)), intervals), max_size=5))
    return puts, gets


@given(histories())
@example(({A: (0, 0), B: (0, 0)}, [(A, (0, 0)), (B, (0, 0))]))
def test_against_every_order(found):
    puts, gets = found
    assert (violation(puts, gets) is None) == by_search(puts, gets)


def put(number, **more):
    return operation(number, Operation.DHT_PUT, target=-1, **more)


def get(number, **more):
    return operation(number, Operation.DHT_GET, target=-1, **more)


def test_a_run_whose_reads_an_order_explains():
    values = stored((1, 7, None), (10, 7, None), (20, 7, 10), (2, 8, None), (21, 8, 2))
    operations = [put(1), put(10), get(20), put(2), get(21)]
    (finding,) = linearizability.check(history(operations, values=values))
    assert (finding.answer, finding.measured) == (Answer.PASS, "2 of 2")


def test_a_run_in_which_an_old_value_comes_back_while_the_new_one_is_put():
    slow = put(10, done_ns=SECOND + 90_000_000)
    values = stored((1, 7, None), (10, 7, None), (20, 7, 10), (30, 7, 1))
    (finding,) = linearizability.check(history([put(1), slow, get(20), get(30)], values=values))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    assert finding.sentence == (
        "of the key 00000000… no order explains what was read: the value put at 0.001 s was read "
        "before and after that put at 0.010 s"
    )


def test_a_put_that_failed_did_not_happen():
    values = stored((1, 7, None), (10, 7, 1))
    failed = put(1, outcome=int(Outcome.FAILED))
    (finding,) = linearizability.check(history([failed, get(10)], values=values))
    assert finding.answer is Answer.FAIL
    assert finding.sentence.endswith("the value of a put that was said to have failed")


def test_values_that_are_not_told_are_unknown():
    (finding,) = linearizability.check(history([put(1), get(10)]))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)


def test_gets_that_brought_nothing_tell_nothing():
    values = stored((1, 7, None), (10, 7, None))
    failed = get(10, outcome=int(Outcome.FAILED))
    assert linearizability.check(history([put(1), failed], values=values)) == []
