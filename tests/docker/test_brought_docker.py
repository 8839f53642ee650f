"""Containers that a test started by testcontainers become the nodes of a cluster, and are left as
they were found.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.desk import ROOT, wait_for
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

import harness
from harness.control import state as states
from harness.errors import HarnessError, UsageError
from harness.experiments.validation import validate
from harness.kernel import cgroups

pytestmark = [pytest.mark.docker, pytest.mark.systems]

TINY = ROOT / "systems" / "example"  # where the file is, and no link to it
NAMES = ("a", "b", "c")
FILE = """
name = "mine"
[start]
brought = true
ports = [7000]
[ready]
http = "http://127.0.0.1:7000/health"
[send.broadcast]
http = { url = "http://127.0.0.1:7000/broadcast", body = "{payload}" }
[send.private_message]
http = { url = "http://127.0.0.1:7000/send/{target_address}", body = "{payload}" }
[received]
http = "http://127.0.0.1:7000/events"
"""
IDLE = ["-c", "import time; time.sleep(1000)"]
FENCE = re.compile(r"^```(\w+)\n(?:# (\S+)\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)
SHOUT = """
import socket, time
s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
while True:
    s.sendto(b"hello", ("255.255.255.255", 9))
    time.sleep(0.1)
"""
THERE = SimpleNamespace(base_url="http://there:2375", info=lambda: {"ID": "another"})
ELSEWHERE = SimpleNamespace(id="f00", client=SimpleNamespace(api=THERE))
HELD = """
import sys, time
import harness
with harness.up(nodes=dict(zip("abc", sys.argv[1:])), system="mine.toml") as cluster:
    cluster.fault(where="b", condition="paused")
    cluster.fault(where="c", condition="stopped")
    cluster.fault(where="a", cpu=0.5)
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the command file, and a state folder of the test's own."""
    state = tempfile.mkdtemp(prefix="hb-", dir="/tmp")
    monkeypatch.setenv("HARNESS_STATE", state)
    monkeypatch.setenv("HARNESS_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(FILE)
    yield tmp_path
    wait_for(lambda: clusters() == [])
    shutil.rmtree(state)  # the log of one that went down when nobody waited any more


def clusters():
    return list(states.clusters())


@pytest.fixture
def network_of_docker(engine):
    del engine
    with Network() as made:
        yield made
        made._docker.client.close()


@pytest.fixture
def server(network_of_docker, testcontainer):
    """Start a container of a small server, which finds the others by their names. The network goes
    after it, as it came before.
    """

    def start(name="a", command=None, **settings):
        return testcontainer(
            entrypoint=["python3"],
            command=command or ["/tiny/tinynode.py", "0.0.0.0", ",".join({*NAMES} - {name})],
            volumes=[(str(TINY), "/tiny", "ro")],
            **{"network": network_of_docker, "network_aliases": [name], **settings},
        )

    return start


@pytest.fixture
def p2p_nodes(server):
    return {name: server(name, nano_cpus=1_500_000_000) for name in NAMES}


def inspected(container):
    wrapped = container.get_wrapped_container()
    wrapped.reload()
    return wrapped.attrs


def network_in(container):
    """What programs of this host see of a container's network."""
    pid = str(inspected(container)["State"]["Pid"])
    looks = ("ip -o address", "ip route show table all", "nft list ruleset", "tc qdisc")
    return [
        subprocess.check_output(["nsenter", "-t", pid, "-n", *look.split()], text=True)
        for look in looks
    ]


def findings(judged, of):
    return [one for one in judged.verdict.findings if one.name.startswith(of)]


@pytest.mark.topology(system="mine.toml")
def test_containers_of_a_test_are_nodes(desk, p2p_nodes, cluster, network):
    """By the plugin; and by their names in Docker's network, which they were started with."""
    del desk
    for name, one in p2p_nodes.items():
        [at] = inspected(one)["NetworkSettings"]["Networks"].values()
        assert network.addresses[name] == at["IPAddress"]
    before = {name: inspected(one)["State"]["Pid"] for name, one in p2p_nodes.items()}
    with network.cut("isolate", "c"):
        cut = cluster.load({"private_message": 30}, seconds=2, phase="cut")
    assert 0 < cut.sent["private_message"].ok < cut.sent["private_message"].total
    with cluster.fault(where="b", condition="crashed"):
        cluster.load({"private_message": 20}, seconds=2, phase="crash")
    cluster.wait_for("nodes.ready", seconds=60)
    healed = cluster.load({"private_message": 20, "broadcast": 2}, seconds=2, phase="healed")
    assert {word: one.failed + one.unknown for word, one in healed.sent.items()} == {
        "private_message": 0,
        "broadcast": 0,
    }
    assert before["b"] != inspected(p2p_nodes["b"])["State"]["Pid"]
    judged = cluster.verdict()
    for name in ("faults: proven", "isolation", "private messages: acknowledged"):
        assert {str(one.answer) for one in findings(judged, name)} == {"PASS"}, name
    said = json.loads((healed.folder / "metadata.json").read_text())["runtime"]
    image_id = inspected(p2p_nodes["a"])["Image"]
    assert said["name"] == "brought"
    assert image_id in said["container of a"]
    assert "digest UNKNOWN" in said["container of a"]
    assert "where a program brings its containers again" in validate(healed.folder).sentence


def test_the_page_shows_what_runs(desk, sdk, image):
    """docs/python.md, word by word, but for the image, which is made here."""
    (desk / "Dockerfile").write_text(
        f'FROM {image}\nCOPY tinynode.py /\nENTRYPOINT ["python3", "/tinynode.py", "0.0.0.0"]\n'
    )
    shutil.copy(TINY / "tinynode.py", desk)
    made, _ = sdk.images.build(path=str(desk), network_mode="none", rm=True, forcerm=True)
    try:
        for _, name, text in FENCE.findall((ROOT / "docs" / "python.md").read_text()):
            (desk / (name or "none")).write_text(text.replace("my/server:1", made.id))
        done = subprocess.run(
            [sys.executable, "containers.py"], capture_output=True, text=True, check=False
        )
    finally:
        sdk.images.remove(made.id, force=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_left_as_they_were_found(desk, p2p_nodes):
    """Also where a fault holds them as the program is killed."""
    before = {name: network_in(one) for name, one in p2p_nodes.items()}
    pids = {name: inspected(one)["State"]["Pid"] for name, one in p2p_nodes.items()}
    (desk / "held.py").write_text(HELD)
    ids = [one.get_container_id() for one in p2p_nodes.values()]
    program = subprocess.Popen([sys.executable, "held.py", *ids], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "up\n"
        assert all("p2p0" in network_in(p2p_nodes[name])[0] for name in ("a", "b"))
        assert cgroups.found(pids["a"]).quota() in (0.5, 1.5)  # 1.5: limited by a throttle
        with pytest.raises(UsageError, match="has a link p2p0: it is a node of another cluster"):
            harness.up(nodes=[p2p_nodes["a"]], system="mine.toml", cluster="other")
    finally:
        program.kill()
        program.communicate()
    wait_for(lambda: clusters() == [])
    now = {name: inspected(one)["State"] for name, one in p2p_nodes.items()}
    assert {one["Status"] for one in now.values()} == {"running"}
    assert all("(stopped)" not in status_of(one["Pid"]) for one in now.values())
    assert "p2p0" not in network_in(p2p_nodes["c"])[0]  # which was started anew
    for name in ("a", "b"):
        assert now[name]["Pid"] == pids[name]
        assert cgroups.found(pids[name]).quota() == 1.5
        assert network_in(p2p_nodes[name]) == before[name]


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


def test_what_goes_past_the_network_is_said(desk, p2p_nodes):
    """A datagram to everybody in Docker's network, which no fault can hold."""
    del desk
    with harness.up(nodes=p2p_nodes, system="mine.toml") as cluster:
        cluster.load({"private_message": 20}, seconds=1)
        quiet = cluster.verdict()
        assert quiet.passed, quiet.why
        p2p_nodes["a"].get_wrapped_container().exec_run(["python3", "-c", SHOUT], detach=True)
        cluster.load({"private_message": 20}, seconds=2)
        loud = cluster.verdict()
    assert str(loud.answer) == "UNKNOWN"
    assert "past the harness's network" in loud.rendered("json")


def test_what_cannot_be_a_node_is_said_before_anything_changes(desk, server, image):
    del desk
    good = server("a")
    before = network_in(good)
    named = good.get_container_id()
    ended = server("b", command=["-c", "raise SystemExit(3)"])
    wait_for(lambda: inspected(ended)["State"]["Status"] == "exited")
    alone = {"network": None, "network_aliases": None}
    of_host = server("b", **alone, network_mode="host", command=IDLE)
    elsewhere = server("b", **alone)
    shared = server(
        "b", network=None, network_aliases=None, network_mode=f"container:{named}", command=IDLE
    )
    restarted = server("b", restart_policy={"Name": "always"})
    refused = (
        ([good, DockerContainer(image)], "node node-1: its container was not started"),
        ([good, ended], r"it has ended \(exit code 3\); expected one that runs"),
        ([good, good], "are the same container"),
        ([good, named[:12]], "are the same container"),
        ([good, of_host], "stands in this host's own network"),
        ([good, shared], "shares the network of another container"),
        ([good, elsewhere], "expected containers on one Docker network that all share"),
        ([good, restarted], "is started anew by the engine"),
        ([good, ELSEWHERE], "is of the engine at http://there:2375; expected one of the engine of"),
        ([good, "nobody-is-called-so"], "nobody-is-called-so"),
        ([good, 7], "expected a container of testcontainers"),
        ([good, "../images/x"], "expected a container of testcontainers"),
        ({"A b": good}, "node name 'A b'"),
        ([], "expected several"),
    )
    for nodes, why in refused:
        with pytest.raises(HarnessError, match=why):
            harness.up(nodes=nodes, system="mine.toml")
    with pytest.raises(UsageError, match="meshnode starts its nodes itself"):
        harness.up(nodes=[good])
    with pytest.raises(UsageError, match=r"start.brought: its nodes are containers"):
        harness.up("cluster-10", system="mine.toml")
    with pytest.raises(UsageError, match="one container for each of the 10 nodes"):
        harness.up("cluster-10", nodes=[good], system="mine.toml")
    assert network_in(good) == before
