"""What each kind of report is good for, by a command file alone: values stored and answered, and
connections, are in the journal of another node; and nodes of which one is not are named. The same
of operations of the system's own, by the ledger that each says.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from kit.desk import ROOT, Desk
from kit.verdicts import answers

from harness.experiments import judge
from harness.history import reader
from harness.operations import Operation

pytestmark = pytest.mark.root
KEEPER = ROOT / "tests" / "systems" / "keeper"
SCENARIO = """
topology = "few.toml"
system = "keeper.toml"
budget = "budget.toml"
[[phase]]
name = "load"
duration_s = 2
"""
STREAM = """
[[phase.stream]]
operation = "{word}"
rate_per_s = 20
payload_bytes = 64
timeout_ms = {timeout_ms}
"""
LEDGERS = {
    "dht_put": "DHT puts: stored at another node",
    "dht_get": "DHT gets: answered by another node",
    "connect": "connections: authenticated by the peer",
}
OWN = {
    "tell": "tell: acknowledged and delivered",
    "shout": "shout: in the journals of all {others} other nodes",
    "keep": "keep: stored at another node",
    "fetch": "fetch: answered by another node",  # the last one: see `played`
}
ALONE = "tally"  # of its own, and without a ledger
BUDGET = """
[[row]]
name = "a word is told in time"
metric = "tell.latency"
statistic = "p50"
unit = "ms"
bound = 900
phase = "load"
[[row]]
name = "every word is told"
metric = "tell.delivered"
statistic = "mean"
unit = "%"
bound = 100
comparison = ">="
phase = "load"
[[row]]
name = "everybody counts"
metric = "tally.done"
statistic = "mean"
unit = "%"
bound = 100
comparison = ">="
phase = "load"
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "kinds")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def played(desk: Desk, lies: dict[str, str]) -> dict[str, dict]:
    """The findings of a run whose nodes tell these lies ("none": none), by name."""
    for file in KEEPER.glob("keeper.*"):
        shutil.copy(file, desk.folder)
    file, told = Path(desk.folder, "keeper.toml"), ",".join(f"{at}={lies[at]}" for at in lies)
    file.write_text(file.read_text().replace('"", "{name}"', f'"{told}", "{{name}}"'))
    nodes = "".join(f"[[node]]\nname = '{name}'\n" for name in lies)
    desk.write("few.toml", f"{nodes}[shape]\nkind = 'full-mesh'\n")
    desk.write("budget.toml", BUDGET)
    # What a liar never answers is given up soon; what comes late on a busy host is waited for.
    timeout_ms = 9_000 if set(lies.values()) == {"none"} else 1_000
    words = (*LEDGERS, ALONE, *OWN)
    streams = "".join(STREAM.format(word=word, timeout_ms=timeout_ms) for word in words)
    streams += "after_s = 1.0\n"  # of the last, which reads what others have kept by then
    done = desk.harness("run", str(desk.write("load.toml", SCENARIO + streams)), "--json")
    assert done.stdout.startswith("{"), done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["findings"]}


def errors(desk: Desk, word: str) -> set[str]:
    """What is recorded of this operation's failures in the last run."""
    history = reader.read((desk.runs / "latest").resolve())
    mine = pa.array(history.column("operation") == Operation[word.upper()])
    return set(history.operations.filter(mine).column("error").drop_null().to_pylist())


def test_what_other_nodes_report_is_what_the_ledgers_count(desk):
    found = played(desk, dict.fromkeys(["node-a", "node-b", "node-c"], "none"))
    for word, name in (LEDGERS | OWN).items():
        mine = found[name.format(others=2)]
        assert mine["answer"] == "PASS", mine
        count, of = mine["measured"].split(" of ")
        assert (count, int(of) > 10) == (of, True), (word, mine)
    for word in (*OWN, ALONE):
        assert found[f"operations that came true: {word}"]["answer"] == "PASS"
    rows = {name: one["answer"] for name, one in found.items() if one["metric"]}
    assert rows.pop("a word is told in time") in ("PASS", "UNKNOWN")  # others may have the host
    assert rows == {"every word is told": "PASS", "everybody counts": "PASS"}
    # Anywhere else, where nobody knows the system.
    Path(desk.folder, "keeper.toml").unlink()
    again = judge.judge((desk.runs / "latest").resolve(), write=False).verdict
    read = [{"name": one.name, "answer": str(one.answer)} for one in again.findings]
    assert answers(read) == answers(found.values())


def test_what_only_the_sender_says_is_not_believed(desk):
    lies = {"honest": "none", "hoarder": "hoards", "inventor": "invents", "deaf": "ignores"}
    found = played(desk, lies)
    for name in (LEDGERS["dht_put"], OWN["keep"]):
        puts = found[name]
        assert (puts["answer"], "stored at no other node" in puts["measured"]) == ("FAIL", True)
    assert found[OWN["tell"]]["answer"] == "FAIL", found[OWN["tell"]]
    told = found[OWN["shout"].format(others=3)]
    assert told["answer"] == "FAIL", told
    for word in ("dht_get", "connect"):
        assert "deaf has not told of it within 1,000 ms" in errors(desk, word)
        assert found[f"operations that came true: {word}"]["answer"] == "UNKNOWN"
        assert found[LEDGERS[word]]["answer"] == "PASS", found[LEDGERS[word]]
