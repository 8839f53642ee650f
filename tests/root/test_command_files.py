"""A server that everybody knows, by a command file alone: Redis, whose nodes form a cluster and
pass on what is published; and servers that lie, which make no PASS.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from kit.desk import Desk, has_ended, wait_for
from kit.verdicts import answers

from harness.errors import NodeStartError
from harness.runtimes.runtime import Place
from harness.systems.adapters import command_file, command_launch
from harness.topology.topology import Node, Topology

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
PASSWORD = "correct horse battery"
TOPOLOGY = "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n"
REDIS = """
[secrets]
password = "TEST_PASSWORD"
[connection]
to = "127.0.0.1:6379"
end = "\\r\\n"
hello = [{ say = 'AUTH "{password}"', ok = '^\\+OK' }]
length = '^\\$(-?\\d+)'
[start]
argv = ["sh", "-c", "echo my password is $SAID; exec redis-server redis.conf"]
environment = { SAID = "{password}" }
prepare = ["sh", "-c", "echo noise >&2; echo of {name} with {all}"]
state = "wipe"
[[start.file]]
name = "redis.conf"
template = "redis.conf.in"
[ready]
line = "PING"
ok = '^\\+PONG'
[[start.joined]]
each = "entrances"
line = "CLUSTER MEET {peer_address} 6379"
ok = '^\\+OK'
[[start.joined]]
line = "CLUSTER INFO"
ok = "cluster_known_nodes:[3-9]"
[send.broadcast]
line = "PUBLISH load {payload}"
ok = '^:\\d'
[send.private_message]
line = "PUBLISH to.{target} {payload}"
ok = '^:\\d'
[received]
line = "SUBSCRIBE load to.{name}"
"""
CONF = """
# prepared: {prepared}
bind 0.0.0.0
protected-mode no
cluster-enabled yes
cluster-announce-ip {address}
cluster-node-timeout 2000
cluster-require-full-coverage no
save ""
requirepass "{password}"
masterauth "{password}"
"""
LOAD = """
topology = "three.toml"
system = "SYSTEM.toml"
[[phase]]
name = "load"
duration_s = 3
"""
STREAM = """
[[phase.stream]]
operation = "OPERATION"
rate_per_s = 5
payload_bytes = 64
"""
SETTLE = "[[phase]]\nname = 'settle'\nduration_s = 2\n"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_PASSWORD", PASSWORD)
    made = Desk(tmp_path, "commands")
    made.write("three.toml", TOPOLOGY)
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def scenario(desk: Desk, system: str, *operations: str) -> str:
    streams = "".join(STREAM.replace("OPERATION", each) for each in operations)
    return str(desk.write("load.toml", LOAD.replace("SYSTEM", system) + streams + SETTLE))


def played(desk: Desk, system: str, *operations: str) -> dict[str, dict]:
    """A verdict's findings by name."""
    done = desk.harness("run", scenario(desk, system, *operations), "--json")
    assert done.stdout, done.stderr
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.redis
def test_redis_is_prepared_joined_and_judged_and_its_password_is_nowhere(desk):
    desk.write("redis.toml", REDIS)
    desk.write("redis.conf.in", CONF)
    desk.ok("up", "three.toml", "--system", "redis.toml")
    found = played(desk, "redis", "broadcast", "private_message")
    assert answers(found.values()) == {
        "budget": "MEASURED",
        "nodes: alive throughout": "PASS",
        "operations that came true: broadcast": "PASS",
        "operations that came true: private_message": "PASS",
        "broadcasts: in the journals of all 2 other nodes": "PASS",
        "private messages: acknowledged and delivered": "PASS",
        "load: broadcast": "PASS",
        "load: private_message": "PASS",
    }
    folder = desk.state / desk.cluster / "nodes" / "node-1"
    written = (folder / "redis.conf").read_text()
    assert "of node-1 with 198.18" in written
    assert "noise" not in written
    before = (folder / "nodes.conf").read_text()
    desk.ok("condition", "node-1", "stopped")
    desk.ok("condition", "node-1", "running")
    own = [line.split()[0] for line in before.splitlines() if "myself" in line]
    now = (folder / "nodes.conf").read_text()
    assert own != [line.split()[0] for line in now.splitlines() if "myself" in line]
    assert "my password is [password: secret]" in desk.ok("logs", "node-1", "--lines", "1000")
    said = f"cat {folder}/redis.conf; printenv TEST_PASSWORD"
    beside = desk.ok("exec", "node-1", "--", "sh", "-c", said)
    assert 'requirepass "[password: secret]"' in beside
    assert (beside.endswith("\n[password: secret]\n"), PASSWORD in beside) == (True, False)
    run = (desk.runs / "latest").resolve()
    kept = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"system/redis.toml", "system/redis.conf.in"} <= kept
    assert not [name for name in kept if PASSWORD.encode() in (run / name).read_bytes()]
    assert b"my password is [password: secret]" in (run / "logs" / "node-1.log").read_bytes()


LIAR = """
import socketserver, sys, threading

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(ANSWER)
            self.wfile.flush()

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

ANSWER = b"OK" + bytes([10]) + b"OK" + bytes([10])
Server(("127.0.0.1", 7000), Handler).serve_forever()
"""
LYING = """
[connection]
to = "127.0.0.1:7000"
[start]
argv = ["python3", "liar.py"]
files = ["liar.py"]
[ready]
tcp = "127.0.0.1:7000"
[send.dht_put]
line = "PUT {key} {payload}"
ok = "OK|PUT"
"""


def test_who_answers_twice_makes_no_pass(desk):
    desk.write("liar.py", LIAR)
    desk.write("lying.toml", LYING)
    found = played(desk, "lying", "dht_put")
    whole = found["record complete"]
    assert whole["answer"] == "UNKNOWN"
    assert "said 'OK' when nothing was asked" in whole["sentence"]


RING = Topology(name="t", nodes=(Node(name="a"), Node(name="b")), links=frozenset({("a", "b")}))
PREPARED = """
[start]
argv = ["true"]
prepare = ["sh", "-c", "PROGRAM"]
[ready]
log = "."
[send.dht_put]
line = { to = "127.0.0.1:1", say = "PUT {payload} {prepared}" }
"""


SILENCE_S = 3.0


def prepared(folder, program, progress=lambda *_: None):
    """What was prepared for the nodes of a pair."""
    (folder / "mine.toml").write_text(PREPARED.replace("PROGRAM", program))
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    places = [
        Place(
            node=node,
            index=index,
            address=f"198.18.0.{index + 1}",
            directory=folder / node.name,
            namespace=namespace,
        )
        for index, node in enumerate(RING.nodes)
    ]
    try:
        command_launch.launches(
            command_file.read(folder / "mine.toml"),
            replace(RING, silence_s=SILENCE_S),
            places,
            folder,
            progress,
        )
    finally:
        os.close(namespace)
    return command_launch.Around.of(folder).prepared


def test_what_a_program_prints_is_prepared_for_its_node(tmp_path):
    program = "echo noise >&2; touch key; echo id of {name}, {peers}"
    assert prepared(tmp_path, program) == {"a": "id of a, 198.18.0.2", "b": "id of b, 198.18.0.1"}
    assert (tmp_path / "b" / "key").exists()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("echo no key >&2; exit 3", "start.prepare: sh ended with exit code 3: no key"),
        ("sleep 1000", r"start.prepare: sh has not ended within 3 s"),
        ("head -c 100000 /dev/zero", "printed more than 65,536 characters"),
    ],
)
def test_a_program_that_does_not_prepare_its_node_is_said(tmp_path, program, says):
    with pytest.raises(NodeStartError, match=f"node .: {says}|{says}"):
        prepared(tmp_path, program)


def test_whoever_waits_for_it_no_longer_ends_it(tmp_path):
    """`up` that was interrupted went on until the last program had ended."""

    def interrupted(what, done, total):
        if (tmp_path / "a" / "begun").exists() and (tmp_path / "b" / "begun").exists():
            raise KeyboardInterrupt(f"{what}: {done} of {total}")

    with pytest.raises(KeyboardInterrupt, match="preparing nodes: 0 of 2"):
        prepared(tmp_path, "sleep 1000 & echo $! > pid; touch begun; wait", interrupted)
    for node in ("a", "b"):
        pid = (tmp_path / node / "pid").read_text().strip()
        wait_for(lambda pid=pid: has_ended(pid))
