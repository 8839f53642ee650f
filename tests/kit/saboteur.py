"""Somebody who makes one change to the hub, a node's namespace or a helper of ours, drawn by lot;
and an outsider who measures what the network does then.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from harness.kernel.namespaces import inside, open_socket
from harness.network.proof.datagrams import SO_TIMESTAMPNS

# Faults that stand together on ten nodes; each is held against what the outsider measures.
FAULTS = """
[[phase.fault]]
name = "cut"
cut = "isolate"
of = "node-9"
[[phase.fault]]
name = "late"
where = "node-1 -> node-2"
delay = "60ms"
[[phase.fault]]
name = "lossy"
where = "node-3 -> node-4"
loss = "40%"
[[phase.fault]]
name = "narrow"
where = "node-5 -> node-6"
rate = "2mbit"
[[phase.fault]]
name = "upload"
where = "node-7"
up = "3mbit"
[[phase.fault]]
name = "half"
where = "node-0 -> node-3"
half_open = "new"
"""
PORT, TCP_PORT = 4_100, 4_101
GAP_S, SECONDS = 0.01, 2.0
LATE_MS = 15.0  # beyond what is asked: the host's
LOSS_OFF = 0.22  # of 200 packets with 40 % loss: more than six deviations
RATE_OFF = 1.35  # a burst, and a queue that empties
SLOW = "tbf rate 32kbit burst 3000 latency 2s"
WIDEN_CLASS = (
    "c=$(tc class show dev n6 | grep -v 'fff[de]' | head -1 | cut -d' ' -f3); "
    "tc class change dev n6 classid $c parent 1:fffe htb rate 8kbit ceil 1gbit"
)
WRONG_GATEWAY = (
    "ip neigh del 169.254.1.1 dev eth0; ip neigh add 169.254.1.1 lladdr 02:09:09:09:09:09 dev eth0"
)


@dataclass(frozen=True, slots=True)
class Place:
    """The namespaces of a cluster, opened from outside: hub and nodes with their addresses."""

    hub: int
    nodes: tuple[int, ...]
    supervisor: int

    def run(self, where: int, command: str) -> str:
        """Run a command of the shell in a namespace; its output."""
        with inside(where):
            done = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, check=False
            )
        return done.stdout

    def close(self) -> None:
        for one in (self.hub, *self.nodes):
            os.close(one)


def address(node: int) -> str:
    return f"198.18.0.{node + 1}"


def open_place(supervisor: int, nodes: int = 10) -> Place:
    """Open the namespaces that a supervisor holds, told by their links and addresses. It may be
    moving a descriptor just then, so it is looked at again where one is missing.
    """
    keys = ["hub", *map(str, range(nodes))]
    for _ in range(5):
        found = _namespaces(supervisor, nodes)
        if found.keys() >= {*keys}:
            break
        for namespace in found.values():
            os.close(namespace)
        time.sleep(0.2)
    return Place(found["hub"], tuple(found[str(node)] for node in range(nodes)), supervisor)


def _namespaces(supervisor: int, nodes: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for number in os.listdir(f"/proc/{supervisor}/fd"):
        path = f"/proc/{supervisor}/fd/{number}"
        with suppress(OSError):
            if not os.readlink(path).startswith("net:"):
                continue
            namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            with inside(namespace):
                said = subprocess.run(
                    ["ip", "-o", "addr"], capture_output=True, text=True, check=False
                ).stdout
                links = subprocess.run(
                    ["ip", "-o", "link"], capture_output=True, text=True, check=False
                ).stdout
            key = "hub" if ": n0@" in links else ""
            for node in range(nodes):
                if f"inet {address(node)}/32" in said:
                    key = str(node)
            if key and key not in found:
                found[key] = namespace
            else:
                os.close(namespace)
    return found


# ---- the outsider --------------------------------------------------------------------------------


def outsider(place: Place) -> dict[str, str]:
    """Measure every fault, and a path without one; what is not as asked, in words."""
    checks: dict[str, Callable[[], str]] = {
        "cut": lambda: _cut(place),
        "late": lambda: _delayed(place, 1, 2, 60.0),
        "lossy": lambda: _lossy(place),
        "narrow": lambda: _rate(place, 5, 6, 2e6),
        "upload": lambda: _rate(place, 7, 8, 3e6),
        "half": lambda: _half_open(place),
        "clear": lambda: _delayed(place, 2, 8, 0.0),
    }
    with ThreadPoolExecutor(len(checks)) as pool:
        said = {name: pool.submit(check) for name, check in checks.items()}
    return {name: one.result() for name, one in said.items() if one.result()}


def _datagrams(place: Place, source: int, target: int, size: int, gap_s: float) -> list[float]:
    """Send for SECONDS; one-way ms of each that arrived, by the kernel's stamp of when it did: this
    process may wait for a core meanwhile.
    """
    port = PORT + 100 * source + target
    delays: list[float] = []
    here = open_socket(place.nodes[source], socket.AF_INET, socket.SOCK_DGRAM)
    there = open_socket(place.nodes[target], socket.AF_INET, socket.SOCK_DGRAM)
    with here, there, suppress(OSError):
        there.bind(("0.0.0.0", port))
        there.setblocking(False)
        there.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        begun_s, sent = time.monotonic(), 0
        while (now_s := time.monotonic() - begun_s) < SECONDS + 0.3:
            while sent < min(now_s, SECONDS) / gap_s:  # those that are due, also when it is late
                stamp = str(time.time_ns()).encode().ljust(size, b".")
                sent += 1
                with suppress(OSError):
                    here.sendto(stamp, (address(target), port))
            with suppress(BlockingIOError):
                while True:
                    data, ancillary, *_ = there.recvmsg(2048, 64)
                    seconds, ns = struct.unpack("qq", ancillary[0][2])
                    delays.append((seconds * 10**9 + ns - int(data.rstrip(b"."))) / 1e6)
            time.sleep(0.001)
    return delays


def _cut(place: Place) -> str:
    crossed = len(_datagrams(place, 9, 8, 64, 0.05))
    return f"{crossed} datagrams crossed the cut" if crossed else ""


def _delayed(place: Place, source: int, target: int, asked_ms: float) -> str:
    delays = _datagrams(place, source, target, 64, GAP_S)
    if not delays:
        return "nothing arrived"
    middle = float(np.median(delays))
    low, high = asked_ms * 0.8, asked_ms * 1.1 + LATE_MS
    return "" if low <= middle <= high else f"{middle:.1f} ms where {asked_ms:g} were asked"


def _lossy(place: Place) -> str:
    sent = SECONDS / GAP_S
    lost = 1 - len(_datagrams(place, 3, 4, 64, GAP_S)) / sent
    # What a busy host did not send counts as lost: only less than asked, or nearly all, is told.
    return "" if 0.4 - LOSS_OFF < lost < 0.85 else f"{lost:.0%} were lost where 40 % were asked"


def _rate(place: Place, source: int, target: int, asked_bps: float) -> str:
    size = 1_200
    got = len(_datagrams(place, source, target, size, 0.001)) * (size + 42) * 8 / SECONDS
    return "" if got <= asked_bps * RATE_OFF else f"{got / 1e6:.1f} Mbit/s passed"


def _half_open(place: Place) -> str:
    here = open_socket(place.nodes[0], socket.AF_INET, socket.SOCK_STREAM)
    there = open_socket(place.nodes[3], socket.AF_INET, socket.SOCK_STREAM)
    with here, there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        there.bind(("0.0.0.0", TCP_PORT))
        there.listen()
        here.settimeout(SECONDS)
        with suppress(OSError):
            here.connect((address(3), TCP_PORT))
            return "a new connection was made on the half-open path"
    return ""


# ---- the saboteur --------------------------------------------------------------------------------


def sabotage(place: Place, chance: random.Random) -> str:
    """Make one change, drawn by lot among what stands there now; returns it in words."""
    kind = chance.choice(list(KINDS))
    return f"{kind}: {KINDS[kind](place, chance)}"


def _listed(place: Place) -> list[dict]:
    said = place.run(place.hub, "nft -j -a list table ip harness")
    return json.loads(said)["nftables"] if said else []


def _in_hub(place: Place, command: str) -> str:
    place.run(place.hub, command)
    return command


def _delete_rule(place: Place, chance: random.Random) -> str:
    rules = [one["rule"] for one in _listed(place) if "rule" in one]
    one = chance.choice([rule for rule in rules if rule["chain"] not in ("divert",)])
    what = json.dumps(one["expr"])[:80]
    return _in_hub(
        place, f"nft delete rule ip harness {one['chain']} handle {one['handle']} # {what}"
    )


def _add_rule(place: Place, chance: random.Random) -> str:
    chains = [one["chain"]["name"] for one in _listed(place) if "chain" in one]
    verb = chance.choice(["insert", "add"])
    act = chance.choice(["accept", "drop", "meta mark set 0", "meta priority set 1:fffd", "return"])
    return _in_hub(place, f"nft {verb} rule ip harness {chance.choice(chains)} {act}")


def _flush(place: Place, chance: random.Random) -> str:
    things = [
        (kind, one[kind]["name"])
        for one in _listed(place)
        for kind in ("set", "map", "chain")
        if kind in one
    ]
    kind, name = chance.choice(things)
    return _in_hub(place, f"nft flush {kind} ip harness {name}")


def _delete_element(place: Place, chance: random.Random) -> str:
    found = []
    for one in _listed(place):
        for kind in ("set", "map"):
            for element in one.get(kind, {}).get("elem", []):
                key = element[0] if kind == "map" else element
                words = " . ".join(key["concat"]) if isinstance(key, dict) else key
                found.append((one[kind]["name"], words))
    name, words = chance.choice(found)
    return _in_hub(place, f"nft delete element ip harness {name} '{{ {words} }}'")


def _stranger(place: Place, chance: random.Random) -> str:
    hook = chance.choice(["forward", "prerouting"])
    act = chance.choice(
        [
            "drop",
            f"ip saddr {address(chance.randrange(10))} drop",
            "numgen random mod 2 == 0 drop",
            "meta mark set 0",
            "meta priority set 1:fffd",
        ]
    )
    priority = chance.choice([-300, -160, 10])
    return _in_hub(
        place,
        f"nft 'add table ip x; add chain ip x y {{ type filter hook {hook} priority {priority}; "
        f"}}; add rule ip x y {act}'",
    )


def _traffic_control(place: Place, chance: random.Random) -> str:
    links = [f"n{node}" for node in range(10)]
    return _in_hub(
        place,
        chance.choice(
            [
                "tc qdisc del dev n6 root",
                "tc qdisc del dev n7 ingress",
                "tc filter del dev n7 parent ffff:",
                "tc qdisc del dev u7 root",
                "tc qdisc change dev u7 root tbf rate 1gbit burst 200000 latency 50ms",
                "ip link set u7 down",
                WIDEN_CLASS,
                f"tc qdisc add dev {chance.choice(links)} root {SLOW}",
                f"tc qdisc add dev {chance.choice(links)} root pfifo limit 0",
                f"tc qdisc add dev {chance.choice(links)} clsact",
            ]
        ),
    )


def _routing(place: Place, chance: random.Random) -> str:
    node = chance.randrange(10)
    return _in_hub(
        place,
        chance.choice(
            [
                f"ip route del {address(node)}",
                f"ip route replace blackhole {address(node)}",
                f"ip neigh del {address(node)} dev n{node}",
                f"ip neigh replace {address(node)} lladdr 02:09:09:09:09:09 dev n{node}",
                f"ip addr add {address(node)}/32 dev lo",
                f"ip link set n{node} down",
                f"ip rule add pref 5 from {address(node)} blackhole",
                "sysctl -w net.ipv4.ip_forward=0",
            ]
        ),
    )


def _queue(place: Place, chance: random.Random) -> str:
    return _in_hub(
        place,
        chance.choice(
            [
                "iptables-legacy -t mangle -F; iptables-nft -t mangle -F",
                "iptables-legacy -t mangle -I FORWARD -j ACCEPT",
                f"iptables-legacy -A FORWARD -s {address(chance.randrange(10))} -j DROP",
            ]
        ),
    )


def _in_a_node(place: Place, chance: random.Random) -> str:
    node = chance.choice([1, 2, 3, 4, 8])
    command = chance.choice(
        [
            "ip link set eth0 down",
            "ip route del default",
            f"tc qdisc add dev eth0 root {SLOW}",
            "iptables-legacy -A OUTPUT -p udp -j DROP",
            WRONG_GATEWAY,
        ]
    )
    place.run(place.nodes[node], command)
    return f"node-{node}: {command}"


def _engine(place: Place, chance: random.Random) -> str:
    told = subprocess.run(
        ["pgrep", "-P", str(place.supervisor), "-f", "delay_engine"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not told:
        return "there is no engine"
    pid, act = int(told[0]), chance.choice(["kill", "stop", "slow"])
    if act == "slow":  # it runs for a twentieth of the time
        turn = f"kill -STOP {pid}; sleep 0.19; kill -CONT {pid}; sleep 0.01"
        loop = f"(for i in $(seq 20); do {turn}; done) </dev/null >/dev/null 2>&1 &"
        subprocess.run(["sh", "-c", loop], check=True)  # it goes on for four seconds
    else:
        os.kill(pid, signal.SIGKILL if act == "kill" else signal.SIGSTOP)
    return f"{act} the delay engine"


def _supervisor(place: Place, chance: random.Random) -> str:
    seconds = chance.choice([1.0, 3.0])
    os.kill(place.supervisor, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(place.supervisor, signal.SIGCONT)
    return f"the supervisor stopped for {seconds:g} s"


KINDS: dict[str, Callable[[Place, random.Random], str]] = {
    "delete a rule": _delete_rule,
    "add a rule": _add_rule,
    "flush": _flush,
    "delete an element": _delete_element,
    "a stranger's table": _stranger,
    "traffic control": _traffic_control,
    "routing": _routing,
    "the queue": _queue,
    "in a node": _in_a_node,
    "the engine": _engine,
    "the supervisor": _supervisor,
}
