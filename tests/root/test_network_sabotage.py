"""What a second program does to the network behind our back is told, and the verdict of a run
whose faults it undid is UNKNOWN.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from functools import partial

import pytest
from kit.desk import Desk, once_in_three, wait_for

from harness.faults import spec
from harness.host import capabilities

pytestmark = pytest.mark.root


def test_what_a_change_mends_is_told_before_it(net):
    """A cut whose map somebody had emptied was made anew by the next change: nobody knew."""
    it = net()
    told: list[object] = []
    it.network.counted = lambda _: None
    it.network.lost = lambda drifted, faults: told.append(([*drifted], [*faults]))
    it.set(cut="halves", name="halves")
    it.set(where="n1 -> n0", loss="5%", name="more")
    assert told == []
    it.run(None, "nft", "flush", "map", "ip", "harness", "side")
    it.set(cut="minority", name="other")
    assert told == [(["nftables"], ["halves", "more"])]


def test_a_rule_that_stood_before_the_queues_is_a_strangers(net):
    it = net()
    it.run(None, "sh", "-c", "iptables-legacy -t mangle -A FORWARD -s 198.18.0.3 -j DROP")
    it.network.set(spec.parse({"where": "n0 -> n1", "delay": "5ms"}).resolve(it.nodes, 1))
    assert "-s 198.18.0.3/32 -j DROP" in it.network.drift()["nfqueue"]


SCENARIO = """
topology = "ten.toml"
[[phase]]
name = "load"
duration_s = 8
[[phase.stream]]
operation = "private_message"
rate_per_s = 100
[[phase.fault]]
at_s = 1
for_s = 6
{fault}
"""

TWICE = 'name = "twice"\nwhere = "node-1 <-> node-2"\nduplicate = "5%"'

DELAY = 'where = "node-1 <-> node-2"\ndelay = "50ms"'

CUT = 'cut = "halves"'

TOXIC = 'where = "node-1 <-> node-2"\ntoxic = "latency latency=80"'

SABOTAGES = {
    # what: (the fault, what is done in the hub or to the engine, what the verdict must say)
    "the engine is killed": (DELAY, "kill delay_engine", "nfqueue"),
    "our table is deleted": (CUT, "nft delete table ip harness", "nftables"),
    "the cut's map is flushed": (CUT, "nft flush map ip harness side", "cut"),
    "a rule lets everything pass": (
        CUT,
        "nft insert rule ip harness before accept",
        "probes crossed",
    ),
    "the tree is deleted": (
        'where = "node-1 -> node-2"\nrate = "5mbit"',
        "tc qdisc del dev n2 root",
        "of link 1002 is gone",
    ),
    "the upload is widened": (
        'where = "node-1"\nup = "5mbit"',
        "tc qdisc change dev u1 root tbf rate 1gbit burst 100000 latency 50ms",
        "qdisc tbf 1: of link 1000001: asked",
    ),
    "the queue's rule is flushed": (DELAY, "iptables-legacy -t mangle -F", "delay on"),
    "a path's element is deleted": (
        DELAY,
        "nft delete element ip harness path '{ 198.18.0.2 . 198.18.0.3 }'",
        "paths",
    ),
    "a class loses its loss": (
        'where = "node-1 <-> node-2"\nloss = "40%"',
        (
            "for c in $(nft list table ip harness | grep -o 'chain c[0-9]*' | cut -d' ' -f2); do "
            "nft flush chain ip harness $c; done"
        ),
        "the kernel has 0, not these",
    ),
    "the engine is stopped": (DELAY, "stop delay_engine", "nfqueue"),
    "a delay of their own": (
        DELAY,
        "tc qdisc add dev n2 root tbf rate 8kbit burst 3000 latency 4s",
        "a stranger's qdisc tbf",
    ),
    "the proxy is killed": (TOXIC, "kill toxiproxy-server", "Toxiproxy did not get"),
    "streams go past their proxy": (TOXIC, "ip rule del pref 100", "routing rule 100 is gone"),
    "a route is taken away": (DELAY, "ip route del 198.18.0.3", "route to 198.18.0.3/32 is gone"),
}

# Not ours to mend.
UNDO = {
    "a delay of their own": "tc qdisc del dev n2 root",
    "a route is taken away": "ip route add 198.18.0.3 dev n2 proto static scope link",
}

IN_CI = (
    "the engine is killed",
    "our table is deleted",
    "a rule lets everything pass",
    "the tree is deleted",
)


def hub_of(supervisor: int) -> str:
    """The path of the hub's namespace among a supervisor's descriptors: the one with a link of node
    0.
    """
    for number in os.listdir(f"/proc/{supervisor}/fd"):
        path = f"/proc/{supervisor}/fd/{number}"
        try:
            if not os.readlink(path).startswith("net:"):
                continue
        except OSError:
            continue
        if (
            subprocess.run(
                ["nsenter", f"--net={path}", "ip", "link", "show", "n0"],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        ):
            return path
    raise AssertionError("the supervisor holds no hub")


def helper_of(supervisor: int, program: str) -> int:
    """The pid of the one process below a supervisor that runs a program."""
    told = subprocess.run(
        ["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    processes = {
        int(line.split()[0]): (int(line.split()[1]), line.split(maxsplit=2)[2])
        for line in told.splitlines()
    }
    found = [
        pid
        for pid, (parent, argv) in processes.items()
        if program in argv
        and not argv.startswith("sh ")
        and supervisor in (parent, processes.get(parent, (0, ""))[0])
    ]
    assert len(found) == 1, told
    return found[0]


def do(act: str, supervisor: int) -> None:
    """What the second program does: to the engine's process, or in the hub's namespace."""
    verb, _, program = act.partition(" ")
    if verb in ("kill", "stop"):
        os.kill(
            helper_of(supervisor, program), signal.SIGKILL if verb == "kill" else signal.SIGSTOP
        )
        return
    done = subprocess.run(
        ["nsenter", f"--net={hub_of(supervisor)}", "sh", "-c", act],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def faults_finding(desk: Desk, fault: str, act: str | None) -> dict:
    scenario = desk.write("scenario.toml", SCENARIO.format(fault=fault))
    running = desk.start("run", str(scenario), "--json")
    try:
        if act is not None:
            wait_for(lambda: desk.ask("fault-list")["faults"], running.poll)
            time.sleep(1)
            do(act, desk.supervisor())
    finally:  # the next test finds no run of this one
        said, error = running.communicate(timeout=90)
    assert said, error
    [finding] = [
        finding for finding in json.loads(said)["findings"] if finding["name"].startswith("faults")
    ]
    return finding


def test_without_a_sabotage_the_faults_are_proven(desk):
    def attempt(fault: str) -> tuple[bool, dict]:
        finding = faults_finding(desk, fault, None)
        return finding["answer"] == "PASS", finding

    for fault in (DELAY, CUT):
        once_in_three(partial(attempt, fault))


@pytest.mark.parametrize(
    "what", list(SABOTAGES) if os.environ.get("HARNESS_SABOTAGES") == "all" else IN_CI
)
def test_a_sabotage_turns_the_pass_into_unknown(desk, what):
    fault, act, said = SABOTAGES[what]
    finding = faults_finding(desk, fault, act)
    print(f"{what}: {finding['answer']}: {finding['sentence']}")
    assert (finding["answer"], finding["cause"]) == ("UNKNOWN", "fault not proven")
    assert said in finding["sentence"]
    if what in UNDO:
        subprocess.run(
            ["nsenter", f"--net={hub_of(desk.supervisor())}", "sh", "-c", UNDO[what]], check=True
        )
    desk.ok("fault", "clear")
    listed = json.loads(desk.ok("fault", "list", "--json"))
    assert (listed["faults"], listed["disagree"]) == ([], {})  # the next change begins anew


def test_a_scenario_whose_fault_nothing_here_can_set_is_refused_before_its_run(desk):
    """It was played, and the verdict said that the fault could not be set."""
    desk.write("twice.toml", SCENARIO.format(fault=TWICE))
    done = desk.harness("run", "twice.toml")
    if capabilities.probe().backends["duplicate"] == "netem":
        assert "fault" not in done.stderr
        return
    assert done.returncode == 69, done.stderr
    assert "fault twice: duplicate: only netem can do that" in done.stderr
    assert not (desk.runs / "twice").exists()


def test_a_command_says_how_long_it_took_from_the_asking(desk):
    """Not only the change itself: here the supervisor gets to it a second and a half later."""
    supervisor = json.loads(desk.ok("status", "--json"))["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    late = threading.Timer(1.5, os.kill, (supervisor, signal.SIGCONT))
    late.start()
    begun_s = time.monotonic()
    done = json.loads(desk.ok("fault", "cut", "halves", "--json"))
    took_ms = (time.monotonic() - begun_s) * 1e3
    late.join()
    assert done["took_ms"] < 1_000 < done["asked_ms"] <= took_ms
    desk.ok("fault", "clear")
