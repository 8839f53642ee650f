"""Systems that nobody here wrote, on real namespaces, from start to verdict.

They are OpenDHT, Serf, and programs that know nothing of the harness, by a command file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from kit.desk import ROOT, Desk, ask, begin_by_hand, request, wait_for
from kit.verdicts import answers

from harness.checks import records
from harness.control.client import Client
from harness.history import reader
from harness.operations import Operation, Outcome
from harness.operations.operation import key_of
from harness.operations.records import RecordKind

pytestmark = [pytest.mark.root, pytest.mark.systems]
TINY = ROOT / "tests" / "systems" / "tiny"
WITHOUT_BUDGET = {"budget": "MEASURED", "nodes: alive throughout": "PASS"}
NODES = 8
TOPOLOGY = f"[nodes]\ncount = {NODES}\n[shape]\nkind = 'ring'\n"
LOAD = """
topology = "eight.toml"
system = "{system}"
[[phase]]
name = "load"
duration_s = {seconds}
"""
STREAM = """
[[phase.stream]]
operation = "{operation}"
rate_per_s = 5
payload_bytes = 64
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "systems")
    made.write("eight.toml", TOPOLOGY)
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def played(desk: Desk, system: str, *operations: str, seconds: int = 4) -> dict[str, dict]:
    """A verdict's findings by name, of a short run with these streams."""
    text = LOAD.format(system=system, seconds=seconds) + "".join(
        STREAM.format(operation=each) for each in operations
    )
    done = desk.harness(
        "run",
        str(desk.write("scenario.toml", text + "[[phase]]\nname = 'settle'\nduration_s = 2\n")),
        "--json",
    )
    assert done.stdout, done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


SOUND = {"budget": "MEASURED", "nodes: alive throughout": "PASS"}  # of a run without a budget


def came_true(*operations: str) -> dict[str, str]:
    return {f"operations that came true: {each}": "PASS" for each in operations}


def test_opendht_is_driven_with_put_get_and_listen(desk):
    found = played(desk, "opendht", "dht_put", "dht_get", "dht_listen")
    assert answers(found.values()) == {
        **SOUND,
        **came_true("dht_put", "dht_get", "dht_listen"),
        "DHT puts: stored at another node": "MEASURED",
        "DHT gets: answered by another node": "MEASURED",
        "DHT listeners: told of the values put for them": "PASS",
        "load: dht_put": "PASS",
        "load: dht_get": "PASS",
        "register: no value that nobody wrote": "PASS",
        "load: dht_listen": "PASS",
    }
    assert "does not say which node" in found["DHT gets: answered by another node"]["sentence"]
    history = reader.read(desk.runs / "latest")
    wrong = history.column("outcome") != Outcome.OK
    assert not wrong.any(), [
        (Operation(kind).word, error)
        for kind, error in zip(
            history.column("operation")[wrong],
            history.operations.column("error").filter(wrong).to_pylist(),
            strict=True,
        )
    ]
    listened = history.column("operation") == Operation.DHT_LISTEN
    told = history.journal[history.journal["kind"] == RecordKind.NOTIFIED]
    # Each at its own listener, once.
    assert sorted(told["node"].tolist()) == sorted(history.column("target")[listened].tolist())
    assert history.gauges["load", 0, "good"] >= 1


def test_opendht_tells_of_a_value_once_though_its_listener_began_again(desk, monkeypatch):
    """A node that listens again is told what is stored: "delivered more than once", FAIL."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    desk.ok("up", "eight.toml", "--system", "opendht")
    nodes = desk.status()["nodes"]
    target = bytes.fromhex(nodes[1]["wire_id"])

    def put(number: int) -> bytes:
        sent = request(number, Operation.DHT_LISTEN, target, number.to_bytes(16, "big"))
        [(id_, answer)] = ask(nodes[4]["control"], [sent]).items()
        assert answer.outcome is Outcome.OK, answer.error
        return id_

    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, desk.runs)
        before = put(1)
        desk.ok("condition", "node-1", "stopped")
        desk.ok("condition", "node-1", "running")
        after = put(2)
        time.sleep(3)  # a new listen asks around for what is stored
        run = Path(client.end()["run"])
    journal = (run / "journal" / "node-1.bin").read_bytes()
    assert [journal.count(id_) for id_ in (before, after)] == [1, 1]


def test_what_a_system_cannot_do_is_said_before_anything_starts(desk):
    text = LOAD.format(system="opendht", seconds=5) + STREAM.format(operation="private_message")
    done = desk.harness("run", str(desk.write("scenario.toml", text)))
    assert done.returncode == 64
    assert "opendht has no private_message; it can do dht_get, dht_listen, dht_put" in done.stderr
    desk.write("odd.toml", TOPOLOGY.replace("count = 8", "count = 8\noptions = { fanout = 3 }"))
    done = desk.harness("up", "odd.toml", "--system", "serf")
    assert done.returncode == 65
    assert (
        "options.fanout: serf has no such option; possible: profile, event_bytes_max" in done.stderr
    )
    done = desk.harness("up", "eight.toml", "--system", "nobody")
    assert done.returncode == 64
    assert (
        "expected one of meshnode, opendht, serf, libp2p, nats, redis, or module:attribute of your "
        "own; found 'nobody'" in done.stderr
    )


def test_serf_hears_events_and_sees_deaths(desk):
    """Events are counted where they are heard, deaths where they are seen."""
    found = played(desk, "serf", "broadcast", seconds=6)
    ledger = f"broadcasts: in the journals of all {NODES - 1} other nodes"
    assert answers(found.values()) == {
        **SOUND,
        **came_true("broadcast"),
        ledger: "MEASURED",
        "load: broadcast": "PASS",
    }
    assert "promises it to nobody" in found[ledger]["sentence"]
    history = reader.read(desk.runs / "latest")
    sent = records.in_phase(history, history.phases[0], Operation.BROADCAST)
    received = records.heard_ns(history, RecordKind.RECEIVED, sent) != records.NEVER
    received[range(30), history.column("source")[sent]] = False
    heard = received.sum(axis=1).tolist()
    assert len(heard) == 30
    assert sum(heard) / len(heard) > 0.8 * (NODES - 1)  # with so few members Serf itself loses some
    # Sees a death sooner.
    desk.write(
        "eight.toml", TOPOLOGY.replace("count = 8", "count = 8\noptions = { profile = 'local' }")
    )
    desk.ok("up", "eight.toml", "--system", "serf")
    scenario = desk.write("quiet.toml", LOAD.format(system="serf", seconds=14))
    running = desk.start("run", str(scenario), "--json")
    wait_for(lambda: desk.status()["phase"] == "load")
    desk.ok("condition", "node-3", "stopped")
    verdict, _ = running.communicate(timeout=120)
    run = json.loads(verdict)["run"]
    desk.write("seen.toml", SEEN)
    judged = json.loads(desk.harness("judge", run, "--budget", "seen.toml", "--json").stdout)
    seen = judged["findings"][0]
    assert (seen["answer"], seen["measured"].partition("(")[2]) == ("PASS", f"n={NODES - 1})"), seen
    desk.ok("condition", "node-3", "running")  # ready again: it holds all of them as members
    assert member_count(desk, "node-3") == NODES


SEEN = """
[[row]]
name = "death seen"
metric = "membership.failure_seen"
statistic = "p50"
bound = 14
unit = "s"
phase = "load"
"""


def member_count(desk: Desk, name: str) -> int:
    from harness.systems.adapter import Endpoint
    from harness.systems.adapters.serf import Serf

    node = next(node for node in desk.status()["nodes"] if node["name"] == name)
    endpoint = Endpoint(
        node=name,
        address=node["address"],
        control=node["control"],
        wire_id=bytes.fromhex(node["wire_id"]),
    )
    return Serf().administer(endpoint).health()["members"]


@pytest.mark.quiet
def test_a_stranger_s_http_node_gets_its_first_verdict(desk):
    for file in TINY.iterdir():
        if file.is_file():
            shutil.copy(file, desk.folder)
    done = desk.harness("run", "tinynode-scenario.toml", "--json")
    found = json.loads(done.stdout)["findings"]
    assert answers(found) == {
        "broadcasts heard by all": "PASS",
        "broadcast heard p95": "PASS",
        "messages delivered": "PASS",
        "memory": "PASS",
        "private messages: acknowledged and delivered": "PASS",
        "nodes: alive throughout": "PASS",
        **came_true("broadcast", "private_message", "dht_put", "dht_get"),
        "broadcasts: in the journals of all 5 other nodes": "PASS",
        "DHT puts: stored at another node": "MEASURED",
        "DHT gets: answered by another node": "MEASURED",
        "load: broadcast": "PASS",
        "load: private_message": "PASS",
        "load: dht_put": "PASS",
        "load: dht_get": "PASS",
        "register: no value that nobody wrote": "PASS",
    }, found
    assert done.returncode == 0


LINES = """
[start]
argv = ["sh", "-c", "exec python3 linenode.py 6000 {peers}"]
files = ["linenode.py"]
separator = " "
[ready]
log = "ready for lines"
[send.broadcast]
line = { to = "127.0.0.1:6000", say = "PUBLISH {payload}" }
ok = "^OK$"
[send.dht_put]
line = { to = "127.0.0.1:6000", say = "PUT {key} {payload}" }
[send.dht_get]
line = { to = "127.0.0.1:6000", say = "GET {key}" }
ok = "^VALUE "
[received]
line = { to = "127.0.0.1:6000", say = "SUBSCRIBE" }
"""


def test_a_node_that_speaks_lines(desk):
    shutil.copy(TINY / "linenode.py", desk.folder)
    desk.write("lines.toml", LINES)
    found = played(desk, "lines.toml", "broadcast", "dht_put")
    assert answers(found.values()) == {
        **WITHOUT_BUDGET,
        f"broadcasts: in the journals of all {NODES - 1} other nodes": "PASS",
        "DHT puts: stored at another node": "MEASURED",
        "load: broadcast": "PASS",
        "load: dht_put": "PASS",
        "operations that came true: broadcast": "PASS",
        "operations that came true: dht_put": "PASS",
    }
    desk.ok("up", "eight.toml", "--system", "lines.toml")
    control = desk.status()["nodes"][2]["control"]
    id_, another = (request(number, Operation.DHT_PUT).id for number in (1, 4))
    key, other, wrong = key_of(id_), b"o" * 32, key_of(another)
    puts = [
        request(1, Operation.DHT_PUT, key, id_ + bytes(24)),
        request(4, Operation.DHT_PUT, wrong, bytes(40)),
    ]
    assert [each.outcome for each in ask(control, puts).values()] == [Outcome.OK] * 2
    asked = [key, other, wrong]
    said = ask(control, [request(5 + at, Operation.DHT_GET, asked[at]) for at in range(3)])
    not_it = "the value is not one that was put under the key, or not as it was put"
    found = sorted((each.id, each.outcome, each.error, each.value) for each in said.values())
    assert [each[1:] for each in found] == [
        (Outcome.OK, None, id_),
        (Outcome.FAILED, "the node answered: NONE", None),
        (Outcome.FAILED, not_it, None),
    ]


def test_a_node_that_is_asked_by_a_program_and_read_from_its_log(desk):
    shutil.copy(TINY / "tinynode.py", desk.folder)
    text = (TINY / "tinynode.toml").read_text()
    text = text.replace(
        'http = { url = "http://127.0.0.1:7000/broadcast", body = "{payload}" }',
        'exec = ["curl", "-sf", "-d", "{payload}", "http://127.0.0.1:7000/broadcast"]',
    )
    text = text.replace('http = "http://127.0.0.1:7000/events"', 'log = "^received "').replace(
        'http = "http://127.0.0.1:7000/health"', 'tcp = "127.0.0.1:7000"'
    )
    desk.write("tiny.toml", text.replace('budget = "tinynode-budget.toml"', ""))
    found = played(desk, "tiny.toml", "broadcast", "private_message")
    assert answers(found.values()) == {
        **WITHOUT_BUDGET,
        f"broadcasts: in the journals of all {NODES - 1} other nodes": "PASS",
        "private messages: acknowledged and delivered": "PASS",
        "load: broadcast": "PASS",
        "load: private_message": "PASS",
        "operations that came true: broadcast": "PASS",
        "operations that came true: private_message": "PASS",
    }


def test_a_node_that_never_gets_ready_is_named(desk):
    """The error also says what the node waits for."""
    shutil.copy(TINY / "tinynode.py", desk.folder)
    desk.write(
        "tiny.toml",
        (TINY / "tinynode.toml")
        .read_text()
        .replace("/health", "/nothing")
        .replace('budget = "tinynode-budget.toml"', ""),
    )
    desk.write("soon.toml", "silence_s = 6\n" + TOPOLOGY)
    done = desk.harness("up", "soon.toml", "--system", "tiny.toml")
    assert done.returncode == 69
    assert "8 of 8 nodes are not ready" in done.stderr
    assert "last status: not yet: 404 no such path" in done.stderr


def test_reports_that_cannot_be_followed_are_named(desk):
    shutil.copy(TINY / "tinynode.py", desk.folder)
    desk.write(
        "tiny.toml",
        (TINY / "tinynode.toml")
        .read_text()
        .replace("/events", "/nothing")
        .replace('budget = "tinynode-budget.toml"', ""),
    )
    desk.write("soon.toml", "silence_s = 6\n" + TOPOLOGY)
    done = desk.harness("up", "soon.toml", "--system", "tiny.toml")
    assert done.returncode == 69
    assert (
        "what it receives cannot be followed: http://127.0.0.1:7000/nothing answered 404: no "
        "such path" in done.stderr
    )


def test_a_gateway_that_is_killed_ends_the_run_and_says_so(desk):
    desk.ok("up", "eight.toml", "--system", "opendht")
    scenario = desk.write(
        "scenario.toml",
        LOAD.format(system="opendht", seconds=30) + STREAM.format(operation="dht_put"),
    )
    running = desk.start("run", str(scenario))
    wait_for(lambda: desk.status()["phase"] == "load")
    [gateway] = [pid for pid, line in desk.processes().items() if "harness.systems.gateway" in line]
    os.kill(gateway, signal.SIGKILL)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 69, said
    [run] = [path for path in (desk.runs / "scenario").iterdir() if path.name != "latest"]
    told = [json.loads(line) for line in (Path(run) / "events.jsonl").read_text().splitlines()]
    assert any("the gateway" in failure for event in told for failure in event.get("failures", []))


def test_a_gateway_that_stood_still_is_not_the_system_s_fault(desk):
    """Stopped for 1.5 s by somebody: the p95 was FAIL, "the system is slow"."""
    for file in TINY.iterdir():
        if file.is_file():
            shutil.copy(file, desk.folder)
    desk.write(
        "quick.toml",
        """
        [[row]]
        name = "quick"
        metric = "private_message.end_to_end"
        statistic = "p90"
        comparison = "<"
        bound = 500
        unit = "ms"
        phase = "load"
        """,
    )
    scenario = LOAD.format(system="tinynode.toml", seconds=8) + STREAM.format(
        operation="private_message"
    )
    scenario = desk.write("held.toml", 'budget = "quick.toml"' + scenario)
    desk.ok("up", "eight.toml", "--system", "tinynode.toml")
    running = desk.start("run", str(scenario), "--json")
    wait_for(lambda: desk.status()["phase"] == "load")
    time.sleep(1)
    [gateway] = [pid for pid, line in desk.processes().items() if "harness.systems.gateway" in line]
    os.kill(gateway, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(gateway, signal.SIGCONT)
    said, told = running.communicate(timeout=60)
    found = {one["name"]: one for one in json.loads(said)["findings"]}
    assert found["quick"]["answer"] == "UNKNOWN", told
    assert found["quick"]["cause"] in ("the gateway stood still", "generator fell behind")
    assert "the gateway stood still for 1" in found["load generator, second by second"]["sentence"]
