"""rust-libp2p on real namespaces: built on first use, and all four operations come true."""

from __future__ import annotations

import json

import pytest
from kit.desk import Desk
from kit.verdicts import answers

pytestmark = [pytest.mark.root, pytest.mark.cargo]
NODES = 5
SCENARIO = """
topology = "five.toml"
system = "libp2p"
budget = "own.toml"
[[phase]]
name = "warm"
kind = "warm-up"
duration_s = 6
STREAMS
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
OWN = """
source = "rust-libp2p's own numbers"
[[row]]
name = "mesh"
metric = 'gauge.gossipsub_mesh_peer_counts{supports_partial="false"}'
statistic = "min"
comparison = ">="
bound = 1
unit = "1"
phase = "load"
[[row]]
name = "counted"
metric = "rate.libp2p_gossipsub_messages_total"
statistic = "mean"
comparison = ">"
bound = 1
unit = "1/s"
phase = "load"
"""
OPERATIONS = ("private_message", "broadcast", "dht_put", "dht_get")
STREAMS = "".join(
    f'[[phase.stream]]\noperation = "{operation}"\nrate_per_s = 5\n' for operation in OPERATIONS
)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "libp2p")
    made.write("own.toml", OWN)
    made.write("five.toml", f"[nodes]\ncount = {NODES}\n[shape]\nkind = 'ring'\n")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


@pytest.mark.slow
def test_all_comes_true_and_a_node_that_was_killed_comes_back(desk):
    done = desk.harness(
        "run", str(desk.write("s.toml", SCENARIO.replace("STREAMS", STREAMS))), "--json"
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["findings"]
    wrong = {
        name: answer for name, answer in answers(found).items() if answer in ("FAIL", "UNKNOWN")
    }
    assert wrong == {}
    by_name = {finding["name"]: finding for finding in found}
    assert by_name["private messages: acknowledged and delivered"]["answer"] == "PASS"
    assert (
        by_name[f"broadcasts: in the journals of all {NODES - 1} other nodes"]["answer"] == "PASS"
    )
    assert by_name["register: no value that nobody wrote"]["answer"] == "PASS"
    assert by_name["converged"]["answer"] == "PASS"
    assert [by_name[row]["answer"] for row in ("mesh", "counted")] == ["PASS", "PASS"]
