"""A run of another system than its files name: what it has no operation for is not asked, and
nothing else is.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit import schedules
from kit.budget_rows import row
from kit.histories import fault, record, sample
from kit.schedules import messages
from kit.verdicts import FACTS

from harness import checks, reports
from harness.checks import scope, vacuity
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history.gaps import Gap, Part
from harness.history.history import History
from harness.history.other_system import OtherSystem
from harness.history.plan import read
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.reports import headline, text
from harness.scenario.budget import Row
from harness.scenario.stream import Stream

PROMISE = {"statistic": "mean", "comparison": ">=", "bound": 100, "unit": "%"}
MINE = row(name="messages", metric="private_message.delivered", **PROMISE)
OTHER = row(name="values", metric="dht_get.found", **PROMISE)
MEMORY = row(name="memory", metric="rss", statistic="max", unit="MB", bound=50)
GETS = Stream(operation=Operation.DHT_GET, rate_per_s=5)


def system(*streams: Stream, **more: object) -> OtherSystem:
    said = tuple(one.as_json("load", 10) for one in streams)
    return OtherSystem(name="nats", instead_of="meshnode", streams=said, **more)


def run(other: OtherSystem | None, *, loaded: bool = True, **changes: object) -> History:
    """A run of ten messages a second by nodes of 20 MB; what else was planned, `other` says."""
    streams = (messages(10),) if loaded else ()
    sent = schedules.recorded(*streams)
    heard = [
        (*record(0, at_ns=one["done_ns"])[:4], one["id"], one["done_ns"], 0, one["target"])
        for one in sent
    ]
    samples = [sample(at_s, node, rss_bytes=20_000_000) for node in range(3) for at_s in (2, 10)]
    found = schedules.run(sent, *streams, journal=heard, samples=samples, **changes)
    assert found.plan is not None
    return replace(found, plan=replace(found.plan, other_system=other))


def judged(found: History, *rows: Row) -> Verdict:
    return checks.judge(found, rows)


def of(verdict: Verdict, name: str) -> Finding:
    (found,) = [one for one in verdict.findings if one.name == name]
    return found


def test_what_the_system_has_no_operation_for_is_not_asked():
    verdict = judged(run(system(GETS)), MINE, OTHER)
    assert (of(verdict, "values").answer, of(verdict, "values").sentence) == (
        Answer.NOT_ASKED,
        "nats has no dht_get",
    )
    assert of(verdict, "messages").answer is Answer.PASS
    assert of(verdict, "messages").sentence.endswith(
        "; no dht_get was sent beside it: nats has none"
    )
    assert (verdict.answer, verdict.rows()) == (
        Answer.PASS,
        {"of": 2, "judged": 1, "not_asked": 1},
    )
    assert headline.not_asked(verdict) == "1 row was not asked: nats has no dht_get."
    load = of(verdict, "load: dht_get")
    assert (load.answer, load.promised) == (Answer.NOT_ASKED, "5/s")


@pytest.mark.parametrize("phase", ["peak", "load"])
def test_only_of_the_phase_that_was_to_send_it(phase):
    """A row of another phase, which never sent any, is a mistake of the budget."""
    elsewhere = replace(system(), streams=(GETS.as_json("peak", 10),))
    found = judged(run(elsewhere), replace(OTHER, conditions=row(phase=phase).conditions))
    assert of(found, "values").answer is Answer.UNKNOWN


def test_what_was_recorded_all_the_same_is_judged():
    gets = [{**one, "operation": int(Operation.DHT_GET)} for one in schedules.recorded(messages(1))]
    found = run(system(GETS))
    history = replace(found, operations=run(None).operations)
    assert of(judged(history, OTHER), "values").answer is Answer.NOT_ASKED
    sent = schedules.run(gets, GETS)
    assert sent.plan is not None
    sent = replace(sent, plan=replace(sent.plan, streams=(), other_system=system(GETS)))
    assert of(judged(sent, OTHER), "values").answer is not Answer.NOT_ASKED


@pytest.mark.parametrize("part", [Part.PLAN, Part.METADATA])
def test_a_plan_that_cannot_be_trusted_leaves_nothing_out(part):
    torn = run(system(GETS), gaps=(Gap(what=frozenset({part}), why="it was changed"),))
    assert of(judged(torn, OTHER), "values").answer is Answer.UNKNOWN


def test_what_is_of_all_the_load_is_measured_and_not_asked():
    verdict = judged(run(system(GETS)), MEMORY)
    memory = of(verdict, "memory")
    assert (memory.answer, memory.measured[:5]) == (Answer.NOT_ASKED, "20 MB")
    assert memory.sentence == "a part of its load alone was sent: nats has no dht_get"
    assert of(judged(run(system()), MEMORY), "memory").answer is Answer.PASS
    shown = replace(MEMORY, bound=None)
    assert of(judged(run(system(GETS)), shown), "memory").answer is Answer.MEASURED


@pytest.mark.parametrize(
    ("was", "found"),
    [(Answer.PASS, Answer.NOT_ASKED), (Answer.FAIL, Answer.FAIL), (Answer.UNKNOWN, Answer.UNKNOWN)],
)
def test_that_nothing_leaks_is_not_shown_by_a_part_of_the_load(monkeypatch, was, found):
    cause = Cause.TOO_FEW if was is Answer.UNKNOWN else None
    leaks = Finding(
        name="leaks: rss", answer=was, promised="", measured="", sentence="it is so", cause=cause
    )
    monkeypatch.setattr("harness.checks.leak_check.check", lambda _: [leaks])
    assert of(judged(run(system(GETS), checks=("leaks",))), "leaks: rss").answer is found
    assert of(judged(run(system(), checks=("leaks",))), "leaks: rss").answer is was


def test_what_is_too_much_already_is_a_miss():
    tight = replace(MEMORY, bound=10)
    assert of(judged(run(system(GETS)), tight), "memory").answer is Answer.FAIL
    more = replace(MEMORY, bound=30, comparison=">")  # that a part of the load may have lowered
    assert of(judged(run(system(GETS)), more), "memory").answer is Answer.NOT_ASKED


def test_where_no_row_was_asked_for_the_verdict_is_unknown():
    for rows in ([OTHER], [MEMORY], [OTHER, MEMORY]):
        verdict = judged(run(system(GETS)), *rows)
        assert verdict.answer is Answer.UNKNOWN
        assert of(verdict, scope.BUDGET).cause is Cause.NOT_JUDGED


def test_nodes_that_were_asked_nothing_pass_nothing():
    """What nodes use is of an idle phase, and kept; the scenario is about its load."""
    idle = replace(system(), streams=(GETS.as_json("peak", 10),))
    verdict = judged(run(idle, loaded=False), MEMORY)
    assert of(verdict, "memory").answer is Answer.PASS
    assert of(verdict, scope.NOTHING_ASKED).answer is Answer.UNKNOWN
    assert verdict.answer is Answer.UNKNOWN
    assert not any(one.name == scope.NOTHING_ASKED for one in judged(run(idle)).findings)


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("register", "nats has no dht_get"),
        ("linearizability", "nats has no dht_get"),
        ("membership", "nats does not tell which nodes it holds to be alive"),
        ("membership within 5 s", "nats does not tell which nodes it holds to be alive"),
    ],
)
def test_a_check_that_has_nothing_to_look_at_is_not_asked(check, why):
    kept = frozenset({RecordKind.DELIVERED})
    found = of(judged(run(system(GETS), checks=(check,), kept=kept)), check)
    assert (found.answer, found.sentence) == (Answer.NOT_ASKED, why)
    own = judged(run(None, checks=(check,), kept=kept))
    assert own.answer is Answer.UNKNOWN


def test_a_check_that_had_something_to_look_at_and_did_not_is_unknown():
    """There were messages, of which no two have an order."""
    verdict = judged(run(system(GETS), checks=("isolation",)))
    assert of(verdict, "isolation: something to check").answer is Answer.UNKNOWN


LINKS = row(name="links", metric="node.links", statistic="min", comparison=">=", unit="1", bound=9)
DEAD = row(name="dead", metric="membership.failure_seen", statistic="max", unit="s", bound=5)


def test_what_the_system_does_not_tell_of_itself_is_not_asked():
    other, kept = system(), frozenset({RecordKind.DELIVERED})
    told = {"told": {("load", node): True for node in range(3)}, "kept": kept}
    verdict = judged(run(other, **told), MINE, LINKS, DEAD)
    assert (of(verdict, "links").answer, of(verdict, "links").sentence) == (
        Answer.NOT_ASKED,
        "nats does not tell links",
    )
    assert of(verdict, "dead").sentence == "nats does not tell which nodes it holds to be alive"
    assert (verdict.answer, verdict.rows()["not_asked"]) == (Answer.PASS, 2)
    own = judged(run(None, **told), MINE, LINKS, DEAD)
    assert {of(own, name).answer for name in ("links", "dead")} == {Answer.UNKNOWN}


def test_what_it_may_have_told_is_unknown():
    """Nobody heard the nodes, or their word is lost, or some of them told it."""
    told = {("load", node): True for node in range(3)}
    lost = Gap(what=frozenset({Part.GAUGES}), why="it is lost")
    some = {("load", 0, "links"): 3.0}
    for changes in ({}, {"told": told, "gaps": (lost,)}, {"told": told, "gauges": some}):
        verdict = judged(run(system(), **changes), MINE, LINKS)
        assert of(verdict, "links").answer in (Answer.UNKNOWN, Answer.FAIL), changes


def test_options_and_conditions_are_named():
    other = system(options={"fanout": 101}, until={"load": "coverage of the last second >= 100 %"})
    verdict = judged(run(other), MINE)
    assert of(verdict, "nodes: option fanout").sentence == "nats has no such option"
    assert of(verdict, "nodes: option fanout").promised == "of 101 nodes"
    assert of(verdict, "converged").answer is Answer.NOT_ASKED
    assert verdict.answer is Answer.PASS
    assert headline.not_asked(verdict).startswith("2 findings were not asked: ")


def test_a_fault_under_which_nothing_could_be_sent_is_not_asked():
    stood = (fault("set", 2, paths=1), fault("clear", 5, paths=1))
    idle = judged(run(system(GETS), loaded=False, events=stood))
    assert of(idle, vacuity.UNLOADED).answer is Answer.NOT_ASKED
    assert not any(one.name == vacuity.MET for one in idle.findings)
    own = judged(run(None, loaded=False, events=stood))
    assert of(own, vacuity.MET).answer is Answer.UNKNOWN
    loaded = judged(run(system(GETS), events=stood))  # it met none of what was sent
    assert of(loaded, vacuity.MET).answer is Answer.UNKNOWN


def test_the_plan_is_read_from_the_metadata():
    facts = schedules.facts(messages(1))
    facts["load"]["other_system"] = system(GETS, options={"fanout": 3}).as_json()
    plan = read(facts, {})
    assert plan is not None
    assert plan.other_system == system(GETS, options={"fanout": 3})


def test_every_report_says_what_was_not_asked():
    verdict = judged(run(system(GETS)), MINE, OTHER)
    said = headline.not_asked(verdict)
    flat = " ".join(text.to_text(text.render(verdict, FACTS, "/runs/x")).split())
    assert said in flat
    assert "1 of 2 rows judged" in flat
    assert said in reports.render("html", verdict, FACTS, "/runs/x")
    assert said.replace("_", "\\_") in reports.render("markdown", verdict, FACTS, "/runs/x")
    cases = reports.render("junit", verdict, FACTS, "/runs/x")
    assert f'name="not-asked" value="{said}"' in cases
    assert '<skipped message="promised &gt;= 100 %, measured –: nats has no dht_get"' in cases
