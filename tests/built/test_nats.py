"""NATS on real namespaces: built on first use; all comes true, and what a kill loses is counted."""

from __future__ import annotations

import json

import pytest
from kit.desk import Desk
from kit.verdicts import answers

pytestmark = [pytest.mark.root, pytest.mark.nats]
NODES = 5
SCENARIO = """
topology = "five.toml"
system = "nats"
[[phase]]
name = "load"
duration_s = 5
STREAMS
[[phase]]
name = "kill"
kind = "chaos"
duration_s = 6
STREAMS
[[phase.fault]]
where = "node-4"
condition = "killed"
at_s = 1
for_s = 2
[[phase]]
name = "returned"
kind = "converge"
until = "coverage of the last second >= 100 %"
at_most_s = 40
STREAMS
"""
STREAMS = "".join(
    f'[[phase.stream]]\noperation = "{operation}"\nrate_per_s = 20\n'
    for operation in ("private_message", "broadcast")
)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "nats")
    made.write("five.toml", f"[nodes]\ncount = {NODES}\n[shape]\nkind = 'ring'\n")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


@pytest.mark.slow
def test_all_comes_true_and_a_server_that_was_killed_comes_back(desk):
    done = desk.harness(
        "run", str(desk.write("s.toml", SCENARIO.replace("STREAMS", STREAMS))), "--json"
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["findings"]
    wrong = {
        name: answer for name, answer in answers(found).items() if answer in ("FAIL", "UNKNOWN")
    }
    assert wrong == {}
    by_name = {finding["name"]: finding["answer"] for finding in found}
    assert by_name["converged"] == "PASS"
    # At most once: what was lost around the kill would be counted, and no FAIL.
    for ledger in (
        "private messages: acknowledged and delivered",
        f"broadcasts: in the journals of all {NODES - 1} other nodes",
    ):
        assert by_name[ledger] in ("PASS", "MEASURED")
