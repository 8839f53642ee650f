"""The page: it has the numbers of its run, leads from findings to charts and back, becomes nobody's
markup, and stays small.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from kit.histories import SECOND, history, operation
from kit.long_run import hour
from kit.verdicts import FACTS, VERDICT, finding, full

from harness import reports
from harness.checks.verdict import Answer, Verdict
from harness.history.events import FaultChanged, RunEnded
from harness.operations import Outcome
from harness.reports.suite_part import SuitePart

NASTY = "</script><img src=x onerror=alert(1)>\"'<b>"


class Page(HTMLParser):
    """What a browser would build: tags, links, anchors, and the JSON of charts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.anchors, self.sources = [], [], [], []
        self.feed(text)
        found = re.findall(r"<script type='application/json'[^>]*>(.*?)</script>", text)
        self.charts = [json.loads(one) for one in found]

    def handle_starttag(self, tag, attributes):
        of = dict(attributes)
        self.tags.append(tag)
        self.links += [of["href"]] if "href" in of else []
        self.anchors += [of["id"]] if "id" in of else []
        self.sources += [of[key] for key in ("src", "srcset", "action") if key in of]


def render(verdict=VERDICT, facts=FACTS, what=None, **more):
    return Page(reports.render("html", verdict, facts, "/runs/x", what, **more))


def test_a_page_has_the_numbers_of_its_run():
    page = render(what=full())
    latency = next(
        each
        for each in page.charts
        if [line["name"] for line in each.get("lines", ())][:1] == ["p50"]
    )
    assert {value for value in latency["lines"][0]["values"] if value is not None} == {2.0}
    memory = next(each for each in page.charts if each.get("unit") == "MB" and "lines" in each)
    assert memory["lines"][1]["values"][0] == 20
    assert memory["lines"][2]["values"][0] == 30


def test_it_asks_the_network_for_nothing():
    text = reports.render("html", VERDICT, FACTS, "/runs/x", full())
    page = Page(text)
    assert page.sources == []
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", text)
    assert "default-src 'none'" in text
    for link in page.links:
        assert re.fullmatch(r"#[\w-]+|[\w./-]+", link), link
        assert not link.startswith(("/", "."))


def test_a_finding_leads_to_its_chart_and_the_chart_back():
    row = finding("quick", metric="private_message.end_to_end", statistic="p99", unit="ms", bound=5)
    text = reports.render("html", Verdict(findings=(row,)), FACTS, "/runs/x", full())
    page = Page(text)
    assert len(page.anchors) == len(set(page.anchors))
    for link in page.links:
        assert not link.startswith("#") or link[1:] in page.anchors, link
    assert "#latency-private_message" in page.links
    assert "#f1" in page.links
    assert {"load/", "journal/"} <= set(page.links)
    assert 'class="bound"' in text


def test_a_finding_without_a_chart_leads_nowhere():
    row = finding("rare", metric="dht_get.response", statistic="p99", unit="ms", bound=5)
    page = render(Verdict(findings=(row,)), what=full())
    assert "#latency-dht_get" not in page.links


def test_nothing_that_a_run_says_becomes_markup():
    change = FaultChanged(
        verb="set", fault=NASTY, does=NASTY, words=NASTY, set_ns=2 * SECOND, at_ns=2 * SECOND
    )
    found = history(
        [operation(1, outcome=int(Outcome.FAILED), error=NASTY)],
        nodes=3,
        events=(change,),
        links=frozenset({(0, 1)}),
    )
    found = replace(found, nodes=(NASTY, f"{NASTY}2", f"{NASTY}3"))
    facts = {**FACTS, "name": NASTY, "nodes": [{"region": NASTY}] * 3, "runtime": {"name": NASTY}}
    row = finding(NASTY, Answer.FAIL, phase=NASTY, measured=NASTY, sentence=NASTY, source=NASTY)
    page = render(Verdict(findings=(row,)), facts, found)
    assert not {"img", "b>"} & set(page.tags)
    plain = render(what=found)
    assert page.tags.count("script") == plain.tags.count("script")


def test_a_run_that_is_too_long_for_charts_says_so_and_has_its_tables():
    found = history([operation(1)], seconds=10**9)
    text = reports.render("html", VERDICT, FACTS, "/runs/x", found)
    assert "is too long for them" in text
    assert "private_message" in text
    assert not Page(text).charts


def test_a_suite_has_a_part_of_the_page_for_each_run():
    row = finding(
        "quick",
        Answer.FAIL,
        metric="private_message.end_to_end",
        statistic="p99",
        unit="ms",
        bound=5,
    )
    part = SuitePart(
        name="one", folder="../one/run", verdict=Verdict(findings=(row,)), history=full()
    )
    whole = Verdict(findings=(finding("quick", Answer.FAIL, phase="one/load", metric=row.metric),))
    page = render(whole, parts=[part])
    assert {"part-one", "part-one-latency-private_message"} <= set(page.anchors)
    assert {"#part-one", "#part-one-latency-private_message"} <= set(page.links)
    assert "../one/run/report.html" in page.links
    assert len(page.anchors) == len(set(page.anchors))


def test_the_series_of_a_node_come_back_as_they_were():
    page = render(what=full())
    [single] = [each for each in page.charts if "series" in each]
    memory = next(each for each in single["series"] if each["title"] == "Resident memory")
    raw = np.frombuffer(base64.b64decode(memory["low"]), "<u2").reshape(3, -1)
    assert np.allclose((memory["least"] + raw * memory["step"])[:, 0], [10, 20, 30], rtol=1e-4)
    assert memory["worst"] == [2, 1, 0]


def test_the_page_of_a_thousand_nodes_and_an_hour_is_below_five_megabytes():
    """With a fault that came and went 900 times: each was a band in every chart."""
    verbs = enumerate(["set", "clear"] * 900)
    flaps = [
        FaultChanged(verb=verb, fault="load-1", does="loss 1 %", set_ns=(1 + 2 * at) * SECOND)
        for at, verb in verbs
    ]
    found = replace(hour(), events=(*flaps, RunEnded()))
    text = reports.render("html", VERDICT, {**FACTS, "nodes": [{}] * 1000}, "/runs/x", found)
    assert len(text.encode()) < 5_000_000
    assert text.count("<span>loss 1 %</span>") == 1
    assert "load-1 (900 times, 1,800 s)" in text
    assert "Drawn: the lowest and the highest value of each 30 s" in text
    assert "Drawn: the mean of each 15 s" in text
