"""A look at a run under way fails nothing that may still come true, and all that cannot."""

from __future__ import annotations

import pytest
from kit.budget_rows import row
from kit.histories import SECOND, beginning, history, operation, record

from harness import checks
from harness.checks import live
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.history.history import PhaseWindow
from harness.operations.records import RecordKind


def looked(found, *rows, at_s=11.0, later=()):
    """The findings of rows of a run that has gone on until then."""
    seen = live.Look(
        history=found, t0_ns=SECOND, at_ns=int(at_s * SECOND), later=later, has_ended=False
    )
    return live.judge(seen, rows).verdict.findings[: len(rows)]


def counting(comparison, bound):
    return row(statistic="count", unit="1", comparison=comparison, bound=bound)


def sent(count):
    """A phase that has been under way for ten seconds, with as many messages that arrived."""
    return history([operation(n) for n in range(count)], [record(n) for n in range(count)], nodes=2)


@pytest.mark.parametrize(
    ("comparison", "bound", "so_far", "answer"),
    [
        (">=", 200, Answer.UNKNOWN, Answer.FAIL),
        (">", 100, Answer.UNKNOWN, Answer.FAIL),
        ("==", 200, Answer.UNKNOWN, Answer.FAIL),
        (">=", 100, Answer.PASS, Answer.PASS),
        ("==", 50, Answer.FAIL, Answer.FAIL),  # there are more already
        ("<", 100, Answer.FAIL, Answer.FAIL),
    ],
)
def test_a_count_is_not_missed_while_its_phase_goes_on(comparison, bound, so_far, answer):
    """100 of 200 after half of the time: FAIL."""
    wanted, found = counting(comparison, bound), sent(100)
    (finding,) = looked(found, wanted)
    assert finding.answer is so_far, finding
    if so_far is Answer.UNKNOWN:
        assert finding.cause is Cause.UNDER_WAY
        said = "phase load has been under way for 10.0 s, more may come; missed: 100 is not"
        assert finding.sentence.startswith(said)
    assert checks.judge(found, [wanted]).findings[0].answer is answer


def test_a_count_of_a_phase_that_is_over_is_missed():
    (finding,) = looked(sent(100), counting(">=", 200), at_s=15)
    assert finding.answer is Answer.FAIL, finding


def killed(at_s, node="node-2"):
    return NodeChanged(at_ns=int(at_s * SECOND), node=node, condition="killed")


def reports(*told):
    """Who reported node-2 failed, or that it joined, and when."""
    return [
        record(9, kind, node, int(at_s * SECOND), peer=beginning(2)) for kind, node, at_s in told
    ]


FAILED, JOINED = RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED
SEEN = {"metric": "membership.failure_seen", "unit": "s"}


@pytest.mark.parametrize(
    ("told", "statistic", "bound", "so_far"),
    [
        ([(FAILED, 0, 9)], "max", 5.0, Answer.UNKNOWN),  # node-1 may report it until 13 s
        ([(FAILED, 0, 9), (FAILED, 1, 10)], "max", 5.0, Answer.PASS),
        ([(FAILED, 0, 9)], "max", 2.5, Answer.FAIL),  # it could have until 10.5 s
        ([], "max", 5.0, Answer.UNKNOWN),
        ([(FAILED, 0, 9)], "p50", 5.0, Answer.PASS),
        ([(FAILED, 0, 7), (FAILED, 1, 10)], "max", 5.0, Answer.PASS),  # held as it ended
    ],
)
@pytest.mark.parametrize("is_over", [False, True])
def test_an_end_that_nobody_reported_yet_may_still_be_reported(
    told, statistic, bound, so_far, is_over
):
    """node-2 was killed at 8 s, and T is 11 s: whoever has not reported it took for ever, FAIL."""
    over_ns = (10 if is_over else 11) * SECOND
    found = history(
        (),
        reports(*told),
        events=(killed(8), RunEnded()),
        phases=(PhaseWindow(name="load", begin_ns=SECOND, end_ns=over_ns),),
    )
    wanted = row(**SEEN, statistic=statistic, bound=bound)
    (finding,) = looked(found, wanted)
    assert finding.answer is so_far, finding
    if so_far is Answer.UNKNOWN:
        assert finding.cause is Cause.UNDER_WAY
        assert "reports of nodes that ended may still come: it may still" in finding.sentence
    whole = checks.judge(found, [wanted]).findings[0]
    assert whole.answer is (Answer.PASS if so_far is Answer.PASS else Answer.FAIL)


def test_an_end_that_another_one_followed_is_reported_by_nobody_any_more():
    again = NodeStarted(at_ns=6 * SECOND, node="node-2")
    found = history((), reports((FAILED, 1, 3)), events=(killed(2), again, killed(9), RunEnded()))
    (finding,) = looked(found, row(**SEEN, statistic="max", bound=60.0))
    assert finding.answer is Answer.FAIL, finding


def test_reports_that_are_awaited_change_no_other_row():
    """node-2 was never started again: nobody is said to have held it failed while it ran."""
    found = history((), reports((JOINED, 0, 2)), events=(killed(8), RunEnded()))
    suspected = {"metric": "membership.suspected", "unit": "s", "statistic": "max"}
    rows = [
        row(**SEEN, statistic="max", bound=5.0),
        row(**suspected, bound=0.0, comparison="<="),
    ]
    assert [one.answer for one in looked(found, *rows)] == [Answer.UNKNOWN, Answer.PASS]
