"""Rows of two sides: what is said of each, and the answer."""

from __future__ import annotations

import math

import pytest

from harness.checks import changes
from harness.checks.changes import Better, Compared, Level, Pair, Thresholds, Told
from harness.checks.verdict import Answer
from harness.errors import UsageError

NOISE = (0.99, 1.0, 1.01, 0.995, 1.005)
STEADY = tuple(100 * one for one in NOISE)


def told(*values: float | None, **more) -> tuple[Told, ...]:
    why = "host limited: others had it"
    return tuple(Told(value=one, why="" if one is not None else why, **more) for one in values)


def times(factor: float) -> tuple[float, ...]:
    return tuple(factor * one for one in STEADY)


def pair(head, base=STEADY, better=Better.LOWER, **more) -> Pair:
    plain = {"phase": "load", "name": "p50", "unit": "ms", "better": better}
    sides = [one if one and isinstance(one[0], Told) else told(*one) for one in (base, head)]
    return Pair(**{**plain, "base": sides[0], "head": sides[1], **more})


def compared(*pairs: Pair, **more) -> Compared:
    found = changes.compare(pairs, more.pop("thresholds", Thresholds()), **more)
    return found[0]


@pytest.mark.parametrize(
    ("factor", "level", "answer"),
    [
        (1.04, Level.NONE, Answer.PASS),
        (1.08, Level.SAID, Answer.PASS),
        (1.15, Level.WARNED, Answer.PASS),
        (1.25, Level.FAILED, Answer.FAIL),
        (0.75, Level.FAILED, Answer.PASS),
    ],
)
def test_how_far_a_change_goes(factor, level, answer):
    row = compared(pair(times(factor)))
    assert (row.level, row.answer) == (level, answer)
    assert row.is_worse == (factor > 1 and level is not Level.NONE)
    assert row.change == pytest.approx(factor - 1)
    assert row.low < row.change < row.high


@pytest.mark.parametrize(
    ("better", "factor", "answer", "is_worse"),
    [
        (Better.HIGHER, 0.75, Answer.FAIL, True),
        (Better.HIGHER, 1.25, Answer.PASS, False),
        (Better.SAME, 1.25, Answer.FAIL, True),
        (Better.SAME, 0.75, Answer.FAIL, True),
        (Better.NEITHER, 1.25, Answer.MEASURED, False),
        (Better.NEITHER, 0.75, Answer.MEASURED, False),
    ],
)
def test_which_way_is_worse(better, factor, answer, is_worse):
    row = compared(pair(times(factor), better=better))
    assert (row.answer, row.is_worse) == (answer, is_worse)
    if better is Better.NEITHER:
        assert row.level is Level.WARNED  # told, and never failed


def test_thresholds_are_settable():
    row = compared(pair(times(1.25)), thresholds=Thresholds(failed=0.5))
    assert (row.level, row.answer) == (Level.WARNED, Answer.PASS)
    for wrong in ({"said": 0.3}, {"warned": 0.3}, {"said": 0}, {"false_alarms": 1}):
        with pytest.raises(UsageError, match="expected"):
            Thresholds(**wrong)


def test_four_runs_a_side_do_not_tell_at_one_percent():
    head = told(*times(2)[:4])
    row = compared(pair(head, told(*STEADY[:4])))
    assert (row.answer, row.level) == (Answer.UNKNOWN, Level.NONE)
    assert "4 and 4 runs cannot tell at a false-alarm rate of 1 %: 5 a side can" in row.sentence
    assert row.change == pytest.approx(1, abs=0.02)
    sure = compared(pair(head, told(*STEADY[:4])), thresholds=Thresholds(false_alarms=0.05))
    assert sure.answer is Answer.FAIL


def test_without_a_change_noise_that_could_hide_one_is_no_pass():
    noisy = (90.0, 110.0, 100.0, 95.0, 125.0)
    row = compared(pair(noisy, noisy))
    assert row.answer is Answer.UNKNOWN
    assert "is not excluded: about" in row.sentence
    assert compared(pair(STEADY)).answer is Answer.PASS


def test_one_run_a_side_has_no_answer_but_the_interval_within():
    parts = tuple(100 + one for one in range(-5, 6))
    row = compared(pair(told(130.0, within=parts), told(100.0, within=parts)))
    assert (row.answer, row.level, row.p) == (Answer.UNKNOWN, Level.NONE, None)
    assert row.change == pytest.approx(0.3)
    assert 95 / 105 - 1 <= row.low < -0.05
    assert 0.05 < row.high <= 105 / 95 - 1
    bare = compared(pair(told(130.0), told(100.0)))
    assert (bare.answer, bare.low, bare.change) == (Answer.UNKNOWN, None, pytest.approx(0.3))


@pytest.mark.parametrize("side", ["base", "head"])
def test_a_run_that_does_not_know_leaves_the_row_unknown(side):
    """Also where the others do: those that do not know may be the slow ones."""
    unknown = told(*STEADY[:4], None)
    row = compared(pair(**{"base": STEADY, "head": STEADY, side: unknown}))
    assert row.answer is Answer.UNKNOWN
    assert row.sentence == f"UNKNOWN in 1 of 5 runs of {side}: host limited: others had it"
    assert row.change is None


def test_an_unknown_row_takes_nothing_of_the_others():
    rows = changes.compare([pair((None,) * 5), pair(times(1.25))], Thresholds())
    assert [row.answer for row in rows] == [Answer.UNKNOWN, Answer.FAIL]
    assert changes.answer(rows) is Answer.FAIL


def test_what_never_arrives_is_worse_than_anything():
    never = (math.inf,) * 5
    assert compared(pair(never)).answer is Answer.FAIL
    assert compared(pair(STEADY, never)).answer is Answer.PASS
    one = compared(pair((*STEADY[:4], math.inf)))
    assert one.answer is Answer.UNKNOWN
    assert "∞ in 0 of 5 runs of base, in 1 of 5 of head" in one.sentence


def test_from_nothing_there_is_no_ratio():
    row = compared(pair((1.0,) * 5, (0.0,) * 5))
    assert (row.answer, row.change) == (Answer.UNKNOWN, None)
    assert "it changed; base is 0" in row.sentence
    assert compared(pair((0.0,) * 5, (0.0,) * 5)).answer is Answer.PASS


def test_a_promise_that_is_missed_now_is_said():
    missed = tuple(Told(value=one, is_missed=True) for one in STEADY[:2]) + told(*STEADY[2:])
    row = compared(pair(missed))
    assert row.sentence.endswith("its promise was missed in 0 of 5 runs of base, in 2 of 5 of head")


@pytest.mark.parametrize("head", [times(1.25), STEADY, (math.inf,) * 5, (None,) * 5])
def test_what_is_not_comparable_has_no_answer(head):
    row = compared(pair(head), doubt="not comparable: they differ in kernel")
    assert (row.answer, row.level, row.is_worse) == (Answer.UNKNOWN, Level.NONE, False)


def test_another_use_of_the_host_leaves_rows_that_feel_it_open():
    """Also what seems better, or as it was."""
    for factor in (1.25, 1.0, 0.75):
        rows = changes.compare(
            [pair(times(factor), feels_host=True), pair(times(factor))], Thresholds(), host="others"
        )
        assert rows[0].answer is Answer.UNKNOWN
        assert rows[1].answer is not Answer.UNKNOWN


@pytest.mark.parametrize(
    ("base", "head", "differs"),
    [
        ((0.1,) * 5, (0.1,) * 5, False),
        ((0.1, 0.12, 0.11, 0.1, 0.12), (0.5, 0.52, 0.51, 0.5, 0.5), True),
        ((0.1, 0.9, 0.2, 0.8, 0.5), (0.9, 0.1, 0.8, 0.2, 0.7), False),  # by chance
        ((0.1, 0.1, 0.1, 0.1, 0.1), (0.11, 0.11, 0.11, 0.11, 0.11), False),  # by too little
        ((0.1,), (0.5,), True),  # nothing shows that it is chance
        ((None,), (None,), False),
    ],
)
def test_others_on_the_host(base, head, differs):
    assert bool(changes.host_differs(base, head)) == differs


def test_the_answer_of_nothing_is_unknown():
    assert changes.answer([]) is Answer.UNKNOWN
    assert changes.answer([compared(pair(STEADY, better=Better.NEITHER))]) is Answer.UNKNOWN
