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
import pytest
from kit.histories import SECOND, fault, history, operation
from kit.long_run import hour
from kit.verdicts import FACTS, VERDICT, finding, full

from harness import reports
from harness.checks.verdict import Answer, Verdict
from harness.history.events import FaultChanged, PhaseEnded, RunEnded
from harness.history.history import PhaseWindow
from harness.history.plan import PhaseKind, PhasePlan, Plan
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


def window(name, begin_s, end_s, kind=None, **more):
    return PhaseWindow(
        name=name, begin_ns=begin_s * SECOND, end_ns=end_s * SECOND, kind=kind, **more
    )


def test_phases_are_listed_with_what_they_are_for_and_what_ended_them():
    until = "coverage of the last second >= 100 %"
    phases = (
        window("warm", 1, 3, PhaseKind.WARM_UP),
        window("cut", 3, 6, PhaseKind.CHAOS),
        window("heal", 6, 9, PhaseKind.CONVERGE, until=until),
        window("rest", 9, 10),
    )
    planned = [
        PhasePlan(name=one.name, begin_ns=one.begin_ns, end_ns=one.end_ns, kind=one.kind)
        for one in phases
    ]
    planned[2] = replace(planned[2], until=until, at_most_s=40)
    planned[3] = replace(planned[3], end_ns=60 * SECOND)
    plan = Plan(t0_ns=SECOND, seed=1, phases=tuple(planned))
    events = (PhaseEnded(phase="heal", end_ns=9 * SECOND), fault("set", 3), RunEnded())
    operations = [operation(at) for at in (0, 2500, 5500)]
    found = history(operations, phases=phases, plan=plan, events=events)
    row = finding("converged", phase="heal")
    text = reports.render("html", Verdict(findings=(row,)), FACTS, "/runs/x", found)
    for said in (
        "safety; no row of the budget judges it",
        "safety, and the rows that name it",
        f"until {until.replace('>', '&gt;')}, at most 40 s: it held",
        "everything from when its condition held on; until then that",
        ">cut short<",
    ):
        assert said in text
    assert "2.0 – 5.0 s" in text
    assert '<a href="#phases">table</a>' in text
    for kind in ("warm-up", "chaos", "converge"):
        assert f'<rect class="phase k-{kind}"' in text
        assert f"--{kind}:" in text


NEAR = {
    "version": 1,
    "fidelity": 0.5,
    "parts": {
        "moments": {"score": None, "unknown": "nobody wrote it down"},
        "findings": {
            "score": 0.5,
            "of": 2,
            "changed": [{"name": NASTY, "phase": "", "original": "PASS", "replay": "FAIL"}],
        },
    },
    "differs": [["host.cores", "8", "2"]],
    "remarks": [],
}


def replayed(run="/runs/a/1", fork=None, **more):
    of = {"run": run, "name": "demo", "started": "2026-11-29T10:12:30"}
    facts = {**FACTS, "replay": {"of": of, "fork": fork}, **more}
    return reports.render("html", VERDICT, facts, "/runs/b/2", full())


def test_the_page_of_a_replay_says_how_near_it_came_and_leads_to_what_it_replays():
    text = replayed(fidelity=NEAR)
    page = Page(text)
    assert "Fidelity 0.5 of 1: the least of its parts" in text
    assert "1 of 2 have the same answer" in text
    assert "nobody wrote it down" in text
    assert "host.cores: 8 → 2" in text
    assert {"../../a/1/report.html", "fidelity.json"} <= set(page.links)
    assert "img" not in page.tags
    assert "/runs/demo.run.tar.gz" not in page.links
    assert "../../demo.run.tar.gz" in Page(replayed("/runs/demo.run.tar.gz")).links


@pytest.mark.parametrize(
    "found", [None, {}, {"fidelity": 1, "parts": {"moments": 3}}, {"parts": 1}]
)
def test_how_near_a_replay_came_is_not_known_where_nobody_wrote_it(found):
    assert "How near it came is not known" in replayed(fidelity=found)


def test_a_fork_is_not_compared():
    text = replayed(fork="rate x2")
    assert "One thing was changed: rate x2. So it is not compared" in text
    assert "not known" not in text


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
