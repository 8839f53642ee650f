"""A gate of real clusters, as a user has it."""

from __future__ import annotations

import json
import signal

import pytest
from kit.desk import Desk, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(300)]

SCENARIO = """
topology = "two.toml"
budget = "promises.toml"
[[phase]]
name = "load"
duration_s = 2
[[phase.stream]]
operation = "private_message"
rate_per_s = 20
"""
ROW = """
[[row]]
name = "{name}"
metric = "connections"
statistic = "min"
unit = "1"
comparison = ">="
bound = {bound}
phase = "load"
"""
DELIVERED = """
[[row]]
name = "delivered"
metric = "private_message.delivered"
statistic = "mean"
unit = "%"
comparison = ">="
bound = 100
phase = "load"
"""
GATE = """
[[criterion]]
name = "connected"
scenario = "load.toml"
rows = ["one", "delivered"]
[[criterion]]
name = "connected to nine"
scenario = "load.toml"
rows = ["nine"]
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("two.toml", "[nodes]\ncount = 2\n[shape]\nkind = 'full-mesh'\n")
    rows = [ROW.format(name=name, bound=bound) for name, bound in (("one", 1), ("nine", 9))]
    made.write("promises.toml", "".join([*rows, DELIVERED]))
    made.write("load.toml", SCENARIO)
    made.write("mine.toml", GATE)
    try:
        yield made
    finally:
        made.close()


def test_each_criterion_has_its_runs_and_its_answer(desk):
    done = desk.harness("gate", "mine.toml", "--json")
    assert done.returncode == 1, (done.stdout, done.stderr)
    found = json.loads(done.stdout)
    assert found["gate"] == "NOT MET"
    answers = {one["name"]: one["answer"] for one in found["findings"]}
    assert answers == {"connected": "PASS", "connected to nine": "FAIL"}
    assert "harness: connected: MET" in done.stderr
    again = json.loads(desk.harness("judge", "--json").stdout)
    assert [one["answer"] for one in again["findings"]] == ["PASS", "FAIL"]
    desk.assert_nothing_left()


def test_ctrl_c_keeps_what_was_judged_and_leaves_nothing(desk):
    gate = desk.start("gate", "mine.toml")
    runs = desk.runs / "load"
    wait_for(lambda: len(list(runs.glob("2*"))) == 2, 120)
    gate.send_signal(signal.SIGINT)
    _, errors = gate.communicate()
    assert gate.returncode == 130, errors
    found = json.loads(desk.harness("judge", "--json").stdout)
    assert [one["answer"] for one in found["findings"]] == ["PASS", "UNKNOWN"]
    desk.assert_nothing_left()
