"""What a budget is about, and what came true of the load: the holes in which nobody had judged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit import ROOT
from kit.histories import MS, SECOND, history, operation, record

from harness import checks
from harness.checks import scope
from harness.checks.operation_metrics import SHARES
from harness.checks.verdict import Answer, Cause
from harness.history.events import FaultChanged, RunEnded
from harness.history.history import PhaseWindow
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario import files
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
    said = named(NAME, some, [row()]).sentence
    assert said == "the row 'delivered' is about it: 50 × at most 10 bytes, these are 256"
    # These would not change: half may fail before a median does, and hops are of what arrived.
    for blind in (
        row("private_message.end_to_end", "p50"),
        row(statistic="max"),
        row("private_message.hops"),
        row("dht_get.found"),
        row(conditions=Conditions(phase="load", scenario="another")),
        row("private_message.end_to_end", "max", comparison=">="),
    ):
        assert named(NAME, some, [blind]).answer is Answer.UNKNOWN


@pytest.mark.parametrize("comparison", ["==", "<="])
def test_a_row_that_none_is_to_come_true_is_about_each_that_did_not(comparison):
    """partition-one-way: no connection between the halves, as promised, was "none came true"."""
    promise = row(comparison=comparison, bound=0.0)
    found = named(NAME, history(REFUSED), [promise])
    assert (found.answer, found.measured) == (Answer.MEASURED, "0 of 100")


@pytest.mark.parametrize(
    "empty", [{"bound": None}, {"bound": 0.0}, {"comparison": "<=", "bound": 50.0}], ids=str
)
def test_a_row_that_promises_nothing_says_nothing_of_failures(empty):
    """All messages of a phase lost, a row without a bound measured 0 % of them: PASS."""
    bad = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50])
    assert named(NAME, bad, [row(**empty)]).answer is Answer.UNKNOWN
    assert checks.judge(bad, [row(**empty)]).answer is Answer.UNKNOWN


TWO = (
    PhaseWindow(name="load", begin_ns=SECOND, end_ns=SECOND + 50 * MS),
    PhaseWindow(name="peak", begin_ns=SECOND + 50 * MS, end_ns=2 * SECOND),
)


def test_a_row_about_one_phase_says_nothing_of_another():
    """All failed in "peak", a row was about "load": PASS."""
    bad = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50], phases=TWO)
    assert checks.judge(bad, [row()]).answer is Answer.UNKNOWN
    found = named(NAME, bad, [row()])
    assert (found.measured, found.cause) == ("50 of 100", Cause.NOT_JUDGED)
    assert found.sentence.startswith("50 of phase peak did not (most: at most 10 bytes")
    peak = row(conditions=Conditions(phase="peak"))
    assert named(NAME, bad, [row(), peak]).answer is Answer.MEASURED
    # Due in no phase at all: no row can be about them.
    outside = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50], phases=TWO[:1])
    assert named(NAME, outside, [row(), peak]).answer is Answer.UNKNOWN


def test_a_row_about_a_fault_is_about_what_was_due_while_it_stood():
    changes = [
        FaultChanged(verb=verb, fault="cut", set_ns=SECOND + at * MS)
        for verb, at in (("set", 60), ("clear", 80))
    ]
    under = row(conditions=Conditions(phase="load", under="cut"))

    def failed(first, last):
        mixed = [REFUSED[n] if first <= n < last else SENT[n] for n in range(100)]
        return history(mixed, JOURNAL, events=(*changes, RunEnded()))

    assert named(NAME, failed(60, 80), [under]).answer is Answer.MEASURED
    assert named(NAME, failed(60, 81), [under]).measured == "79 of 100"
    assert named(NAME, failed(60, 81), [under]).answer is Answer.UNKNOWN


def test_the_rate_of_a_node_is_about_what_was_sent_to_it():
    """A peak promises a rate, which is missed, or cannot be told, on a host that has no more."""
    some = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50])
    (target,) = {some.nodes[one] for one in some.column("target")}
    other = next(one for one in some.nodes if one != target)

    def rate(node, **changes):
        conditions = Conditions(phase="load", node=node)
        plain = {"unit": "1/s", "comparison": ">=", "bound": 60.0, "conditions": conditions}
        return row("private_message.received", **plain | changes)

    assert named(NAME, some, [rate(target)]).answer is Answer.MEASURED
    for blind in (rate(other), rate(None), rate("node-99"), rate(target, bound=None)):
        assert named(NAME, some, [blind]).answer is Answer.UNKNOWN


def test_the_row_of_linearity_is_about_all_bursts():
    bursts = tuple(replace(one, name=f"pair-{one.name}") for one in TWO)
    bad = history([*REFUSED[:50], *SENT[50:]], JOURNAL[50:], phases=bursts)
    linear = row(
        "private_message.linearity", "max", unit="%", conditions=Conditions(phase="pair-peak")
    )
    assert named(NAME, bad, [linear]).answer is Answer.MEASURED


@pytest.mark.parametrize("operation_", Operation)
def test_each_operation_has_a_share_that_a_row_can_name(operation_):
    assert any(name.startswith(f"{operation_.word}.") for name in SHARES)


@pytest.mark.parametrize(
    "scenario",
    [one for one in sorted((ROOT / "scenarios").glob("*.toml")) if files.read_suite(one) is None],
    ids=lambda path: path.stem,
)
def test_each_stream_of_a_shipped_scenario_has_a_row_about_its_failures(scenario):
    """One operation of hundreds of thousands that fails makes the whole run UNKNOWN otherwise."""
    planned = files.read_scenario(scenario)
    rows = files.read_budget(planned.budget).rows
    windows = tuple(
        PhaseWindow(
            name=one.name,
            begin_ns=SECOND * at,
            end_ns=SECOND * (at + 1),
            kind=one.kind,
            until=one.until,
        )
        for at, one in enumerate(planned.phases, 1)
    )
    for phase, window in zip(planned.phases, windows, strict=True):
        for stream in phase.streams:
            lost = operation(
                0, stream.operation, intended_ns=window.begin_ns, outcome=int(Outcome.UNKNOWN)
            )
            other = operation(1, stream.operation, intended_ns=window.begin_ns)
            found = history([lost, other], phases=windows, name=planned.name)
            what = f"operations that came true: {stream.operation.word}"
            assert named(what, found, rows).answer is Answer.MEASURED, (phase.name, what)


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


@pytest.mark.parametrize("statistic", ["p50", "p99", "p99.9"])
def test_a_percentile_of_a_share_feels_no_failure(statistic):
    """Half of all failed, the p99 of ones and zeroes is one: PASS."""
    half = history([*SENT[:50], *REFUSED[50:]], JOURNAL[:50])
    assert named(NAME, half, [row(statistic=statistic)]).answer is Answer.UNKNOWN
