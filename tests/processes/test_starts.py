"""What comes while a run begins: Ctrl-C, the end of its time, a worker that breaks. The run is
ended, or none was begun; and nobody is told that it passed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from kit.load import cluster, wait_until

FORM = {"user_count": "1", "spawn_rate": "1", "user_classes": "PrivateMessageUser"}


class Page:
    """The page of a Locust that was told to listen on this port."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, path: str, **form: str) -> dict:
        data = urlencode(form).encode() if form else None
        with urlopen(f"http://127.0.0.1:{self.port}/{path}", data) as answer:
            return json.load(answer)

    def start(self, **form: str) -> None:
        """Start a run, once a worker has connected."""
        wait_until(self.listens)
        wait_until(lambda: self.ask("swarm", **FORM, **form)["success"])


@pytest.mark.parametrize(
    ("processes", "by"), [("0", signal.SIGINT), ("2", signal.SIGINT), ("2", signal.SIGTERM)]
)
def test_a_run_that_was_beginning_is_ended_and_judged(processes, by):
    with (
        cluster(2, "--begin-ms", "1500") as fake,
        fake.locust(
            "--headless", "--processes", processes, "PrivateMessageUser", JUDGE_EXIT="2"
        ) as running,
    ):
        wait_until(lambda: fake.calls("asked"))
        os.kill(running.pid, by)
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 2, output
        assert "judged" in output
        assert [len(fake.calls(name)) for name in ("begin", "start", "end")] == [1, 1, 1]
        assert fake.calls("end")[0]["load"]["failures"] == []


def test_ctrl_c_of_a_terminal_reaches_workers_too_and_nothing_has_passed():
    """They end before the run begins, or while it does."""
    with (
        cluster(2, "--begin-ms", "1500") as fake,
        fake.locust("--headless", "--processes", "2", "PrivateMessageUser") as running,
    ):
        wait_until(lambda: fake.calls("asked"))
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 70, output
        assert "judged" not in output
        assert [len(fake.calls(name)) for name in ("begin", "start", "end")] == [1, 1, 1]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_time_that_is_over_before_the_load_is_that_of_the_load(processes):
    with cluster(2, "--begin-ms", "2000") as fake:
        code, output = fake.run("-t", "1s", "--processes", processes, "PrivateMessageUser")
        assert code == 0, output
        assert fake.calls("end")[0]["load"]["operations"]["private_message"]["ok"] == 100


def test_a_time_of_the_page_that_is_over_before_the_load_is_that_of_the_load():
    page = Page()
    with (
        cluster(2, "--begin-ms", "2000") as fake,
        fake.locust("--web-port", str(page.port)),
    ):
        page.start(run_time="1s")
        wait_until(lambda: fake.calls("end"))
        assert fake.calls("end")[0]["load"]["operations"]["private_message"]["ok"] == 100
        wait_until(lambda: page.ask("stats/requests")["state"] == "stopped")
        refused = page.ask("swarm", **FORM, run_time="0s")["message"]
        assert refused == "run_time: expected a time above 0, or none, found 0s"


def test_who_ends_before_any_run_has_not_passed():
    page = Page()
    with cluster(2) as fake, fake.locust("--web-port", str(page.port)) as running:
        wait_until(page.listens)
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 130, output


BROKEN = """
import gevent
from harness.load import stream
from harness.load.locust import plugin
from harness.load.locust.tabs.judge import LiveJudge
from harness.load.users import PrivateMessageUser
def take(self, now_ns, limit): raise RuntimeError("a bug")
def begin(self, run): gevent.sleep(3)
stream.TrafficStream.take = take
LiveJudge.begin = begin
plugin.install()
"""


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_worker_that_breaks_before_the_start_is_over_ends_the_run(processes):
    page = Page()
    options = ("--web-port", str(page.port), "--processes", processes)
    with cluster(2) as fake:
        (fake.folder / "broken.py").write_text(BROKEN)
        with fake.locust("-f", str(fake.folder / "broken.py"), *options):
            page.start()
            wait_until(lambda: fake.calls("end"))
            wait_until(lambda: page.ask("stats/requests")["state"] == "stopped")
            [said] = page.ask("p2p/view/banner")["banner"]
            why = "the load worker broke: RuntimeError: a bug"
            assert said["text"] == f"the run was cut short: {why}"
