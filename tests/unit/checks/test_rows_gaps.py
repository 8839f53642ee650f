"""Rows and gaps of the record: what rests on what is missing is UNKNOWN, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

from kit.budget_rows import judged
from kit.histories import SECOND, gap, history, operation, sample

from harness import checks
from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Cause
from harness.history.gaps import EVERYTHING, Part
from harness.operations import Outcome


def test_every_metric_names_what_it_needs():
    """One that names nothing needs everything, and any gap would make its rows UNKNOWN."""
    assert [name for name, metric in METRICS.items() if metric.needs == EVERYTHING] == []


def test_a_gap_makes_unknown_where_a_row_rests_on_it():
    found = history([operation(number) for number in range(100)])
    inside = {"from_ns": 2 * SECOND, "to_ns": 3 * SECOND}
    lacking = replace(found, gaps=(gap(Part.OPERATIONS, **inside),))
    for bound in (10.0, 1.0):
        finding = judged(lacking, bound=bound)
        assert (finding.cause, finding.sentence) == (Cause.GAP, "nobody saw it")
    later = {"from_ns": 11 * SECOND, "to_ns": 12 * SECOND}
    for other in (gap(Part.SAMPLES), gap(Part.OPERATIONS, **later)):
        assert judged(replace(found, gaps=(other,))).answer is Answer.PASS


def test_a_gap_of_one_node_is_none_of_another():
    samples = [sample(at, node, rss_bytes=10**6) for at in range(1, 11) for node in range(3)]
    found = history(samples=samples, gaps=(gap(Part.SAMPLES, of=("node-1",)),))
    memory = {"metric": "rss", "statistic": "max", "unit": "MB"}
    assert judged(found, node="node-2", **memory).answer is Answer.PASS
    assert judged(found, node="node-1", **memory).cause is Cause.GAP
    assert judged(found, **memory).cause is Cause.GAP


def test_what_would_have_excused_a_miss_is_missed():
    """A host that nobody looked at may have been busy: late is not FAIL, lost is."""
    found = history([operation(number) for number in range(100)], gaps=(gap(Part.HOST),))
    assert judged(found, bound=10.0).answer is Answer.PASS
    assert judged(found, bound=1.0).cause is Cause.GAP
    lost = history([operation(1, outcome=int(Outcome.FAILED))], gaps=(gap(Part.HOST),))
    share = {"metric": "private_message.delivered", "statistic": "mean", "unit": "%"}
    assert judged(lost, **share, bound=99.0, comparison=">").answer is Answer.FAIL


def test_findings_of_checks_rest_on_the_record_too():
    found = history([operation(1)], planned_per_s={("load", 1): 0.1})
    name = "private messages: acknowledged and delivered"
    whole = {one.name: one.answer for one in checks.judge(found, []).findings}
    assert whole[name] is Answer.FAIL
    holed = checks.judge(replace(found, gaps=(gap(Part.JOURNAL, of=("node-0",)),)), [])
    answers = {one.name: one.answer for one in holed.findings}
    assert (answers[name], answers["load: private_message"]) == (Answer.UNKNOWN, Answer.PASS)
    unsealed = checks.judge(replace(found, sealed=False), [])
    assert unsealed.answer is Answer.UNKNOWN
    budget = checks.judge(replace(found, gaps=(gap(Part.BUDGET),)), [])
    assert "record: whole" in {one.name for one in budget.findings}
