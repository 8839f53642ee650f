"""One sentence says why a run is not PASS."""

from __future__ import annotations

import pytest
from kit.histories import history
from kit.verdicts import FACTS, VERDICT, finding

from harness import reports
from harness.checks.verdict import Answer, Cause, Verdict
from harness.reports import headline, text
from harness.reports.suite_part import SuitePart

MISSED = finding("p99", Answer.FAIL, sentence="missed: 12 is not < 10 ms")
LIMITED = finding("p50", Answer.UNKNOWN, sentence="the host was busy", cause=Cause.HOST_LIMITED)
GAP = finding("rss", Answer.UNKNOWN, sentence="samples are missing.", cause=Cause.GAP, phase="")


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([finding()], ""),
        (
            [finding(), MISSED],
            "1 of 2 findings is FAIL; it is p99 (load): missed: 12 is not < 10 ms.",
        ),
        (
            [LIMITED, MISSED, MISSED],
            (
                "2 of 3 findings are FAIL, and 1 could not be judged; the first: p99 (load): "
                "missed: 12 is not < 10 ms."
            ),
        ),
        (
            [finding(), LIMITED],
            (
                "1 of 2 findings could not be judged (host limited); it is p50 (load): the "
                "host was busy."
            ),
        ),
        (
            [GAP, LIMITED, GAP],
            (
                "3 of 3 findings could not be judged (2 × gap in the record, 1 × host limited); "
                "the first: rss: samples are missing."
            ),
        ),
        (
            [finding(answer=Answer.MEASURED)],
            "Nothing was promised, so nothing was judged.",
        ),
    ],
)
def test_the_headline_says_why(findings, said):
    assert headline.why(Verdict(findings=tuple(findings))) == said


def test_a_long_sentence_is_cut_and_not_lost():
    long = Verdict(findings=(finding(answer=Answer.FAIL, sentence="x" * 1000),))
    assert len(headline.why(long)) < 400
    assert "…" in headline.why(long)


def test_every_report_for_people_has_it():
    said = headline.why(VERDICT)
    assert said.replace("<", "&lt;") in reports.render("html", VERDICT, FACTS, "/runs/x")
    assert said.replace("<", "\\<") in reports.render("markdown", VERDICT, FACTS, "/runs/x")
    flat = " ".join(text.to_text(text.render(VERDICT, FACTS, "/runs/x")).split())
    assert said in flat


def test_the_headline_counts_the_rows_that_were_judged():
    promise = {"metric": "broadcast.coverage", "bound": 100.0}
    rows = [
        finding(**promise),
        finding(answer=Answer.FAIL, **promise),
        finding(answer=Answer.NOT_ASKED, **promise),
        finding(answer=Answer.UNKNOWN, cause=Cause.GAP, **promise),
        finding(answer=Answer.MEASURED, metric="rss"),
    ]
    told = headline.counts(Verdict(findings=(finding("delivery"), *rows)))
    assert told == ("2 of 4 rows judged; 2 PASS, 1 MEASURED, 1 NOT ASKED, 1 UNKNOWN, 1 FAIL")


def test_what_was_not_asked_fails_nothing_and_passes_nothing():
    left_out = finding(answer=Answer.NOT_ASKED, metric="broadcast.coverage", bound=100.0)
    assert Verdict(findings=(left_out, finding())).answer is Answer.PASS
    assert Verdict(findings=(left_out,)).answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("facts", "run", "said"),
    [
        ({}, "/runs/x", "harness judge /runs/x"),
        ({}, "/my runs/x", "harness judge '/my runs/x'"),
        ({"judged_by": "/b.toml"}, "/runs/x", "harness judge /runs/x --budget /b.toml"),
    ],
)
def test_the_command_that_is_shown_says_the_same_verdict(facts, run, said):
    assert headline.again(facts, run) == said
    facts = FACTS | facts
    flat = text.to_text(text.render(VERDICT, facts, run))
    assert f"again: {said}" in flat
    assert said.replace("'", "&#x27;") in reports.render("html", VERDICT, facts, run)


@pytest.mark.parametrize("format_", ["html", "markdown", "junit"])
def test_that_files_may_have_been_changed_is_said_in_every_report(format_):
    """It stood only in the text; of a suite nowhere."""
    open_, closed = history(sealed=False), history()

    def told(what, parts=()):
        return reports.render(format_, VERDICT, FACTS, "/runs/x", what, parts)

    assert "no manifest" in told(open_)
    assert "no manifest" not in told(closed)
    parts = [
        SuitePart(name=name, folder="..", verdict=VERDICT, history=one)
        for name, one in (("a", closed), ("b", open_))
    ]
    assert "b: no manifest" in told(None, parts)
    assert "no manifest" not in told(None, parts[:1])


@pytest.mark.parametrize("format_", ["text", "html"])
def test_a_replay_says_of_which_run_and_what_was_changed(format_):
    of = {"of": {"run": "/runs/a/1"}, "fork": None}

    def said(facts):
        if format_ == "text":
            return text.to_text(text.render(VERDICT, facts, "/run"))
        return reports.render("html", VERDICT, facts, "/run")

    assert "replay of" not in said(FACTS)
    plain = " ".join(said({**FACTS, "replay": of}).split())
    assert "replay of /runs/a/1" in plain
    assert "changed" not in plain
    forked = " ".join(said({**FACTS, "replay": {**of, "fork": "rate x2"}}).split())
    assert "replay of /runs/a/1, changed: rate x2" in forked


def test_why_rows_were_not_asked_is_counted():
    promise = {"answer": Answer.NOT_ASKED, "metric": "rss", "bound": 1.0}
    rows = [
        finding(sentence=f"x has no {number}", **promise)
        for number in range(8)
        for _ in range(8 - number)
    ]
    said = headline.not_asked(Verdict(findings=(*rows, finding())))
    assert said.startswith("36 rows were not asked: x has no 0 (8), x has no 1 (7), ")
    assert said.endswith("x has no 5 (3), and of other reasons 3.")
    assert headline.not_asked(Verdict(findings=(finding(),))) == ""
    loads = [finding("load: dht_put", answer=Answer.NOT_ASKED, sentence="x has no dht_put")]
    one = headline.not_asked(Verdict(findings=tuple(loads)))
    assert one == "1 finding was not asked: x has no dht_put."
