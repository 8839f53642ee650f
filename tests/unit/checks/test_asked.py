"""Rows about streams that nobody picked are outside the verdict, only where the record says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit import schedules
from kit.budget_rows import row
from kit.histories import SECOND, history, operation, record
from kit.schedules import messages

from harness import checks
from harness.checks import live, scope
from harness.checks.verdict import Answer, Cause, Verdict
from harness.history.gaps import Gap, Part
from harness.history.history import History
from harness.history.live import Look
from harness.history.plan import read
from harness.operations import Operation
from harness.scenario.budget import Row
from harness.scenario.stream import Stream

PROMISE = {"statistic": "mean", "comparison": ">=", "bound": 100, "unit": "%"}
MINE = row(name="messages", metric="private_message.delivered", **PROMISE)
OTHER = row(name="values", metric="dht_get.found", **PROMISE)
GETS = Stream(operation=Operation.DHT_GET, rate_per_s=1.0)


def run(*left_out: str, also: tuple[Stream, ...] = (), more=(), **changes) -> History:
    """A run of ten messages a second, and of streams of which nothing was recorded."""
    sent = schedules.recorded(messages(10))
    heard = [
        (*record(0, at_ns=one["done_ns"])[:4], one["id"], one["done_ns"], 0, one["target"])
        for one in sent
    ]
    found = schedules.run([*sent, *more], messages(10), *also, journal=heard, **changes)
    assert found.plan is not None
    return replace(found, plan=replace(found.plan, left_out=frozenset(left_out)))


def rows(verdict: Verdict) -> dict[str, Answer]:
    return {one.name: one.answer for one in verdict.findings if one.metric}


def judged(found: History, *budget: Row) -> dict[str, Answer]:
    return rows(checks.judge(found, budget))


def test_a_stream_that_was_not_picked_is_listed_and_outside_the_verdict():
    verdict = checks.judge(run("dht_get"), [MINE, OTHER])
    assert rows(verdict) == {"messages": Answer.PASS, "values": Answer.NOT_ASKED}
    assert verdict.answer is Answer.PASS
    assert verdict.rows() == {"of": 2, "judged": 1, "not_asked": 1}
    [other] = [one for one in verdict.findings if one.name == "values"]
    assert other.sentence == "dht_get was none of the streams of this run"


def test_without_a_word_in_the_record_it_is_unknown():
    assert judged(run(), MINE, OTHER)["values"] is Answer.UNKNOWN  # as of each scenario
    assert judged(replace(run("dht_get"), plan=None), OTHER)["values"] is Answer.UNKNOWN


def test_a_stream_that_was_planned_and_sent_nothing_is_unknown():
    for left_out in ((), ("dht_get",)):
        assert judged(run(*left_out, also=(GETS,)), OTHER)["values"] is Answer.UNKNOWN


def test_operations_that_were_recorded_speak_against_left_out():
    gets = [operation(number, Operation.DHT_GET) for number in range(10)]
    assert judged(run("dht_get", more=gets), OTHER)["values"] is not Answer.NOT_ASKED


@pytest.mark.parametrize("part", [Part.PLAN, Part.METADATA, Part.EVENTS])
def test_a_plan_that_cannot_be_trusted_leaves_nothing_out(part):
    torn = run("dht_get", gaps=(Gap(what=frozenset({part}), why="it was changed"),))
    assert judged(torn, OTHER)["values"] is Answer.UNKNOWN


def test_a_phase_that_was_not_played_stays_unknown():
    peak = row(name="values", metric="dht_get.found", phase="peak", **PROMISE)
    assert judged(run("dht_get"), peak)["values"] is Answer.UNKNOWN


def test_a_row_whose_condition_needs_a_stream_is_about_it_too():
    busy = row(name="busy", metric="cpu", unit="%", statistic="max", node="node-0",
               received_per_s=10)  # fmt: skip
    none = history(plan=replace(run("private_message").plan, streams=()))
    assert judged(none, busy)["busy"] is Answer.NOT_ASKED


def test_where_no_row_was_asked_for_the_verdict_is_unknown():
    shown = replace(OTHER, name="shown", bound=None)
    for budget in ([OTHER], [OTHER, shown]):
        verdict = checks.judge(run("dht_get"), budget)
        assert verdict.answer is Answer.UNKNOWN
        assert verdict.rows() == {"of": 1, "judged": 0, "not_asked": 1}
        [about] = [one for one in verdict.findings if one.name == scope.BUDGET]
        assert about.sentence == "0 of 1 rows are about the streams of this run"
        assert about.cause is Cause.NOT_JUDGED


def test_a_scenario_that_never_sends_what_its_budget_names_says_so():
    verdict = checks.judge(run(), [MINE, OTHER])
    [other] = [one for one in verdict.findings if one.name == "values"]
    assert other.sentence.endswith(": phase load was to send no dht_get")
    assert verdict.rows() == {"of": 2, "judged": 1, "not_asked": 0}


def test_a_look_at_a_run_under_way_says_the_same():
    look = Look(history=run("dht_get"), t0_ns=SECOND, at_ns=20 * SECOND, later=(), has_ended=False)
    assert rows(live.judge(look, [MINE, OTHER]).verdict)["values"] is Answer.NOT_ASKED


def test_the_plan_is_read_from_the_metadata():
    facts = schedules.facts(messages(1))
    facts["load"]["left_out"] = ["dht_get"]
    plan = read(facts, {})
    assert plan is not None
    assert plan.left_out == {"dht_get"}
