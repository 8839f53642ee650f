"""The report as a person opens it: from a file, offline, light and dark, on a phone, a tablet and
paper, with the pointer on a chart and with single nodes chosen.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from kit.histories import SECOND, fault
from kit.long_run import hour
from kit.searches import TRIES, attempt, facts
from kit.verdicts import FACTS, VERDICT, finding, full
from playwright.sync_api import expect, sync_playwright

from harness import reports
from harness.checks.verdict import Answer, Verdict
from harness.history.events import FaultChanged, RunEnded
from harness.history.history import PhaseWindow
from harness.history.plan import PhaseKind
from harness.reports import saturation

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("HARNESS_SCREENSHOTS")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
TABLET, PAPER = {"width": 768, "height": 1024}, {"width": 688, "height": 1017}  # A4 less margins
LONG = "an-unbroken-word-of-a-node-" * 6

# What sticks out of the page or of its own box, and texts of charts that leave their picture.
STICKS_OUT = """() => {
  const out = [], page = document.documentElement.clientWidth;
  const say = (one, why) => out.push(`${why}: ${one.tagName} ${one.textContent.slice(0, 40)}`);
  for (const one of document.querySelectorAll('body *')) {
    if (one.closest('svg') || one.closest('[hidden]') || !one.getClientRects().length) continue;
    const box = one.getBoundingClientRect();
    if (box.right > page + 1 || box.left < -1) say(one, 'outside the page');
    const style = getComputedStyle(one);
    const clips = style.overflowX !== 'visible' || style.textOverflow === 'ellipsis';
    if (clips && one.scrollWidth > one.clientWidth + 1) say(one, 'clipped');
    if (one.tagName === 'TD' && one.scrollWidth > one.clientWidth + 1) say(one, 'over its cell');
  }
  for (const text of document.querySelectorAll('svg text')) {
    if (text.closest('[hidden]') || !text.getClientRects().length) continue;
    const box = text.getBoundingClientRect();
    const frame = text.closest('svg').getBoundingClientRect();
    if (box.left < frame.left - 1 || box.right > frame.right + 1) say(text, 'outside its picture');
  }
  return out;
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(reports.render("html", VERDICT, FACTS, "/runs/x", full()))
    return path


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A page of long words and large numbers."""
    rows = (
        finding(LONG, Answer.FAIL, sentence=f"{LONG} {LONG}", measured="10,000,000 ms (n=10,000)"),
        finding("large", promised="< 10,000 msg/s", measured=f"123,456.7 at {LONG}"),
    )
    change = FaultChanged(
        verb="set", fault=LONG, does="cut", words=f"{LONG} {LONG}", set_ns=3 * 10**9
    )
    found = full()
    found = replace(found, events=(*found.events, change), nodes=(LONG, "node-1", "node-2"))
    path = tmp_path_factory.mktemp("crowded") / "report.html"
    facts = {**FACTS, "topology": LONG}
    path.write_text(reports.render("html", Verdict(findings=rows), facts, f"/runs/{LONG}", found))
    return path


@pytest.fixture
def opened(file):
    """Open it, or another file, with settings of the browser; every request but its own and every
    complaint fails the test.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        asked, said, own = [], [], set()

        def open_with(path=file, **settings):
            page = browser.new_page(**settings)
            page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            own.add(path.as_uri())
            page.goto(path.as_uri())
            return page

        yield open_with
        browser.close()
        assert set(asked) == own
        assert said == []


NODE_FAULTS = {
    "killed": "killed node",
    "crashed": "crashed machine",
    "stopped": "stopped node",
    "restarted": "restarted node",
    "paused": "paused node",
    "cpu 20 %": "slowed node",
    "fds 64": "limited node",
    "delay 50 ms": "delay",
    "cut": "cut",
}


@pytest.fixture(scope="module")
def chaotic(tmp_path_factory):
    """A page with a phase of each kind, and a second of each kind of node fault."""
    edges = [1, 3, 5, 9, 11]
    phases = tuple(
        PhaseWindow(name=f"the-{kind}", begin_ns=a * SECOND, end_ns=b * SECOND, kind=kind)
        for kind, (a, b) in zip(PhaseKind, pairwise(edges), strict=True)
    )
    events = []
    for number, does in enumerate(NODE_FAULTS):
        at = {"name": f"f{number}", "does": does, "nodes": (f"node-{number % 3}",)}
        events += [fault("set", 1 + number, **at), fault("clear", 2 + number, **at)]
    leaves = {"name": "waves node-1", "does": "killed", "nodes": ("node-1",)}
    leaves |= {"words": "churn of all: 1 leave a second, exponential sessions"}
    events += [fault("set", 6, **leaves), fault("clear", 8, **leaves), RunEnded()]
    path = tmp_path_factory.mktemp("chaotic") / "report.html"
    found = replace(full(), phases=phases, events=tuple(events))
    row = finding("converged", phase="the-converge")
    path.write_text(reports.render("html", Verdict(findings=(row,)), FACTS, "/runs/x", found))
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_kind_of_node_fault_and_of_phase_has_its_own_name_and_colour(opened, chaotic, theme):
    page = opened(chaotic, viewport=WIDE, color_scheme=theme)
    keys = page.locator("#bands .keys .key")
    assert set(keys.all_inner_texts()) == {*NODE_FAULTS.values(), "churn"}
    colour = "all => all.map(one => getComputedStyle(one, '::before').backgroundColor)"
    colours = keys.evaluate_all(colour)
    assert len(set(colours)) == len(colours)
    chart = page.locator("svg.chart").first
    grounds = "all => all.map(one => getComputedStyle(one).fill)"
    strips = chart.locator("rect.kind")
    assert len(set(strips.evaluate_all(grounds))) == len(PhaseKind)
    titles = strips.locator("title").evaluate_all("all => all.map(one => one.textContent)")
    assert titles == [f"the-{kind} ({kind})" for kind in PhaseKind]
    rows = page.locator("#phases tbody tr").all_inner_texts()
    assert [kind for kind, row in zip(PhaseKind, rows, strict=True) if f"({kind})" in row] == [
        *PhaseKind
    ]
    page.get_by_role("link", name="table").first.click()
    assert page.url.endswith("#phases")


@pytest.mark.parametrize("size", [PHONE, TABLET, WIDE])
def test_a_page_of_many_kinds_fits(opened, chaotic, size):
    assert opened(chaotic, viewport=size).evaluate(STICKS_OUT) == []


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_it_follows_the_systems_theme_and_can_be_told_otherwise(opened):
    light, dark = (
        opened(color_scheme="light", viewport=WIDE),
        opened(color_scheme="dark", viewport=WIDE),
    )
    colours = background(light), background(dark)
    assert colours[0] != colours[1]
    for page in (light, dark):
        page.locator("#theme").click()
    assert (background(light), background(dark)) == colours[::-1]


def test_a_printed_page_is_light_whatever_the_screen_was(opened):
    page = opened(color_scheme="dark", viewport=WIDE)
    page.locator("#theme").click()
    page.locator("#theme").click()
    page.emulate_media(media="print", color_scheme="dark")
    assert background(page) == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert max(map(int, ink[4:-1].split(","))) < 80


def test_the_verdict_comes_first_and_is_words_too(opened):
    page = opened(viewport=WIDE)
    assert page.locator(".total .answer").inner_text() == "FAIL"
    failed, not_asked = page.locator("p.why").all_inner_texts()
    assert failed.startswith("1 of 5 findings is FAIL")
    assert not_asked.startswith("1 row was not asked: ")
    assert page.locator("table.rows tbody .answer").all_inner_texts() == [
        "FAIL",
        "UNKNOWN",
        "PASS",
        "MEASURED",
        "NOT ASKED",
    ]
    assert (
        page.locator("table.rows").bounding_box()["y"]
        < page.locator("svg.chart").first.bounding_box()["y"]
    )


def test_the_pointer_shows_the_values_under_it(opened):
    page = opened(viewport=WIDE)
    chart = page.locator("#latency-private_message")
    chart.scroll_into_view_if_needed()
    box = chart.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 80)
    page.mouse.move(box["x"] + 61, box["y"] + 80)
    tip = chart.locator(".tip")
    expect(tip).to_be_visible()
    assert "p50: 2.00 ms" in tip.inner_text()
    inside, frame = tip.bounding_box(), chart.bounding_box()
    assert frame["x"] <= inside["x"]
    assert inside["x"] + inside["width"] <= frame["x"] + frame["width"] + 1
    assert frame["y"] <= inside["y"] <= frame["y"] + frame["height"]
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


@pytest.mark.parametrize("viewport", [PHONE, TABLET, WIDE], ids=["phone", "tablet", "wide"])
def test_nothing_sticks_out_or_is_cut(opened, crowded, viewport):
    page = opened(crowded, viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate(STICKS_OUT) == []
    if SHOTS:
        path = Path(SHOTS) / f"report-crowded-{viewport['width']}.png"
        page.screenshot(path=str(path), full_page=True)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_page_of_a_search_fits_and_can_be_read(opened, tmp_path, viewport):
    file = tmp_path / "saturation.html"
    file.write_text(saturation.render(facts([*TRIES, attempt(900, None, "FAIL")])))
    page = opened(file, viewport=viewport)
    assert page.evaluate(STICKS_OUT) == []
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 10  # in pixels of the screen
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/saturation-{viewport['width']}.png", full_page=True)


def test_nothing_is_cut_on_paper(opened, crowded):
    page = opened(crowded, viewport=PAPER)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    assert page.evaluate(STICKS_OUT) == []


def test_single_nodes_are_drawn_on_demand(opened):
    page = opened(viewport=WIDE)
    panel = page.locator("#single")
    expect(panel.locator("path.line")).to_have_count(3)
    panel.get_by_role("button", name="node-1 ×").click()
    expect(panel.locator("path.line")).to_have_count(2)
    panel.locator("#single-name").fill("node-1")
    panel.locator("#single-name").press("Enter")
    expect(panel.locator("path.line")).to_have_count(3)
    panel.locator("#single-name").fill("nobody")
    panel.locator("#single-name").press("Enter")
    expect(panel.locator("path.line")).to_have_count(3)
    assert not panel.locator("#single-name").evaluate("one => one.validity.valid")
    panel.locator("#single-what").select_option(label="File descriptors")
    panel.locator("figure").scroll_into_view_if_needed()
    box = panel.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    page.mouse.move(box["x"] + box["width"] / 2 + 1, box["y"] + 80)
    expect(panel.locator(".tip")).to_contain_text("node-2: 20.0")


def test_without_scripts_all_of_it_can_be_read(opened):
    page = opened(viewport=WIDE, java_script_enabled=False)
    assert page.locator("svg.chart path.line").count() >= 8
    assert "missed: 12 is not" in page.locator("table.rows").inner_text()
    assert page.locator("#single").is_hidden()
    assert "node-2 30 MB" in page.locator("#nodes").inner_text()


def test_a_thousand_nodes_and_an_hour_can_be_looked_at(opened, tmp_path):
    path = tmp_path / "report.html"
    facts = {**FACTS, "nodes": [{}] * 1000}
    path.write_text(reports.render("html", VERDICT, facts, "/runs/x", hour()))
    page = opened(path, viewport=WIDE)
    expect(page.locator("#single path.line")).to_have_count(10)
    assert page.locator("svg.topology circle.node").count() == 1000
    [timing] = page.evaluate(
        "performance.getEntriesByType('navigation').map((one) => one.toJSON())"
    )
    print(f"{path.stat().st_size:,} bytes, loaded after {timing['loadEventEnd']:.0f} ms")
