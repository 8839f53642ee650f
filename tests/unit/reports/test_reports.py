"""The renderers: what they say is what the verdict says, whatever names a run brings, and a run cut
short renders too.
"""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.histories import MS, SECOND, history, operation, sample
from kit.verdicts import FACTS, VERDICT, finding, full

from harness import reports
from harness.checks.verdict import Answer, Verdict
from harness.errors import UsageError
from harness.history.events import FaultChanged
from harness.history.proof import Proof, ProofAnswer
from harness.operations import Outcome
from harness.reports import markdown, series, svg


@pytest.mark.parametrize("format_", reports.FORMATS)
@pytest.mark.parametrize("what", [full, history, lambda: None])
def test_every_format_renders_every_run_and_names_every_row(format_, what):
    text = reports.render(format_, VERDICT, FACTS, "/runs/x", what())
    for one in VERDICT.findings:
        assert one.name in text
    assert "UNKNOWN" in text or format_ == "junit"


def test_another_format_is_refused():
    known = ", ".join(reports.FORMATS)
    with pytest.raises(UsageError, match=f"expected one of {known}; found 'pdf'"):
        reports.render("pdf", VERDICT, FACTS, "/runs/x")


def test_junit_has_no_skips_and_unknown_is_an_error():
    root = ET.fromstring(reports.render("junit", VERDICT, FACTS, "/runs/x"))
    suite = root.find("testsuite")
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert kinds == {
        "kept": ["system-out"],
        "missed": ["failure"],
        "unknown": ["error"],
        "open": ["system-out"],
    }
    assert suite.find("testcase[@name='unknown']/error").get("type") == "not measured"
    assert "not promised" in suite.find("testcase[@name='open']/system-out").text


def test_csv_is_one_line_a_finding():
    rows = list(csv.DictReader(io.StringIO(reports.render("csv", VERDICT, FACTS, "/runs/x"))))
    assert [(row["name"], row["answer"], row["value"]) for row in rows] == [
        ("kept", "PASS", "3.0"),
        ("missed", "FAIL", "3.0"),
        ("unknown", "UNKNOWN", ""),
        ("open", "MEASURED", "3.0"),
    ]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        (" =1", "' =1"),
        ("＝1", "'＝1"),
        ("-1.5", "-1.5"),
        ("+2e-3", "+2e-3"),
        ("-inf", "-inf"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_cell_of_csv_is_a_formula_and_numbers_stay_numbers(cell, shown):
    verdict = Verdict(findings=(finding(cell, sentence=cell, source=cell, value=-2.5),))
    text = reports.render("csv", verdict, {**FACTS, "name": cell}, cell)
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    texts = {key: row[key] for key in ("run", "scenario", "name", "sentence", "source")}
    assert set(texts.values()) == {shown}
    assert row["value"] == "-2.5"


def test_markdown_puts_what_is_not_kept_first_and_fits_a_comment():
    text = reports.render("markdown", VERDICT, FACTS, "/runs/x")
    assert text.startswith("## ❌ FAIL · demo")
    assert text.index("missed") < text.index("<details>") < text.index("| kept |")
    many = Verdict(
        findings=tuple(
            finding(f"row {number}", Answer.FAIL if number % 2 else Answer.PASS, sentence="x" * 300)
            for number in range(2000)
        )
    )
    long = reports.render("markdown", many, FACTS, "/runs/x")
    assert len(long) <= markdown.MAX_CHARACTERS
    assert re.search(r"… and [\d]+ more", long)


class Tags(HTMLParser):
    """Counts what a browser would build."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.urls = []

    def handle_starttag(self, tag, attributes):
        self.found.append(tag)
        self.urls += [
            value for key, value in attributes if key in {"src", "href", "action", "srcset"}
        ]


NASTY = st.text(max_size=40) | st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a|b`*_[x](http://e)",
        "' onclick='x",
        "]]>",
    ]
)


@settings(max_examples=60, deadline=None)
@given(name=NASTY, sentence=NASTY, source=NASTY, topology=NASTY)
def test_nothing_that_a_run_says_becomes_markup(name, sentence, source, topology):
    verdict = Verdict(findings=(finding(name, Answer.FAIL, sentence=sentence, source=source),))
    facts = {**FACTS, "topology": topology, "name": name}
    tags = Tags()
    tags.feed(reports.render("html", verdict, facts, name, None))
    assert tags.found.count("script") == 1
    assert "img" not in tags.found
    assert tags.urls == []
    ET.fromstring(reports.render("junit", verdict, facts, name))
    rows = list(
        csv.DictReader(io.StringIO(reports.render("csv", verdict, facts, name), newline=""))
    )
    assert len(rows) == 1
    markdown_text = reports.render("markdown", verdict, facts, "/runs/x")
    assert not re.search(r"(?<!\\)<(script|img)", markdown_text)


def test_a_page_has_the_numbers_of_its_run():
    """It asks the network for nothing."""
    text = reports.render("html", VERDICT, FACTS, "/runs/x", full())
    tags = Tags()
    tags.feed(text)
    assert tags.urls == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", text)
    charts = [
        json.loads(one)
        for one in re.findall(r"<script type='application/json'>(.*?)</script>", text)
    ]
    latency = next(
        chart
        for chart in charts
        if [line["name"] for line in chart["lines"]] == ["p50", "p95", "p99"]
    )
    assert {value for value in latency["lines"][0]["values"] if value is not None} == {2.0}
    memory = next(chart for chart in charts if chart["unit"] == "MB" and len(chart["lines"]) == 3)
    assert memory["lines"][1]["values"][0] == 20
    assert memory["lines"][2]["values"][0] == 30


def test_faults_are_bars_and_a_table_with_what_was_seen_of_them():
    def change(verb, at_s):
        return FaultChanged(
            verb=verb,
            fault="wan <b>",
            does="delay 50 ms",
            paths=2,
            set_ns=at_s * SECOND,
            at_ns=at_s * SECOND,
        )

    def proof(what, at_s, **more):
        return Proof(
            at_ns=at_s * SECOND,
            fault="wan <b>",
            what=what,
            answer=ProofAnswer.IN_FORCE,
            backend="netem",
            **more,
        )

    found = history(
        [operation(number) for number in range(10)],
        events=(change("set", 2), change("clear", 4), change("set", 5)),
        proofs=(proof("read back", 2), proof("delay", 3, asked=50.0, achieved=51.0)),
    )
    first, last = series.spells(found)
    assert (first.from_s, first.until_s, last.until_s) == (1.0, 3.0, series.end_s(found))
    assert first.shown == "2 × in force, delay 102% of what was asked"
    page = reports.render("html", VERDICT, FACTS, "/runs/x", found)
    assert page.count('class="fault"') == 2 * page.count('<svg class="chart"')
    assert "wan <b>" not in page
    assert "wan &lt;b&gt;" in page


def test_worst_nodes_are_named_worst_first():
    worst = {title: nodes for title, _, nodes in series.worst_nodes(full())}
    assert [name for name, _ in worst["Resident memory"]] == ["node-2", "node-1", "node-0"]
    assert worst["CPU of one core"][0] == ("node-2", pytest.approx(3.0))


def test_what_failed_is_counted_and_not_drawn_as_quick():
    # All failed: no latency to draw.
    assert "Latency of broadcast" not in [chart.title for chart in series.charts(full())]
    mixed = history(
        [operation(1), operation(2, outcome=int(Outcome.FAILED), done_ns=SECOND + 2 * MS)]
    )
    assert "1 of 2 did not come true" in series.charts(mixed)[1].note


@given(st.floats(1e-6, 1e12))
def test_an_axis_holds_its_values_and_has_few_ticks(most):
    top, ticks = svg.scale(most)
    assert top >= most * 0.999
    assert 2 <= len(ticks) <= 7
    assert ticks[0] == 0
    assert np.all(np.diff(ticks) > 0)


def test_the_page_of_a_hundred_nodes_is_small():
    samples = [
        sample(1 + at, node, rss_bytes=node * at, cpu_ns=at)
        for at in range(120)
        for node in range(100)
    ]
    found = history(
        [operation(number, source=1) for number in range(5000)],
        samples=samples,
        nodes=100,
        seconds=120,
    )
    assert len(reports.render("html", VERDICT, FACTS, "/runs/x", found)) < 1_000_000
