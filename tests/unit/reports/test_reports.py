"""The renderers: what they say is what the verdict says, whatever names a run brings, and a run cut
short renders too.
"""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.histories import history
from kit.verdicts import FACTS, VERDICT, finding, full

from harness import reports
from harness.checks.verdict import Answer, Verdict
from harness.errors import UsageError
from harness.reports import markdown


@pytest.mark.parametrize("format_", reports.FORMATS)
@pytest.mark.parametrize("what", [full, history, lambda: history(phases=()), lambda: None])
def test_every_format_renders_every_run_and_names_every_row(format_, what):
    text = reports.render(format_, VERDICT, FACTS, "/runs/x", what())
    for one in VERDICT.findings:
        assert one.name in text
    assert "UNKNOWN" in text or format_ == "junit"


def test_another_format_is_refused():
    known = ", ".join(reports.FORMATS)
    with pytest.raises(UsageError, match=f"expected one of {known}; found 'pdf'"):
        reports.render("pdf", VERDICT, FACTS, "/runs/x")


def test_junit_skips_only_what_was_not_asked_and_unknown_is_an_error():
    root = ET.fromstring(reports.render("junit", VERDICT, FACTS, "/runs/x"))
    suite = root.find("testsuite")
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert kinds == {
        "kept": ["system-out"],
        "missed": ["failure"],
        "unknown": ["error"],
        "open": ["system-out"],
        "left out": ["skipped"],
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
        ("left out", "NOT ASKED", ""),
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
    assert "3 kept, measured or not asked (these: 1)" in text
    many = Verdict(
        findings=tuple(
            finding(f"row {number}", Answer.FAIL if number % 2 else Answer.PASS, sentence="x" * 300)
            for number in range(2000)
        )
    )
    long = reports.render("markdown", many, FACTS, "/runs/x")
    assert len(long) <= markdown.MAX_CHARACTERS
    assert re.search(r"… and [\d]+ more", long)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("@everyone", "@\N{ZERO WIDTH SPACE}everyone"),
        ("&lt;b>", "&amp;lt;b\\>"),
        ("a|b", "a\\|b"),
    ],
)
def test_markdown_mentions_nobody_and_shows_texts_as_they_are(said, shown):
    """Also of an adapter and a runtime, which may be anybody's."""
    verdict = Verdict(findings=(finding(said, Answer.FAIL, sentence=said),))
    facts = {**FACTS, "adapter": said, "runtime": {"name": said}}
    text = reports.render("markdown", verdict, facts, "/runs/x")
    assert said not in text
    assert text.count(shown) == 6  # two in the headline, the row, and what was run


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
    assert not any(url.startswith(("http", "//", "javascript", "data")) for url in tags.urls)
    ET.fromstring(reports.render("junit", verdict, facts, name))
    rows = list(
        csv.DictReader(io.StringIO(reports.render("csv", verdict, facts, name), newline=""))
    )
    assert len(rows) == 1
    markdown_text = reports.render("markdown", verdict, facts, "/runs/x")
    assert not re.search(r"(?<!\\)<(script|img)", markdown_text)
