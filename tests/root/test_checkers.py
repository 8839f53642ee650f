"""Checks that a scenario asks for, on real namespaces: from its file to the verdict, and once more
from the run folder alone.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from kit.desk import Desk

from harness.checks import isolation, register, vacuity
from harness.history import journal, manifest, reader
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

pytestmark = pytest.mark.root
SCENARIO = """
topology = "six.toml"
checks = ["isolation", "register", "mine:counted"]
[[phase]]
name = "before"
duration_s = 6
[[phase.stream]]
operation = "dht_put"
sources = ["node-1"]
rate_per_s = 10
count = 20
keys = 2
[[phase.stream]]
operation = "dht_get"
rate_per_s = 20
after_s = 3
keys = 2
[[phase]]
name = "cut"
duration_s = 6
[[phase.stream]]
operation = "private_message"
rate_per_s = 40
timeout_ms = 1000
[[phase.stream]]
operation = "broadcast"
rate_per_s = 2
[[phase.fault]]
name = "apart"
cut = "halves"
at_s = 1
for_s = 3
"""
MINE = """
from harness.checks.verdict import Answer, Finding

def counted(history):
    return [Finding(name="mine: counted", answer=Answer.PASS, promised="some",
                    measured=str(history.operations.num_rows), sentence="counted")]
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "checkers")
    (tmp_path / "own").mkdir()
    made.environment["PYTHONPATH"] = str(tmp_path / "own")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def found(desk, *argv):
    """The findings of a verdict by name."""
    done = desk.harness(*argv, "--json")
    assert done.stdout, done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_what_a_scenario_asks_for_is_judged_anywhere(desk):
    desk.write("six.toml", "[nodes]\ncount = 6\n[shape]\nkind = 'full-mesh'\n")
    desk.write("own/mine.py", MINE)
    desk.write("scenario.toml", SCENARIO)
    played = found(desk, "run", "scenario.toml")
    for name in (isolation.NAME, vacuity.MET, register.WRITTEN, register.FRESH, "mine: counted"):
        assert played[name]["answer"] == "PASS", played[name]
    run = (desk.runs / "latest").resolve()
    assert found(desk, "judge", str(run)) == played
    # Without the module on the path nobody says what it would have found.
    del desk.environment["PYTHONPATH"]
    alone = found(desk, "judge", str(run))
    assert alone["mine:counted"]["cause"] == "the checker broke"
    assert alone[isolation.NAME] == played[isolation.NAME]
    assert leaked(run)
    assert found(desk, "judge", str(run))[isolation.NAME]["answer"] == "FAIL"


def leaked(run):
    """Have a message that the cut held back stand in its target's journal, and say whether there
    was one.
    """
    history = reader.read(run)
    sent = {name: history.column(name) for name in ("operation", "outcome", "source", "target")}
    sides = next(event.sides for event in history.events if getattr(event, "sides", None))
    side = np.array([sides[name] for name in history.nodes])
    mine = np.flatnonzero(
        (sent["operation"] == Operation.PRIVATE_MESSAGE)
        & (sent["outcome"] != Outcome.OK)
        & (side[sent["source"]] != side[sent["target"]])
    )
    for at in mine.tolist():
        at_ns = int(history.column("sent_ns")[at]) + 1_000_000
        id_ = history.operations.column("id")[at].as_py()
        target = history.nodes[sent["target"][at]]
        peer = history.wire_ids[sent["source"][at]]
        with (run / "journal" / f"{target}.bin").open("ab") as file:
            file.write(journal.record(RecordKind.DELIVERED, id_, at_ns, peer))
    manifest.write(run)
    return len(mine) > 0
