"""Locust's web UI as a person sees it, in Chromium: the form, the table with values below a
millisecond, the tab.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from kit.load import cluster, wait_until
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.browser
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = os.environ.get("HARNESS_SCREENSHOTS")


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        yield page
        browser.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def shoot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_from_the_form_to_the_delivery_tab_and_a_second_run(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.get_by_text("PrivateMessageUser", exact=True)).to_be_visible()
        expect(page.get_by_text("DhtLookupUser", exact=True)).to_be_visible()
        page.get_by_text("Custom parameters").click()
        rate = page.locator("input[name=privateMessageRate]")
        expect(rate).to_have_value("100")
        for name in (
            "broadcastRate",
            "dhtPutRate",
            "dhtGetRate",
            "dhtLookupRate",
            "payloadBytes",
            "seed",
            "budget",
            "runs",
        ):
            expect(page.locator(f"input[name={name}]")).to_be_visible()
        expect(page.locator("select[name=arrivals]")).to_have_value("uniform")
        rate.fill("300")
        shoot(page, "form")
        page.get_by_role("button", name="Start").click()
        row = page.locator("tr", has_text="private_message").first
        expect(row).to_be_visible(timeout=20_000)
        wait_until(lambda: re.fullmatch(r"0\.\d+", row.locator("td").nth(4).inner_text()))
        shoot(page, "table")
        page.get_by_role("tab", name="Delivery").click()
        delivered = page.locator(".p2p-panel tr", has_text="private_message").first
        expect(delivered).to_be_visible()
        wait_until(lambda: re.fullmatch(r"[\d.]+ .?s", delivered.locator("td").nth(8).inner_text()))
        shoot(page, "delivery")
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: len(fake.calls("end")) == 1)
        [start] = fake.calls("start")
        assert {stream["rate_per_s"] for stream in start["load"]["streams"]} == {300, 2, 10}
        page.get_by_role("button", name="New").click(timeout=20_000)
        page.get_by_role("button", name="Start").click()
        wait_until(lambda: len(fake.calls("begin")) == 2)


def test_a_value_that_cannot_be_is_refused_on_the_form_and_nothing_begins(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("Custom parameters").click()
        page.locator("input[name=privateMessageRate]").fill("-3")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("expected above 0 and at most 1,000,000, found -3")).to_be_visible()
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()


def test_a_page_of_another_site_can_change_nothing(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        for path in ("/p2p/do/heal", "/swarm"):
            answer = page.request.post(
                f"http://127.0.0.1:{port}{path}",
                headers={"Origin": "http://other.example"},
                data={},
            )
            assert answer.status == 403
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()
