"""The report as a person opens it: from a file, offline, light and dark, on a phone, with the
pointer on a chart.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kit.verdicts import FACTS, VERDICT, full
from playwright.sync_api import expect, sync_playwright

from harness import reports

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("HARNESS_SCREENSHOTS")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(reports.render("html", VERDICT, FACTS, "/runs/x", full()))
    return path


@pytest.fixture
def opened(file):
    """Open it with settings of the browser; every request but its own and every complaint fails the
    test.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        asked, said = [], []

        def open_with(**settings):
            page = browser.new_page(**settings)
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(file.as_uri())
            return page

        yield open_with
        browser.close()
        assert set(asked) == {file.as_uri()}
        assert said == []


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


def test_the_verdict_comes_first_and_is_words_too(opened):
    page = opened(viewport=WIDE)
    assert page.locator(".total .answer").inner_text() == "FAIL"
    assert page.locator("table.rows tbody .answer").all_inner_texts() == [
        "FAIL",
        "UNKNOWN",
        "PASS",
        "MEASURED",
    ]
    assert (
        page.locator("table.rows").bounding_box()["y"]
        < page.locator("svg.chart").first.bounding_box()["y"]
    )


def test_the_pointer_shows_the_values_under_it(opened):
    page = opened(viewport=WIDE)
    chart = page.locator("figure", has_text="Latency of private_message")
    box = chart.locator("svg").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 80)
    tip = chart.locator(".tip")
    expect(tip).to_be_visible()
    assert "p50: 2.00 ms" in tip.inner_text()
    inside, frame = tip.bounding_box(), chart.bounding_box()
    assert frame["x"] <= inside["x"]
    assert inside["x"] + inside["width"] <= frame["x"] + frame["width"] + 1
    assert frame["y"] <= inside["y"] <= frame["y"] + frame["height"]
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


def test_a_phone_scrolls_in_one_direction_only(opened):
    page = opened(viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "report-phone.png"), full_page=True)


def test_without_scripts_all_of_it_can_be_read(opened):
    page = opened(viewport=WIDE, java_script_enabled=False)
    assert page.locator("svg.chart path.line").count() >= 8
    assert "missed: 12 is not" in page.locator("table.rows").inner_text()
