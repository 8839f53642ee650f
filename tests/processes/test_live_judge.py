"""The page's live judge is a process of its own: whatever it does, the run goes on and ends."""

from __future__ import annotations

import gevent
import pytest

from harness.load.locust.tabs import judge
from harness.load.locust.tabs.judge import LiveJudge

LOUD = "head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; echo too much >&2; exit 70"
DEAF = "trap '' TERM; echo '{\"is_final\": false, \"at_s\": 1}'; while :; do sleep 0.1; done"


def until(condition):
    with gevent.Timeout(30):
        while not condition():
            gevent.sleep(0.02)


@pytest.fixture
def begun(monkeypatch, tmp_path):
    def begin(script):
        monkeypatch.setattr(judge, "command", lambda _: ["sh", "-c", script])
        live = LiveJudge()
        live.begin(tmp_path)
        return live

    return begin


def test_more_words_than_a_pipe_holds_do_not_stop_it(begun):
    live = begun(LOUD)
    until(lambda: live.problem and "ended with" in live.problem)
    assert "ended with 70: too much" in live.problem
    live.end()


def test_one_that_will_not_end_is_killed(begun, monkeypatch):
    monkeypatch.setattr(judge, "END_S", 0.3)
    live = begun(DEAF)
    until(lambda: live.newest)
    with gevent.Timeout(30):
        live.end()


def test_one_that_is_killed_keeps_its_last_look_and_says_so(begun):
    live = begun('echo \'{"is_final": false, "at_s": 1}\'; kill -9 $$')
    until(lambda: live.problem)
    assert live.newest["at_s"] == 1
    assert "ended with -9" in live.problem
    live.end()
