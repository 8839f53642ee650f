"""A scenario that was written for another system, on real namespaces: what is sent, and what the
run's folder keeps of what was not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.desk import Desk

from harness.experiments import original
from harness.history import reader
from harness.operations import Operation

pytestmark = [pytest.mark.root, pytest.mark.systems]
NODES = "[nodes]\ncount = 3\noptions = { fanout = 2 }\n[shape]\nkind = 'ring'\n"
STREAM = '[[phase.stream]]\noperation = "{word}"\nrate_per_s = 5\npayload_bytes = 64\n'
ROW = (
    '[[row]]\nname = "{word}"\nmetric = "{word}.{metric}"\nstatistic = "mean"\n'
    'comparison = ">="\nbound = 0\nunit = "%"\nphase = "load"\n'
)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "part")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def test_serf_is_asked_for_its_part_of_a_scenario(desk):
    streams = "".join(STREAM.format(word=word) for word in ("broadcast", "dht_put"))
    desk.write("three.toml", NODES)
    rows = {"broadcast": "coverage", "dht_put": "stored"}
    desk.write("b.toml", "".join(ROW.format(word=w, metric=m) for w, m in rows.items()))
    text = 'topology = "three.toml"\nbudget = "b.toml"\n[[phase]]\nname = "load"\nduration_s = 3\n'
    file = str(desk.write("part.toml", text + streams))
    done = desk.harness("run", file, "--system", "serf", "--json")
    said = json.loads(done.stdout)
    found = {one["name"]: one for one in said["findings"]}
    assert found["dht_put"]["answer"] == "NOT ASKED"
    assert found["dht_put"]["sentence"] == "serf has no dht_put"
    assert found["nodes: option fanout"]["answer"] == "NOT ASKED"
    assert said["rows"]["not_asked"] == 1
    run = Path(said["run"])
    sent = set(reader.read(run).column("operation").tolist())
    assert sent == {int(Operation.BROADCAST)}
    kept = original.read(run).workload
    assert kept.other_system is not None
    assert (kept.other_system.words, kept.left_out) == (("dht_put",), ("dht_put",))
    assert "fanout" not in (run / "topology.json").read_text()
    assert "3 serf nodes" in (run / "summary.txt").read_text()
