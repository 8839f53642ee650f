"""A suite that is played on another system than its files name."""

from __future__ import annotations

from harness.checks import scope
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.experiments import suite
from harness.scenario.budget import Conditions, Row


def row(name, scenario):
    of = Conditions(phase="load", scenario=scenario)
    return Row(name=name, metric="rss", statistic="max", unit="MB", bound=50.0, conditions=of)


def finding(name, answer=Answer.PASS, sentence="kept", **changes):
    """A finding of a check; with a metric and a bound, of a row."""
    cause = Cause.NOT_JUDGED if answer is Answer.UNKNOWN else None
    plain = {"name": name, "answer": answer, "sentence": sentence, "cause": cause}
    return Finding(promised="", measured="", phase="load", **{**plain, **changes})


KEPT = finding("x", metric="rss", bound=50.0)
NOT_ASKED = finding("y", Answer.NOT_ASKED, "serf has no dht_put", metric="rss", bound=50.0)
SENT = finding(f"{scope.CAME_TRUE}broadcast")
NOTHING = finding(scope.NOTHING_ASKED, Answer.UNKNOWN, "serf has no dht_put")
BUDGET = finding(scope.BUDGET, Answer.UNKNOWN, "0 of 1 rows are about the streams of this run")
ROWS = (row("x", "a"), row("y", "b"))
LEFT = Verdict(findings=(NOT_ASKED, BUDGET, NOTHING))


def verdict(parts, failures=(), rows=ROWS):
    return Verdict(findings=tuple(suite.findings(rows, parts, dict(failures))))


def test_a_part_that_the_system_has_nothing_for_leaves_a_suite_its_answer():
    found = verdict({"a": Verdict(findings=(KEPT, SENT)), "b": LEFT})
    assert (found.answer, found.rows()) == (
        Answer.PASS,
        {"of": 2, "judged": 1, "not_asked": 1},
    )
    [said] = [one for one in found.findings if one.name == scope.NOTHING_ASKED]
    assert (said.answer, said.sentence) == (Answer.MEASURED, "serf has no dht_put")


def test_a_suite_that_could_be_asked_nothing_has_no_answer():
    assert verdict({"b": LEFT}, rows=ROWS[1:]).answer is Answer.UNKNOWN
    assert verdict({"b": LEFT}, {"a": "it broke"}).answer is Answer.UNKNOWN
    idle = Verdict(findings=(KEPT,))  # of which nothing was sent either
    assert verdict({"a": idle, "b": LEFT}).answer is Answer.UNKNOWN
