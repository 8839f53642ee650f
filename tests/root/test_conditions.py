"""Nodes that the harness kills, crashes, restarts and wipes: what their peers are told, what they
find again, and what a run says of it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.desk import PROMISES, TEN, Desk, begin_by_hand, once_in_three, wait_for

from harness.checks import faults
from harness.checks.verdict import Answer
from harness.control.client import Client
from harness.history import reader
from harness.history.events import FaultChanged, NodeChanged, NodeStarted
from harness.history.proof import ProofAnswer
from harness.kernel import cgroups
from harness.kernel.inet_diag import established
from harness.kernel.namespaces import inside
from harness.systems.adapter import Endpoint
from harness.systems.protocol import NodeSocket

pytestmark = pytest.mark.root
FIN, RST = 0x01, 0x04
ETH_P_IP, SO_RCVBUFFORCE = 0x0800, 33


class Ear:
    """Hears what TCP sends to a node from one address: the flags of every segment."""

    def __init__(self, listening: socket.socket, address: str) -> None:
        self._socket, self._from = listening, socket.inet_aton(address)

    def flags(self) -> list[int]:
        """What came since it was asked last."""
        found = []
        while True:
            try:
                packet = self._socket.recv(128)
            except BlockingIOError:
                return found
            if packet[9] == socket.IPPROTO_TCP and packet[12:16] == self._from:
                found.append(packet[(packet[0] & 0xF) * 4 + 13])


@contextmanager
def ear_at(node: dict, other: dict) -> Iterator[Ear]:
    """An ear in a node's namespace, for what another sends to it."""
    with namespace_of(node) as namespace, inside(namespace):
        listening = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        listening.setblocking(False)
        yield Ear(listening, other["address"])


@contextmanager
def namespace_of(node: dict) -> Iterator[int]:
    descriptor = os.open(f"/proc/{node['pid']}/ns/net", os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def linked(node: dict, other: dict) -> bool:
    """Whether a node has a connection with another, as its kernel says."""
    with namespace_of(node) as namespace:
        return any(peer == other["address"] for _, _, peer, _ in established(namespace))


def health(node: dict) -> dict:
    endpoint = Endpoint(node=node["name"], address="", control=node["control"], wire_id=b"")
    return NodeSocket(endpoint).health()


def set_(desk: Desk, node: str, condition: str, *more: str) -> None:
    desk.ok("fault", "set", node, "--condition", condition, "--name", "x", *more)


def test_peers_of_a_killed_node_are_told(desk):
    nodes = desk.status()["nodes"]
    wait_for(lambda: linked(nodes[1], nodes[3]))
    with ear_at(nodes[1], nodes[3]) as ear:
        set_(desk, "node-3", "killed")
        assert any(flags & (FIN | RST) for flags in ear.flags())
    wait_for(lambda: not linked(nodes[1], nodes[3]))
    assert desk.status()["nodes"][3]["condition"] == "killed"
    desk.ok("fault", "clear", "x")
    assert health(nodes[3])["restarts"] == 1
    wait_for(lambda: linked(nodes[1], desk.status()["nodes"][3]))


def test_peers_of_a_crashed_machine_are_told_nothing(desk):
    """Neither while it is down nor by what its kernel would send again when it is back: until its
    new processes exist, not one packet comes; and the old connections are answered by RST alone.
    """
    nodes = desk.status()["nodes"]
    before = health(nodes[3])["restarts"]
    wait_for(lambda: linked(nodes[1], nodes[3]))
    with ear_at(nodes[1], nodes[3]) as ear:
        wait_for(ear.flags)  # it hears
        set_(desk, "node-3", "crashed")
        assert not any(flags & (FIN | RST) for flags in ear.flags())
        with namespace_of(nodes[1]) as namespace:
            ours = [flow for flow in established(namespace) if flow[2] == nodes[3]["address"]]
        assert ours
        time.sleep(2.0)  # the kernel would have sent its FINs again, some times
        assert ear.flags() == []
        assert [row["name"] for row in desk.ask("fault-list")["faults"]] == ["x"]
        desk.ok("fault", "clear", "x")
        assert not any(flags & FIN for flags in ear.flags())
    assert desk.ask("fault-list")["faults"] == []
    assert (
        desk.ask("fault-list")["disagree"] == {"kernel": None}
        or not desk.ask("fault-list")["disagree"]
    )
    assert health(desk.status()["nodes"][3])["restarts"] == before + 1
    wait_for(lambda: linked(nodes[1], desk.status()["nodes"][3]))


@pytest.mark.parametrize("condition", ["stopped", "killed", "crashed", "restarted"])
def test_a_wiped_node_knows_nothing_and_a_kept_one_what_it_had(desk, condition):
    """But it is who it was: its keys were prepared for it."""
    before = desk.status()["nodes"][4]
    for state, restarts in (("wipe", 0), ("keep", 1)):
        set_(desk, "node-4", condition, "--state", state)
        if condition != "restarted":
            desk.ok("fault", "clear", "x")
        now = desk.status()["nodes"][4]
        assert (now["condition"], now["pid"] != before["pid"]) == ("running", True)
        found = health(now)
        assert (found["restarts"], found["id"]) == (restarts, before["wire_id"])
        before = now


def test_a_node_that_changed_what_was_prepared_is_not_wiped(desk):
    """Nothing has changed then: it was not even stopped."""
    node = desk.status()["nodes"][5]
    config = desk.state / desk.cluster / "nodes" / "node-5" / "node.json"
    was = config.stat()
    os.utime(config, ns=(was.st_atime_ns, was.st_mtime_ns + 1))
    done = desk.harness("fault", "set", "node-5", "--condition", "killed", "--state", "wipe")
    os.utime(config, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert done.returncode == 69
    assert "node-5 cannot be wiped: it has changed what was prepared for it" in done.stderr
    assert desk.status()["nodes"][5] == node


def command_line(node: dict) -> list[str]:
    return Path(f"/proc/{node['pid']}/cmdline").read_text().split("\0")[:-1]


def test_a_node_comes_back_as_another_program_and_keeps_what_it_had(desk):
    """And stays it at later restarts, until it is given its own again."""
    program = desk.write("v2", f"#!{sys.executable}\n{V2}")
    program.chmod(0o755)
    set_(desk, "node-6", "restarted", "--command", f"{program} {{arguments}} # {{name}}")
    now = desk.status()["nodes"][6]
    config = f"{desk.state}/{desk.cluster}/nodes/node-6/node.json"
    assert command_line(now)[1:] == [str(program), "run", "--config", config, "#", "node-6"]
    assert health(now)["restarts"] == 1
    set_(desk, "node-6", "killed")
    desk.ok("fault", "clear", "x")
    assert str(program) in command_line(desk.status()["nodes"][6])
    set_(desk, "node-6", "restarted", "--command", "{program} {arguments}")
    assert str(program) not in command_line(desk.status()["nodes"][6])
    assert health(desk.status()["nodes"][6])["restarts"] == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--command", "no-such-program"], "the program 'no-such-program' is needed"),
        (["--image", "node:v2"], "the runtime netns has no images"),
    ],
)
def test_a_program_that_is_not_here_changes_nothing(desk, words, says):
    nodes = desk.status()["nodes"]
    done = desk.harness("fault", "set", "node-7", "--condition", "restarted", *words)
    assert done.returncode == 69
    assert says in done.stderr
    assert desk.status()["nodes"] == nodes


V2 = """
import sys
from meshnode.cli import main
sys.argv = sys.argv[:4]
sys.exit(main())
"""

RUN = """
topology = "ten.toml"
budget = "promises.toml"
[[phase]]
name = "quiet"
duration_s = 1
[[phase]]
name = "faults"
duration_s = 16
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
[[phase.fault]]
where = "node-1"
condition = "killed"
at_s = 1
for_s = 3
[[phase.fault]]
where = "node-2,node-3"
condition = "crashed"
state = "wipe"
at_s = 2
for_s = 4
[[phase.fault]]
where = "node-4"
condition = "restarted"
at_s = 3
[[phase.fault]]
where = "node-2"
condition = "paused"
at_s = 1
for_s = 8
[[phase.churn]]
where = "node-5,node-6,node-7,node-8,node-9"
rate_per_s = 0.4
down_s = 2
floor = 3
at_s = 7
[[phase]]
name = "load"
duration_s = 4
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
"""


@pytest.mark.quiet
def test_a_run_proves_them_and_excuses_nobody(tmp_path):
    made = Desk(tmp_path, "nodefaults")
    try:
        made.write("ten.toml", TEN)
        made.write("promises.toml", PROMISES)
        file = str(made.write("run.toml", RUN))

        def attempt() -> tuple[bool, str]:
            verdict = json.loads(made.harness("run", file, "--json").stdout)
            found = {one["name"]: one for one in verdict["findings"]}
            assert found["nodes: alive throughout"]["answer"] == "PASS"
            assert "that the harness stopped" in found["nodes: alive throughout"]["sentence"]
            assert not [one for one in verdict["findings"] if one["answer"] == "FAIL"], verdict
            check_events(reader.read(made.runs / "latest"))
            made.assert_nothing_left()
            proven = found["faults: proven in force, and gone"]
            return proven["answer"] == "PASS", proven["sentence"]

        once_in_three(attempt)
    finally:
        made.close()


def check_events(history) -> None:
    """Each node was brought down as it was asked, and every life of it is told."""
    down = [one for one in history.events if isinstance(one, NodeChanged) and one.is_down]
    how = {one.node: one.condition for one in down}
    assert (how["node-1"], how["node-4"]) == ("killed", "stopped")
    assert (how["node-2"], how["node-3"]) == ("crashed", "crashed")
    starts = [one.node for one in history.events if isinstance(one, NodeStarted)]
    assert sorted(one.node for one in down) == sorted(starts)
    cuts = [
        (one.fault, one.verb)
        for one in history.events
        if isinstance(one, FaultChanged) and one.fault.endswith(": cut")
    ]
    assert cuts == [("faults-2: cut", "set"), ("faults-2: cut", "clear")]
    crash = next(one for one in down if one.condition == "crashed")
    cut = next(one for one in history.events if isinstance(one, FaultChanged) and one.paths)
    assert crash.since_ns < cut.set_ns < crash.at_ns


BUSY = """
import time
print("up", flush=True)
while time.monotonic():
    pass
"""
BUSY_FILE = """
name = "busy"
[start]
argv = ["python3", "{directory}/busy.py"]
files = ["busy.py"]
[ready]
log = "^up"
[send.dht_put]
exec = ["true"]
"""
TWO = "[nodes]\ncount = 2\n[shape]\nkind = 'full-mesh'\n"


@pytest.fixture
def busy(tmp_path, request):
    made = Desk(tmp_path, "busy")
    if getattr(request, "param", "") == "signals":
        made.environment["HARNESS_CPU_BY"] = "signals"
    made.write("busy.py", BUSY)
    made.write("busy.toml", BUSY_FILE)
    made.ok("up", str(made.write("two.toml", TWO)), "--system", "busy.toml")
    yield made
    made.harness("down")
    assert groups(made) == []
    made.assert_nothing_left()
    made.close()


def groups(desk: Desk) -> list[str]:
    """The owner of the cluster's control groups; other clusters of this host have others."""
    return [one for one in cgroups.owners() if one.startswith(f"{desk.cluster}.")]


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used, as /proc says."""
    with open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def share_of_a_core(pid: int, seconds: float) -> float:
    before, begun = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(pid) - before) / (time.monotonic() - begun)


def soft_limits(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/limits") as file:
        rows = [line.split("  ") for line in file]
    return {row[0]: next(cell for cell in row[1:] if cell).strip() for row in rows}


def group_of(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup") as file:
        return file.read()


@pytest.mark.quiet
@pytest.mark.parametrize("busy", ["groups", "signals"], indirect=True)
def test_a_node_uses_what_it_may_and_a_run_shows_it(busy, monkeypatch):
    """It holds after a restart too, and nothing of it is left when it is taken back."""
    monkeypatch.setenv("HARNESS_STATE", str(busy.state))
    node = busy.status()["nodes"][1]
    before = soft_limits(node["pid"]), group_of(node["pid"])
    with Client.connect(busy.cluster) as client:
        run = begin_by_hand(client, busy.runs)
        limits = ("--cpu", "10%", "--fds", "64", "--memory", "900mb")
        busy.ok("fault", "set", "node-1", *limits, "--name", "slow")
        assert share_of_a_core(node["pid"], 3.0) < 0.1 * 1.2
        now = soft_limits(node["pid"])
        assert (now["Max open files"], now["Max address space"]) == ("64", "900000000")
        wait_for(lambda: ProofAnswer.IN_FORCE in amounts(run), lambda: amounts(run))
        assert ProofAnswer.NOT_IN_FORCE not in amounts(run)
        busy.ok("fault", "clear", "slow")
        assert (soft_limits(node["pid"]), group_of(node["pid"])) == before
        client.end(run=run)
    history = reader.read(Path(run))
    [finding] = faults.check(history)
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1"), finding
    assert "memory of slow" in finding.sentence
    busy.ok("fault", "set", "node-1", "--cpu", "20%", "--fds", "64", "--name", "slow")
    busy.ok("fault", "set", "node-1", "--condition", "restarted", "--name", "again")
    node = busy.status()["nodes"][1]
    assert soft_limits(node["pid"])["Max open files"] == "64"
    assert share_of_a_core(node["pid"], 2.0) < 0.2 * 1.2
    other = busy.status()["nodes"][0]
    assert soft_limits(other["pid"])["Max open files"] != "64"


@pytest.mark.parametrize("busy", ["signals"], indirect=True)
def test_a_node_that_is_held_by_its_limit_is_not_paused(busy, monkeypatch):
    """And one that is paused is not continued by it."""
    monkeypatch.setenv("HARNESS_STATE", str(busy.state))
    with Client.connect(busy.cluster) as client:
        run = begin_by_hand(client, busy.runs)
        busy.ok("fault", "set", "node-1", "--cpu", "5%", "--name", "slow")
        for name in ("one", "two", "three"):
            busy.ok("fault", "set", "node-1", "--condition", "paused", "--name", name)
            pid = busy.status()["nodes"][1]["pid"]
            assert share_of_a_core(pid, 0.5) == 0
            busy.ok("fault", "clear", name)
        busy.ok("fault", "clear", "slow")
        client.end(run=run)
    [finding] = faults.check(reader.read(Path(run)))
    assert (finding.answer, finding.measured) == (Answer.PASS, "4 of 4"), finding


def amounts(run: str) -> set[str]:
    """What the looks at a quota of CPU time have said by now."""
    lines = (Path(run) / "proofs.jsonl").read_text().splitlines()
    return {one["answer"] for one in map(json.loads, lines) if one["what"] == "cpu"}


def test_what_a_killed_supervisor_limited_is_cleaned_up(busy):
    busy.ok("fault", "set", "node-1", "--cpu", "20%")
    assert len(groups(busy)) == 1
    os.kill(busy.supervisor(), signal.SIGKILL)
    wait_for(lambda: not busy.processes(), busy.processes)
    assert "control group" in busy.ok("doctor")
    assert groups(busy) == []
