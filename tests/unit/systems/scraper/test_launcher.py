"""The scraper asks while a run lasts, and a run hears of it where it ends before that."""

from __future__ import annotations

import os
import queue
import time

import pytest

from harness.runtimes.runtime import Place
from harness.systems.adapter import MetricsPage
from harness.systems.scraper.launcher import ENDED, Scraper
from harness.topology.topology import Node

WAIT_S = 120


@pytest.fixture
def scraper(tmp_path):
    """Of one node, in the network of the test, where nobody listens at that port."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    place = Place(
        node=Node(name="a"), index=0, address="127.0.0.1", directory=tmp_path, namespace=namespace
    )
    made = Scraper(MetricsPage(url="http://{address}:1/metrics"), [place], tmp_path / "log")
    yield made
    made.close()
    os.close(namespace)
    assert (tmp_path / "log").read_text() == ""


def test_it_asks_from_begin_to_end(scraper):
    heard: queue.Queue[dict] = queue.Queue()
    for _ in range(2):
        scraper.begin(time.monotonic_ns(), heard.put, pytest.fail)
        said = [heard.get(timeout=WAIT_S) for _ in range(2)]
        assert [one["node"] for one in said] == [0, 0]
        assert all(one["error"] and not one["series"] for one in said)
        assert said[1]["at_ns"] > said[0]["at_ns"]
        scraper.end()
        while not heard.empty():
            heard.get()
        time.sleep(1.2)
        assert heard.empty()


def test_a_run_hears_of_a_scraper_that_ended_and_so_does_the_next(scraper, monkeypatch):
    """Also where it cannot be reaped yet: then nobody was told, and all seemed well."""
    heard: queue.Queue[dict] = queue.Queue()
    failed: queue.Queue[str] = queue.Queue()
    scraper.begin(time.monotonic_ns(), heard.put, failed.put)
    heard.get(timeout=WAIT_S)
    os.kill(scraper.pid, 9)
    assert failed.get(timeout=WAIT_S) == ENDED
    scraper.end()
    monkeypatch.setattr(scraper._process, "poll", lambda: None)
    scraper.begin(time.monotonic_ns(), heard.put, failed.put)
    assert failed.get(timeout=WAIT_S) == ENDED
    scraper.end()
    assert failed.empty()


def test_what_cannot_be_kept_is_told_once(scraper):
    failed: queue.Queue[str] = queue.Queue()

    def full(_):
        raise OSError("no space left")

    scraper.begin(time.monotonic_ns(), full, failed.put)
    assert failed.get(timeout=WAIT_S) == "metrics of nodes: OSError: no space left"
    time.sleep(1.2)
    scraper.end()
    assert failed.empty()
