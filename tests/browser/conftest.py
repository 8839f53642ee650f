"""A page of a real Chromium."""

from __future__ import annotations

import pytest
from kit.browser import FLAGS
from playwright.sync_api import expect, sync_playwright

expect.set_options(timeout=60_000)  # a busy host is slow


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        yield page
        browser.close()
