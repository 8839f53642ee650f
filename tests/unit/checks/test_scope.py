"""What a budget is about, and what came true of the load: the holes in which nobody had judged."""

from __future__ import annotations

import pytest
from kit.histories import history, operation, record

from harness import checks
from harness.checks import scope
from harness.checks.verdict import Answer, Cause
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario.budget import Conditions, Row

SENT = [operation(n) for n in range(100)]
REFUSED = [
    operation(n, outcome=int(Outcome.FAILED), error="at most 10 bytes, these are 256")
    for n in range(100)
]
JOURNAL = [record(n) for n in range(100)]
NAME = "operations that came true: private_message"


def row(metric="private_message.delivered", statistic="mean", **changes):
    kind, unit = ("time", "ms") if metric.endswith("end_to_end") else ("share", "%")
    plain = {
        "name": "delivered",
        "metric": metric,
        "statistic": statistic,
        "comparison": ">=" if kind == "share" else "<",
        "bound": 1.0,
        "unit": unit,
        "conditions": Conditions(phase="load"),
    }
    return Row(**{**plain, **changes})


def named(name, found, rows=()):
    return next((one for one in scope.check(found, rows) if one.name == name), None)


def test_a_run_in_which_everything_failed_is_unknown():
    """Hole 13: payload above the node's limit, no budget: PASS."""
    found = named(NAME, history(REFUSED))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_JUDGED)
    assert found.measured == "0 of 100"
    assert "at most 10 bytes" in found.sentence
    assert checks.judge(history(REFUSED), []).answer is Answer.UNKNOWN


def test_a_row_that_feels_a_failure_judges_it():
    some = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50])
    assert named(NAME, some, [row()]).answer is Answer.MEASURED
    assert named(NAME, some, [row("private_message.end_to_end", "max")]).answer is Answer.MEASURED
    # These would not change: half may fail before a median does, and hops are of what arrived.
    for blind in (
        row("private_message.end_to_end", "p50"),
        row(statistic="max"),
        row("private_message.hops"),
        row("dht_get.found"),
        row(conditions=Conditions(phase="load", scenario="another")),
    ):
        assert named(NAME, some, [blind]).answer is Answer.UNKNOWN


def test_a_good_run_without_a_budget_passes_and_says_what_was_not_judged():
    found = history(SENT, JOURNAL)
    verdict = checks.judge(found, [])
    assert verdict.answer is Answer.PASS
    budget = named(scope.BUDGET, found)
    assert (budget.answer, budget.measured) == (Answer.MEASURED, "not judged")
    assert named(NAME, found).measured == "100 of 100"
    assert scope.check(history(), [row()]) == []


def test_a_run_without_load_and_promises_has_no_verdict():
    assert checks.judge(history(), []).answer is Answer.UNKNOWN
    assert checks.judge(history(), [row(bound=None)]).answer is Answer.UNKNOWN


def test_a_budget_about_other_runs_is_unknown():
    """Hole 17: `judge RUN --budget FILE` with no row about this scenario: PASS."""
    rows = [row(conditions=Conditions(phase="load", scenario="another"))] * 71
    verdict = checks.judge(history(SENT, JOURNAL), rows)
    assert verdict.answer is Answer.UNKNOWN
    found = named(scope.BUDGET, history(SENT, JOURNAL), rows)
    assert found.measured == "0 of 71"
    assert found.sentence.startswith("0 of 71 rows are about this run")


def test_acknowledged_and_not_delivered_is_fail():
    """Hole 15: a node that acknowledges 2,000 and delivers none."""
    assert checks.judge(history(SENT), []).answer is Answer.FAIL


def test_what_was_never_sent_is_no_operation_of_the_systems():
    unsent = [operation(n, sent_ns=0, outcome=int(Outcome.FAILED)) for n in range(100, 110)]
    assert named(NAME, history([*SENT, *unsent], JOURNAL)).measured == "100 of 100"


@pytest.mark.parametrize("operation_", Operation)
def test_each_operation_has_its_own_line(operation_):
    ops = [operation(1, operation_, outcome=int(Outcome.UNKNOWN))]
    found = history(ops, [record(1, RecordKind.DELIVERED)])
    assert named(f"operations that came true: {operation_.word}", found).measured == "0 of 1"
