"""A failure of a real cluster is made small by real runs, and what comes out fails when it is
played.
"""

from __future__ import annotations

import json
import os
import signal

import pytest
from kit.desk import Desk, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

ORIGINALS = ("by hand", "planned")  # whence the guilty fault came
IN_CI = ORIGINALS[:1]
TOPOLOGY = "[nodes]\ncount = 4\n[shape]\nkind = 'full-mesh'\n"
# Of four faults the last one breaks the promise, whatever the others do, and however busy the host.
SCENARIO = """
topology = "four.toml"
budget = "promises.toml"
[[phase]]
name = "load"
duration_s = 3
[[phase.stream]]
operation = "private_message"
rate_per_s = 40
timeout_ms = 500
[[phase.fault]]
where = "node-0 -> node-1"
delay = "2ms"
[[phase.fault]]
where = "node-1 -> node-2"
rate = "100mbit"
[[phase.fault]]
where = "node-2 <-> node-3"
delay = "5ms"
[[phase.fault]]
where = "node-3"
condition = "killed"
"""
BUDGET = """
[[row]]
name = "connected"
metric = "connections"
statistic = "min"
unit = "1"
comparison = ">="
bound = 3
phase = "load"
node = "node-0"
nodes = 4
[[row]]
name = "memory"
metric = "rss"
statistic = "max"
unit = "MB"
bound = 500
phase = "load"
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.write("four.toml", TOPOLOGY)
    made.write("promises.toml", BUDGET)
    try:
        run = made.harness("run", str(made.write("cut.toml", SCENARIO)), "--json")
        assert run.returncode == 1, (run.stdout, run.stderr)
        yield made
    finally:
        made.close()


@pytest.fixture
def run(desk):
    [found] = (desk.runs / "cut").glob("2*")
    return str(found)


@pytest.mark.parametrize("original", ORIGINALS if os.environ.get("HARNESS_SHRINKS") else IN_CI)
def test_the_guilty_fault_of_four_is_found(desk, run, original):
    """Five runs of the original, three of candidates, three of the result."""
    guilty = "load-4"
    if original == "by hand":
        run, guilty = by_hand(desk), "by-hand-1"
    bounds = ("--tries", "14", "--for", "60m")
    found = desk.harness("shrink", run, *bounds, "--out", "out.toml", "--json", timeout=None)
    assert found.returncode == 0, (found.stdout, found.stderr)
    facts = json.loads(found.stdout)
    assert facts["original"]["faults"] == 4
    assert facts["smallest"]["faults"] <= 2
    assert facts["verified"]
    assert facts["failed"] == [{"name": "connected", "phase": "load"}]
    assert facts["runs"] <= 14
    text = (desk.folder / "out.toml").read_text()
    assert f'name = "{guilty}"' in text
    assert 'condition = "killed"' in text
    assert "#   fault load-1: where node-0 -> node-1, delay 2ms" in text
    folder = desk.runs / "latest"
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert len([one for one in trials if "run" in one]) == facts["runs"]
    decided = [one for one in trials if one.get("pass") == "faults"]
    assert decided[0]["dropped"][0] == "fault load-1: where node-0 -> node-1, delay 2ms"
    # What was said of each run is there, and the record of the smallest one's last.
    own = sum(facts["smallest"][key] for key in ("fails", "passes", "unresolved"))
    assert len([*folder.glob("tries/*/case.toml")]) + own == facts["runs"]
    [record] = folder.glob("tries/*/*/*/metadata.json")
    verdicts = [*folder.glob("tries/*/verdict.json")]
    assert len(verdicts) == facts["runs"] - 1
    assert desk.harness("judge", str(record.parent)).returncode == 1
    assert desk.harness("run", "out.toml", "--runs", "again").returncode == 1
    desk.assert_nothing_left()


def by_hand(desk: Desk) -> str:
    """The folder of a run whose scenario keeps its promise, and breaks it because somebody kills a
    node meanwhile.
    """
    own = SCENARIO.rindex("[[phase.fault]]")
    harmless = SCENARIO[:own].replace("duration_s = 3", "duration_s = 6")
    desk.write("harmless.toml", harmless)
    played = desk.start("run", "harmless.toml", "--json")
    wait_for(lambda: desk.doing() == "phase load")
    desk.ok("fault", "set", "node-3", "--condition", "killed")
    said, errors = played.communicate()
    assert played.returncode == 1, (said, errors)
    [run] = (desk.runs / "harmless").glob("2*")
    return str(run)


def test_ctrl_c_ends_with_the_best_so_far_and_leaves_nothing(desk, run):
    shrink = desk.start("shrink", run, "--json", "--jobs", "2")
    wait_for(lambda: desk.supervisor() is not None)
    shrink.send_signal(signal.SIGINT)
    said, errors = shrink.communicate()
    assert shrink.returncode == 130, errors
    facts = json.loads(said)
    assert facts["interrupted"]
    assert not facts["verified"]
    assert facts["smallest"]["faults"] == 4
    desk.assert_nothing_left()


def test_one_that_is_killed_leaves_nothing(desk, run):
    shrink = desk.start("shrink", run)
    wait_for(lambda: any("locust" in line for line in desk.processes().values()))
    shrink.kill()
    shrink.wait()
    desk.assert_nothing_left()


def test_where_nothing_failed_there_is_nothing_to_shrink(desk, run):
    done = desk.harness("shrink", run, "--finding", "memory")
    assert done.returncode == 64
    assert "--finding: expected one of connected" in done.stderr
    done = desk.harness("shrink", run, "--for", "5s")
    assert done.returncode == 64
    assert "--for: expected at least 30 s" in done.stderr
    done = desk.harness("shrink", run, "--tries", "9")
    assert done.returncode == 64
    assert "--tries: expected at least 10" in done.stderr
