"""Locust's page on a laptop and on a phone: nothing that it says is cut off."""

from __future__ import annotations

import pytest
from kit.browser import free_port, listens
from kit.load import cluster, wait_until
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_nothing_of_the_page_is_cut_off_on_a_laptop_or_a_phone(page):
    port = free_port()
    with cluster() as fake, fake.locust("--web-port", str(port)):
        wait_until(lambda: listens(port))
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_text("Custom parameters").click()
        expect(page.locator(".p2p-help:visible", has_text="empty: not judged")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 1440, "height": 1000})
        expect(page.locator(".p2p-help:visible")).to_have_count(0)
        page.get_by_role("button", name="Start").click()
        last = page.get_by_role("tab", name="Delivery")
        expect(last).to_be_in_viewport(ratio=1)
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate("document.querySelector('.p2p-banner').textContent = 'word '.repeat(999)")
        assert page.evaluate("document.querySelector('.p2p-banner').clientHeight") < 844 / 2
        page.set_viewport_size({"width": 1440, "height": 1000})
        page.get_by_role("button", name="Stop", exact=True).click()
        wait_until(lambda: len(fake.calls("end")) == 1)
