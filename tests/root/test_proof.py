"""The prover on real namespaces: what a look shows while somebody changes the network behind our
back, and that it shows nothing where it could not look.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from kit.network import Net
from kit.nodes import wait_until

from harness.errors import HarnessError
from harness.faults import spec
from harness.history.proof import BEFORE, UNTOUCHED, Proof, ProofAnswer
from harness.kernel.namespaces import open_socket
from harness.network.injectors.qdisc import Qdisc
from harness.network.proof import datagrams
from harness.network.proof import prover as provers
from harness.network.proof.datagrams import PORT, Prober
from harness.network.proof.prover import Prover
from harness.topology.impairment import Impairment

pytestmark = pytest.mark.root
IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE


@contextmanager
def proving(it: Net, conditions=list):
    """A prover that looks while the body runs; its proofs, whole when the body has ended."""
    proofs: list[Proof] = []
    prover = Prover(
        it.network,
        Prober(it.namespaces, it.addresses),
        1,
        proofs.append,
        pytest.fail,
        planned=True,
        conditions=conditions,
    )
    it.network.changed = prover.changed
    try:
        yield proofs
    finally:
        prover.close()
        it.network.changed = lambda _: None


def answers(proofs: list[Proof], what: str, fault: str | None = None) -> set[ProofAnswer]:
    return {one.answer for one in proofs if one.what == what and fault in (None, one.fault)}


def wrong(proofs: list[Proof]) -> list[str]:
    return [str(one) for one in proofs if one.answer.is_contradiction]


@contextmanager
def sending(it: Net, source: str, target: str, bits_per_s: float = 15e6):
    """Datagrams at a rate while the body runs."""
    here = open_socket(it.namespaces[source], socket.AF_INET, socket.SOCK_DGRAM)
    over = threading.Event()

    def send() -> None:
        begun_s, sent = time.monotonic(), 0
        while not over.is_set():
            while sent < (time.monotonic() - begun_s) * bits_per_s / 8 / 1_200:
                here.sendto(bytes(1_158), (it.addresses[target], 4_000))
                sent += 1
            time.sleep(0.002)

    with here:
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("delay_ms", [120.0, 400.0])
def test_a_delay_that_stands_at_the_end_is_waited_for(net, delay_ms):
    what = Impairment(delay_ms=delay_ms)
    it = net(4, regions=2, baseline={("r0", "r1"): what, ("r1", "r0"): what})
    with proving(it) as proofs:
        time.sleep(2.5)  # one look, and the last one when it is closed
    assert wrong(proofs) == []
    assert sum(one.what == "delay" and one.fault == "baseline" for one in proofs) >= 8


CLASSES = "nft list table ip harness | grep -o 'chain c[0-9]*' | cut -d' ' -f2"
RATES = {
    "the rule that chooses the class": (
        {"where": "n0 -> n1", "rate": "1mbit"},
        "rate into",
        f"for c in $({CLASSES}); do nft flush chain ip harness $c; done",
    ),
    "the upload's ingress": (
        {"where": "n0", "up": "1mbit"},
        "rate up",
        "tc qdisc del dev n0 ingress",
    ),
    "the download's tree": (
        {"where": "n1", "down": "1mbit"},
        "rate down",
        "tc qdisc del dev n1 root",
    ),
}


@pytest.mark.parametrize("gone", list(RATES))
def test_what_passes_a_rate_is_seen_at_the_links(net, gone):
    words, what, act = RATES[gone]
    it = net()
    with proving(it) as proofs:
        time.sleep(3)  # it knows the links before
        it.set(**words, name="rate")
        with sending(it, "n0", "n1"):
            wait_until(lambda: IN_FORCE in answers(proofs, what, "rate"), "the rate in force")
            before = list(proofs)
            it.run(None, "sh", "-c", act)
            wait_until(lambda: NOT_IN_FORCE in answers(proofs, what, "rate"), "more than the rate")
            wait_until(lambda: NOT_IN_FORCE in answers(proofs, "read back"), "other rules")
    assert wrong(before) == []


@pytest.mark.parametrize(
    ("rate", "bits_per_s"),
    [
        ({"where": "n0 -> n1", "rate": "256kbit"}, 512e3),
        ({"where": "n0", "up": "100kbit"}, 200e3),
    ],
)
def test_the_queue_of_a_slow_rate_is_waited_for(net, rate, bits_per_s):
    """Twice what it lets through fills the queue, and leaves the probes a place in it."""
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", delay="20ms", name="late")
        it.set(**rate, name="slow")
        with sending(it, "n0", "n1", bits_per_s):
            time.sleep(7)
    assert wrong(proofs) == []
    delays = [one for one in proofs if one.what == "delay" and one.answer is IN_FORCE]
    assert max(one.achieved for one in delays) > 150


def test_what_stands_is_looked_at_while_another_fault_comes_and_goes(net):
    it = net()
    looks: list[float] = []

    def conditions() -> list[Proof]:
        looks.append(time.monotonic())
        return []

    with proving(it, conditions) as proofs:
        it.set(where="n0 -> n1", delay="50ms", name="stands")
        time.sleep(1)
        looks.clear()
        proofs.clear()
        for _ in range(5):
            it.set(where="n2 -> n3", delay="20ms", name="flaps")
            time.sleep(1)
            it.network.clear("flaps")
            time.sleep(1)
        seen, looked = list(proofs), len(looks)
    assert wrong(proofs) == []
    assert looked >= 2
    assert IN_FORCE in answers(seen, "read back", "all")
    assert IN_FORCE in answers(seen, "delay", "stands")


def test_the_paths_that_a_name_left_are_looked_at(net):
    it = net()
    with proving(it) as proofs:
        wait_until(lambda: answers(proofs, "clear", "before"), "the look before")  # 0.8 s
        it.set(where="n0 -> n1", delay="50ms", name="moves")
        time.sleep(1.5)
        it.set(where="n2 -> n3", delay="50ms", name="moves")
        time.sleep(1.5)
    assert wrong(proofs) == []
    left = {one.answer for one in proofs if one.path == ("n0", "n1") and one.fault == "moves"}
    assert left == {IN_FORCE, ProofAnswer.GONE}


def test_of_many_faults_each_has_its_turn(net):
    it = net()
    names = {f"fault {number}" for number in range(26)}
    for name in sorted(names):
        it.set(where="n0 -> n1", delay="1ms", name=name)
    with proving(it) as proofs:
        time.sleep(9)
    assert names <= {one.fault for one in proofs if one.what == "delay"}


def test_the_network_is_looked_at_before_a_fault_of_the_first_second(net, monkeypatch):
    """The first look came two seconds after the start, and a scenario's clock starts after one."""
    it = net()
    monkeypatch.setattr(provers, "LOOK_EVERY_S", 3600)
    with proving(it) as proofs:
        wait_until(lambda: answers(proofs, "read back", "before"), "a look before")
    assert answers(proofs, "read back", "before") == {IN_FORCE}


def test_half_open_is_dialled(net):
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", half_open="new", name="half")
        time.sleep(4)
        before = list(proofs)
        it.run(None, "nft", "flush", "set", "ip", "harness", "half")
        time.sleep(4)
    assert wrong(before) == []
    assert answers(before, "half-open") == {IN_FORCE}
    assert NOT_IN_FORCE in answers(proofs, "half-open")


def test_a_dead_network_is_no_proof_of_a_cut(net):
    it = net()
    with proving(it) as proofs:
        it.set(cut="isolate", of="n0", name="cut")
        time.sleep(2.5)
        before = list(proofs)
        it.run(
            None,
            "nft",
            "add table ip x; add chain ip x y { type filter hook forward priority "
            "-300; policy drop; }",
        )
        time.sleep(5)
    assert wrong(before) == []
    assert answers(before, "cut") == {IN_FORCE}
    assert IN_FORCE in answers(before, "clear", "untouched")
    assert NOT_IN_FORCE in answers(proofs, "clear", "untouched")
    assert any("a stranger's table ip x stands in the hub" in said for said in wrong(proofs))


def test_a_node_that_refuses_to_send_is_not_what_was_asked(net):
    """Each node is on some path that is looked at; its own kernel answers "not permitted"."""
    it = net(10)
    with proving(it) as proofs:
        it.set(cut="isolate", of="n9", name="cut")
        time.sleep(2.5)
        before = list(proofs)
        it.run(
            "n2",
            "nft",
            "add table ip x; add chain ip x y { type filter hook output priority 0; policy drop; }",
        )
        time.sleep(5)
    assert wrong(before) == []
    assert any(
        "no probe could be sent: port 61000: Operation not permitted" in one
        for one in wrong(proofs)
    )


def test_a_port_that_is_taken_proves_nothing(net):
    it = net()
    taken = open_socket(it.namespaces["n1"], socket.AF_INET, socket.SOCK_DGRAM)
    with taken:
        taken.bind(("0.0.0.0", PORT))
        with proving(it) as proofs:
            it.set(where="n0 -> n1", loss="100%", name="cut")
            time.sleep(2)
    cuts = [one for one in proofs if one.what == "cut" and one.fault == "cut"]
    assert {one.answer for one in cuts} == {ProofAnswer.AMOUNT_NOT_SHOWN}
    assert "no probe could be sent: port 61000: Address already in use" in cuts[0].sentence


def test_jitter_is_shown_over_looks(net):
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", delay="60ms", jitter="40ms", name="jitter")
        time.sleep(6)
        before = list(proofs)
        [number] = it.network.compiled.classes
        it.network._standing["nfqueue"]._ask({"set": {number: [0.06, 0.0, 0.0]}})
        time.sleep(12)
    assert wrong(before) == []
    assert IN_FORCE in answers(before, "jitter")
    assert NOT_IN_FORCE in answers(proofs, "jitter"), [
        one for one in proofs if one.what == "jitter"
    ]


def test_a_queue_that_was_full_let_packets_pass(net, monkeypatch):
    """What comes to a full queue passes at once, and no median of ten probes sees it."""
    monkeypatch.setattr("harness.network.injectors.nfqueue.HELD_MOST", 50)
    it = net()
    it.set(where="n0 -> n1", delay="400ms", name="slow")
    with sending(it, "n0", "n1", 4e5):
        time.sleep(1)
    assert it.network.drift()["nfqueue"] is None
    with sending(it, "n0", "n1", 4e6):
        time.sleep(1)
    time.sleep(1)  # nothing is held any more
    assert "packets were held at once" in (it.network.drift()["nfqueue"] or "")
    it.set(where="n0 -> n1", delay="200ms", name="slow")


def test_everything_that_is_asked_has_a_record(net):
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", delay="20ms", loss="1%", rate="5mbit", name="some")
        it.set(where="n2", up="5mbit", down="5mbit", name="link")
        time.sleep(0.1)
        it.network.clear()
    for fault, what in (
        ("some", "delay"),
        ("some", "loss"),
        ("some", "rate into"),
        ("link", "rate up"),
        ("link", "rate down"),
    ):
        assert answers(proofs, what, fault) - {NOT_IN_FORCE}, (fault, what)


@pytest.mark.parametrize("error", [HarnessError("no"), ZeroDivisionError("float division by zero")])
def test_a_change_that_fails_half_way_is_no_change(net, monkeypatch, error):
    it = net()
    it.set(where="n2 -> n3", rate="5mbit", name="stays")

    def fails(*_: object) -> None:
        raise error

    before = it.kernel()
    with monkeypatch.context() as patched:
        patched.setattr("harness.kernel.qdisc.Qdiscs.set_tbf", fails)
        with pytest.raises(type(error)):
            it.network.set(spec.parse({"where": "n0", "up": "1mbit"}).resolve(it.nodes, 1))
    assert list(it.network.faults) == ["stays"]
    assert it.kernel() == before
    it.set(where="n0", up="1mbit", name="next")
    it.network.clear()
    assert it.network.drift() == {"kernel": None}
    assert it.kernel() == it.before


def test_what_a_change_mends_is_told(net):
    """The engine is killed, and the next change finds it before the prover looks: it begins anew,
    and meanwhile no fault was in force.
    """
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", delay="50ms", name="slow")
        it.set(where="n2 -> n3", loss="20%", name="lossy")
        time.sleep(1.5)
        before = list(proofs)
        os.kill(it.network._standing["nfqueue"].pid, signal.SIGKILL)
        it.set(where="n0 -> n2", delay="80ms", name="next")
    assert wrong(before) == []
    for fault in ("slow", "lossy"):
        assert NOT_IN_FORCE in answers(proofs, "read back", fault)
    assert NOT_IN_FORCE not in answers(proofs, "read back", "next")
    assert any("the delay engine" in one for one in wrong(proofs))


def test_what_was_not_in_force_when_the_last_fault_went_is_told(net):
    """Nothing is left then that could be read back."""
    it = net()
    with proving(it) as proofs:
        it.set(where="n0 -> n1", delay="50ms", name="slow")
        time.sleep(1.5)
        before = list(proofs)
        os.kill(it.network._standing["nfqueue"].pid, signal.SIGKILL)
        it.network.clear("slow")
    assert wrong(before) == []
    assert NOT_IN_FORCE in answers(proofs, "read back", "slow")


def test_what_could_not_be_brought_about_again_is_not_in_force(net, monkeypatch):
    it = net()
    it.set(where="n2 -> n3", rate="5mbit", name="stays")

    def fails(*_: object) -> None:
        raise HarnessError("no rule can be set")

    with monkeypatch.context() as patched:
        patched.setattr("harness.kernel.nft.Nft.run", fails)
        it.run(None, "nft", "delete", "table", "ip", "harness")
        with pytest.raises(HarnessError):
            it.network.set(spec.parse({"where": "n0", "loss": "1%"}).resolve(it.nodes, 1))
    assert list(it.network.faults) == ["stays"]
    assert "no rule can be set" in it.network.drift()["network"]
    it.set(where="n0", up="1mbit", name="next")
    it.network.clear()
    assert it.network.drift() == {"kernel": None}
    assert it.kernel() == it.before


def test_all_is_lost(net):
    it = net()
    it.set(where="n0 -> n1", loss="100%")
    assert it.ping("n0", "n1", count=5)[0] == 0
    assert it.ping("n2", "n3", count=5)[0] == 5


STRANGERS = {
    "nft add table ip x; nft add chain ip x y '{ type filter hook forward priority 5; policy drop; "
    "}'": "a stranger's table ip x",
    "nft add rule ip harness after accept": "chain after: asked 3 rules",
    "nft add element ip harness path '{ 198.18.0.4 . 198.18.0.1 : accept }'": "an element says",
    "iptables-legacy -A FORWARD -j ACCEPT": "a stranger's iptables table filter",
    "tc qdisc add dev n3 root pfifo limit 3": "a stranger's qdisc pfifo",
    "tc filter add dev n1 parent 1: protocol ip u32 match u32 0 0 flowid 1:fffd": "a stranger's "
    "filter at 1: of link 1001",
    "tc filter add dev n2 parent 1: protocol ip u32 match u32 0 0 flowid 1:fffd": "a stranger's "
    "filter at 1: of link 1002",
    "tc filter del dev n2 parent ffff:": "filter at ffff: of link 1002 is gone",
    "tc filter replace dev n2 parent ffff: protocol all prio 1 handle 800::800 u32 match u32 0 0 "
    "action mirred egress mirror dev u2": "filter at ffff: of link 1002: asked",
    "tc qdisc change dev n1 root handle 1: htb default 3; tc class change dev n1 classid 1:fffd "
    "parent 1:fffe htb rate 8kbit ceil 1mbit": "class 1:fffd of link 1001: asked",
    "ip link set u2 down": "link u2 was changed",
    "ip route del 198.18.0.4": "route to 198.18.0.4/32 is gone",
    "ip addr add 1.2.3.4/32 dev n3": "a stranger's address 1.2.3.4/32",
    "ip neigh replace 198.18.0.4 lladdr 02:09:09:09:09:09 dev n3": "neighbour 198.18.0.4",
    "ip rule add pref 5 blackhole": "a stranger's routing rule 5",
    "sysctl -w net.ipv4.ip_forward=0": "sysctl net/ipv4/ip_forward",
}


@pytest.mark.parametrize("act", list(STRANGERS))
def test_everything_in_the_hub_is_read_back(net, act):
    it = net()
    it.set(where="n0 -> n1", delay="50ms", loss="10%", rate="5mbit")
    it.set(where="n2", up="5mbit", down="5mbit")
    it.run(None, "sh", "-c", act)
    said = "; ".join(one for one in it.network.drift().values() if one is not None)
    assert STRANGERS[act] in said, said


def test_a_strangers_discipline_is_not_taken_away(net):
    it = net()
    it.run(None, "tc", "qdisc", "add", "dev", "n1", "root", "pfifo", "limit", "3")
    with pytest.raises(HarnessError, match="File exists"):
        it.set(where="n0 -> n1", rate="5mbit")
    assert "qdisc pfifo" in it.kernel()
    assert Qdisc.name not in it.network._standing


def test_what_somebody_took_away_is_not_expected_once_we_are_done(net):
    it = net()
    it.set(where="n0", up="5mbit", name="up")
    it.run(None, "ip", "link", "del", "u0")
    assert it.network.drift()["kernel"] == "link u0 is gone"
    it.network.clear()
    assert it.network.drift() == {"kernel": None}


def test_what_is_seen_once_a_fault_stands_is_not_called_before(net, monkeypatch):
    """A look that the first fault came into was taken again, and told of a loss on a path whose
    other end was full by then.
    """
    it = net()
    under_way, go = threading.Event(), threading.Event()
    real = Prober.probe

    def slow(*given):
        under_way.set()
        go.wait(60)
        return real(*given)

    monkeypatch.setattr(Prober, "probe", slow)
    with proving(it) as proofs:
        assert under_way.wait(60)
        it.set(where="all", delay="20ms", name="late")
        go.set()
        wait_until(lambda: IN_FORCE in answers(proofs, "delay", "late"), "the delay in force")
    seen = [one for one in proofs if one.fault in (BEFORE, UNTOUCHED) and one.what != "read back"]
    assert seen == []


def test_a_prober_that_waits_for_a_core_reads_what_came_meanwhile(net, monkeypatch):
    """Its time was over when it ran again: probes that had come were lost, of a path without
    faults.
    """
    it = net()
    prober = Prober(it.namespaces, it.addresses)
    real, away_s = time.monotonic, [0.0]

    def clock():
        away_s[0] += 10.0
        return real() + away_s[0]

    monkeypatch.setattr(datagrams.time, "monotonic", clock)
    try:
        heard = prober.probe({("n0", "n1"): 40}, wait_s=0.2)[("n0", "n1")]
    finally:
        prober.close()
    assert (heard.sent, len(heard.delays)) == (40, 40)
