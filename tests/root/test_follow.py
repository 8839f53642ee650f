"""`judge --follow` beside a real run: looks while it is played, then the verdict of `judge`."""

from __future__ import annotations

import json
import os
import signal

import pytest
from kit.desk import TEN, Desk, small_scenario, wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("ten.toml", TEN)
    yield made
    made.close()


def looks(said: str) -> list[dict]:
    return [json.loads(line) for line in said.splitlines()]


def begun(desk: Desk) -> None:
    wait_for((desk.folder / "runs" / "latest" / "metadata.json").is_file)


def test_looks_then_the_final_verdict(desk):
    run = desk.start("run", str(small_scenario(desk, 12)), "--json")
    begun(desk)
    followed = desk.harness("judge", "runs", "--follow", "--json", "--every", "0.5")
    said, _ = run.communicate()
    *before, last = looks(followed.stdout)
    final = json.loads(said)
    assert last["is_final"]
    assert last["verdict"] == final
    assert last["in_flight"] == 0
    assert followed.returncode == run.returncode == final["exit_code"]
    assert len(before) >= 2
    assert not any(one["is_final"] for one in before)
    assert [one["at_s"] for one in before] == sorted(one["at_s"] for one in before)
    passed = {one["name"] for one in final["findings"] if one["answer"] == "PASS"}
    for one in before:
        findings = one["verdict"]["findings"]
        assert {"delivered", "coverage", "found", "memory"} <= {row["name"] for row in findings}
        failed = {finding["name"] for finding in findings if finding["answer"] == "FAIL"}
        assert not failed & passed


def test_a_supervisor_that_dies_is_said_and_what_is_there_is_judged(desk):
    run = desk.start("run", str(small_scenario(desk, 60)), "--json")
    begun(desk)
    follow = desk.start("judge", "runs", "--follow", "--json", "--every", "0.5")
    assert json.loads(follow.stdout.readline())["is_final"] is False
    os.kill(desk.supervisor(), signal.SIGKILL)
    said, errors = follow.communicate()
    last = looks(said)[-1]
    assert last["is_final"]
    assert last["verdict"]["answer"] == "UNKNOWN"
    assert follow.returncode == 2
    assert "nobody closed it" in errors
    run.wait()
    desk.harness("doctor")


def test_ctrl_c_ends_it_quietly(desk):
    desk.start("run", str(small_scenario(desk, 30)), "--json")
    begun(desk)
    follow = desk.start("judge", "runs", "--follow", "--json", "--every", "0.5")
    assert json.loads(follow.stdout.readline())["is_final"] is False
    follow.send_signal(signal.SIGINT)
    _, errors = follow.communicate()
    assert follow.returncode == 130
    assert errors == ""
