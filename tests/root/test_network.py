"""Faults on real namespaces, told by tools that are not ours (ping, iperf3, nft, tc); and what a
second program does behind our back.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from functools import partial
from typing import Self

import pytest
from kit.desk import Desk, once_in_three, wait_for
from kit.network import Net

from harness.errors import HarnessError, UnavailableError, UsageError
from harness.faults import spec
from harness.faults.fault import Fault, Verb
from harness.host import capabilities
from harness.kernel import nfqueue as queue
from harness.kernel.namespaces import open_socket
from harness.kernel.nft import Nft
from harness.network.injectors import nfqueue
from harness.network.injectors.toxiproxy import Toxiproxy
from harness.network.proof.datagrams import Prober
from harness.network.proof.streams import stream
from harness.topology.impairment import Impairment

pytestmark = pytest.mark.root


def test_a_delay_is_one_way_and_leaves_other_paths_alone(net):
    it = net()
    it.set(where="n0 -> n1", delay="60ms")
    assert it.ping("n0", "n1")[1] == pytest.approx(60, abs=15)  # one way; the way back has none
    assert it.ping("n1", "n0")[1] == pytest.approx(60, abs=15)
    assert it.ping("n2", "n3")[1] < 15
    it.network.clear()
    assert it.ping("n0", "n1")[1] < 15


def test_an_engine_that_takes_long_to_start_is_waited_for(net, tmp_path, monkeypatch):
    """On a busy host the interpreter took seconds to start: "the delay engine does not answer"."""
    real_time = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))"
    allowed = subprocess.run([sys.executable, "-c", real_time], check=False).returncode == 0
    slow = tmp_path / "delay_engine.py"
    slow.write_text(
        "import os, sys, time\n"
        f"assert os.sched_getscheduler(0) == os.SCHED_RR or not {allowed}\n"  # from its start on
        "time.sleep(3)\n"
        f"os.execv(sys.executable, [sys.executable, '-IS', {str(nfqueue.ENGINE)!r}, *sys.argv[1:]])"
    )
    monkeypatch.setattr(nfqueue, "ENGINE", slow)
    it = net()
    it.set(where="n0 -> n1", delay="60ms")
    assert it.ping("n0", "n1")[1] == pytest.approx(60, abs=15)


def test_faults_fold_and_come_off_one_by_one(net):
    it = net()
    it.set(where="n0 <-> n1", delay="40ms", name="a")
    it.set(where="n0 -> n1", delay="60ms", name="b")
    assert it.ping("n0", "n1")[1] == pytest.approx(140, abs=25)
    it.network.clear("a")
    assert it.ping("n0", "n1")[1] == pytest.approx(60, abs=15)
    with pytest.raises(UsageError, match="there is no fault 'a'; in force: b"):
        it.network.clear("a")


def test_what_is_made_ready_changes_nothing_before_its_moment(net):
    it = net()
    slow = spec.parse({"where": "n0 -> n1", "delay": "60ms"}).resolve(it.nodes, 1)
    for verb, before, after in ((Verb.SET, 0, 60), (Verb.CLEAR, 60, 0)):
        it.network.prepare(verb, slow)
        it.network.look_ahead()
        assert it.ping("n0", "n1")[1] == pytest.approx(before, abs=15)
        assert not any(it.network.drift().values())
        if verb is Verb.SET:
            it.network.set(slow)
        else:
            it.network.clear_this(slow)
        assert it.ping("n0", "n1")[1] == pytest.approx(after, abs=15)
    assert it.kernel() == it.before


def test_what_was_made_ready_and_is_called_off_leaves_nothing(net):
    it = net()
    slow = spec.parse({"where": "n0 -> n1", "delay": "60ms"}).resolve(it.nodes, 1)
    it.network.prepare(Verb.SET, slow)
    assert it.kernel() != it.before
    it.network.call_off()
    assert it.kernel() == it.before


def test_loss_is_what_was_asked(net):
    it = net()
    it.set(where="n0 -> n1", loss="30%")
    counted = it.ping("n0", "n1", count=1500, gap_s=0.002)[0]
    # Six deviations: never by chance.
    assert 0.7 * 1500 - 6 * 17.8 < counted < 0.7 * 1500 + 6 * 17.8


def test_a_rate_limits_what_iperf3_carries(net):
    it = net()
    it.set(where="n0 -> n1", rate="10mbit", name="path")
    it.set(where="n2", up="5mbit", name="link")

    def carried(source: str, target: str) -> float:
        server = threading.Thread(target=it.run, args=(target, "iperf3", "-s", "-1"))
        server.start()
        wait_for(lambda: ":5201" in it.run(target, "ss", "-ltn"))
        said = json.loads(
            it.run(source, "iperf3", "-J", "-t", "3", "-O", "1", "-c", it.addresses[target])
        )
        server.join()
        return said["end"]["sum_received"]["bits_per_second"] / 1e6

    def most(source: str, target: str, enough: float) -> float:
        """Of a host that has no core to spare, a second and a third measurement."""
        found = [carried(source, target)]
        while found[-1] <= enough and len(found) < 3:
            found.append(carried(source, target))
        return max(found)

    assert 7.5 < most("n0", "n1", 7.5) < 10.1
    assert 3.7 < most("n2", "n3", 3.7) < 5.1
    assert most("n3", "n2", 50) > 50


def test_nothing_crosses_a_cut(net):
    """Packets that were held do not cross it either; flows go on after it."""
    it = net(6)
    it.set(where="all", delay="100ms", name="slow")
    inside = open_socket(it.namespaces["n5"], socket.AF_INET, socket.SOCK_DGRAM)
    outside = open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_DGRAM)
    listener = open_socket(it.namespaces["n5"], socket.AF_INET, socket.SOCK_STREAM)
    talker = open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_STREAM)
    with inside, outside, listener, talker:
        inside.bind((it.addresses["n5"], 4000))
        inside.setblocking(False)
        listener.bind((it.addresses["n5"], 4001))
        listener.listen()
        talker.connect((it.addresses["n5"], 4001))
        peer, _ = listener.accept()
        with peer:
            for number in range(50):
                # Held when the cut comes.
                outside.sendto(number.to_bytes(2, "big"), (it.addresses["n5"], 4000))
            it.set(cut="halves", name="cut")
            for number in range(50, 100):
                outside.sendto(number.to_bytes(2, "big"), (it.addresses["n5"], 4000))
            talker.send(b"during")
            time.sleep(0.5)
            assert heard(inside) == []
            assert it.ping("n0", "n5", count=5)[0] == 0
            assert it.ping("n0", "n1", count=5)[0] == 5
            it.network.clear("cut")
            time.sleep(0.3)
            assert heard(inside) == []  # nothing comes late
            peer.settimeout(20)
            assert peer.recv(16) == b"during"


def heard(receiver: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(receiver.recv(16))
        except BlockingIOError:
            return found


def test_half_open_lets_what_exists_go_on_and_nothing_new(net):
    it = net()
    listener = open_socket(it.namespaces["n1"], socket.AF_INET, socket.SOCK_STREAM)
    old, new = (
        open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_STREAM) for _ in range(2)
    )
    with listener, old, new:
        listener.bind((it.addresses["n1"], 4001))
        listener.listen()
        old.connect((it.addresses["n1"], 4001))
        peer, _ = listener.accept()
        it.set(where="n0 -> n1", half_open="new")
        new.settimeout(1.5)
        with peer, pytest.raises(TimeoutError):
            old.send(b"still here")
            peer.settimeout(5)
            assert peer.recv(16) == b"still here"
            new.connect((it.addresses["n1"], 4001))


def test_half_open_established_cuts_what_exists(net):
    """New connections pass meanwhile, and the old one goes on afterwards."""
    it = net()
    listener = open_socket(it.namespaces["n1"], socket.AF_INET, socket.SOCK_STREAM)
    old, new = (
        open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_STREAM) for _ in range(2)
    )
    with listener, old, new:
        listener.bind((it.addresses["n1"], 4001))
        listener.listen()
        old.connect((it.addresses["n1"], 4001))
        peer, _ = listener.accept()
        it.set(where="n0 -> n1", half_open="established", name="h")
        new.settimeout(3)
        new.connect((it.addresses["n1"], 4001))
        other, _ = listener.accept()
        with peer, other:
            new.send(b"new")
            other.settimeout(3)
            assert other.recv(16) == b"new"
            old.send(b"old")
            peer.settimeout(1)
            with pytest.raises(TimeoutError):
                peer.recv(16)
            assert it.network.reading().counters["old"] >= 1
            it.network.clear("h")
            peer.settimeout(5)
            assert peer.recv(16) == b"old"


def test_regions_have_their_baseline_and_a_fault_adds_to_it(net):
    it = net(
        6,
        regions=2,
        baseline={("r0", "r1"): Impairment(delay_ms=30), ("r1", "r0"): Impairment(delay_ms=30)},
    )
    assert it.ping("n0", "n5")[1] == pytest.approx(60, abs=15)
    assert it.ping("n0", "n1")[1] < 15
    it.set(where="n0 -> n5", delay="40ms", name="more")
    assert it.ping("n0", "n5")[1] == pytest.approx(100, abs=20)
    assert it.ping("n1", "n5")[1] == pytest.approx(60, abs=15)
    it.network.clear()
    assert it.ping("n0", "n5")[1] == pytest.approx(60, abs=15)


def test_what_no_backend_here_can_do_is_refused(net):
    """Nothing in the kernel changes."""
    it = net()
    if it.network.backends.get("duplicate") == "netem":
        pytest.skip("this kernel has netem")
    it.set(where="n0 -> n1", delay="20ms", name="a")
    before = it.kernel()
    with pytest.raises(UnavailableError, match="duplicate: only netem can do that"):
        it.network.set(spec.parse({"where": "n0 -> n1", "duplicate": "1%"}).resolve(it.nodes, 1))
    assert re.sub(r"packets \d+ bytes \d+", "", it.kernel()) == re.sub(
        r"packets \d+ bytes \d+", "", before
    )


def tcp(it: Net, node: str) -> socket.socket:
    return open_socket(it.namespaces[node], socket.AF_INET, socket.SOCK_STREAM)


class Echo:
    """A listener at n1:8000 that says who is connected, and one exchange from n0."""

    def __init__(self, it: Net) -> None:
        self.it = it
        self.listener = tcp(it, "n1")
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((it.addresses["n1"], 8000))
        self.listener.listen()
        self.listener.settimeout(3)

    def exchange(self) -> tuple[str, float]:
        """Whom n1 sees, and the ms of one byte to it and back; raises OSError where nobody gets
        through.
        """
        with tcp(self.it, "n0") as here:
            here.settimeout(3)
            here.connect((self.it.addresses["n1"], 8000))
            peer, address = self.listener.accept()
            with peer:
                begun = time.monotonic()
                here.send(b".")
                peer.send(peer.recv(1))
                assert here.recv(1) == b"."
                return address[0], (time.monotonic() - begun) * 1e3

    def shortest_ms(self) -> float:
        """Of five exchanges: a busy machine only adds to one."""
        return min(self.exchange()[1] for _ in range(5))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()


@pytest.mark.toxiproxy
def test_a_stream_fault_leaves_the_ends_their_addresses(net):
    """It folds with the other faults of the path."""
    it = net(ports=(8000,))
    with Echo(it) as echo:
        assert echo.shortest_ms() < 20
        it.set(where="n0 -> n1", toxic=["latency latency=100"], name="t")
        assert echo.exchange()[0] == it.addresses["n0"]
        assert echo.shortest_ms() == pytest.approx(100, abs=20)
        it.set(where="n0 -> n1", delay="40ms", name="d")
        assert echo.shortest_ms() == pytest.approx(140, abs=20)
        it.set(
            where="n0 -> n1",
            toxic=["latency latency=200", "slicer average_size=64 size_variation=8 delay=5"],
            name="t",
        )
        assert echo.shortest_ms() == pytest.approx(240, abs=40)
        it.network.clear()
        assert echo.shortest_ms() < 20
    assert it.kernel() == it.before


@pytest.mark.toxiproxy
@pytest.mark.parametrize("speaks", ["dialler", "dialled"])
def test_a_connection_that_stood_before_its_toxic_is_reset(net, speaks):
    """Else it would go on past the proxy, and the toxic would be said to be in force."""
    it = net(ports=(8000,))
    with Echo(it) as echo, tcp(it, "n0") as here:
        here.settimeout(3)
        here.connect((it.addresses["n1"], 8000))
        there, _ = echo.listener.accept()
        with there:
            it.set(where="n0 -> n1", toxic=["latency latency=100"])
            end, other = (here, there) if speaks == "dialler" else (there, here)
            end.send(b".")
            with pytest.raises(ConnectionResetError):
                end.recv(1)
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(1)
        assert it.network.reading().counters["past"] >= 1
        assert echo.shortest_ms() == pytest.approx(100, abs=20)


@pytest.mark.toxiproxy
def test_what_the_target_dials_from_its_own_port_is_no_flow_of_the_toxic(net):
    it = net(ports=(8000,))
    it.set(where="n0 -> n1", toxic=["latency latency=100"])
    with tcp(it, "n0") as listener, tcp(it, "n1") as here:
        listener.bind((it.addresses["n0"], 8000))
        listener.listen()
        here.bind((it.addresses["n1"], 8000))
        here.settimeout(3)
        here.connect((it.addresses["n0"], 8000))
        there, _ = listener.accept()
        with there:
            for sender, receiver in ((here, there), (there, here)):
                sender.send(b".")
                receiver.settimeout(3)
                assert receiver.recv(1) == b"."


@pytest.mark.toxiproxy
@pytest.mark.parametrize(
    "toxics",
    [
        ["latency latency=100"],
        ["latency latency=80 stream=upstream", "bandwidth rate=100"],
        ["slicer average_size=100 size_variation=10 delay=100"],
        ["timeout timeout=300"],
        ["reset_peer timeout=200 stream=upstream"],
        ["limit_data bytes=5000"],
        ["slow_close delay=300", "latency latency=20"],
    ],
    ids=lambda toxics: toxics[0].split()[0],
)
def test_streams_of_our_own_show_what_a_toxic_does(net, toxics):
    it = net(ports=(8000,))
    it.set(where="n0 -> n1", toxic=toxics)
    shown = stream_n0_n1(it)
    kinds = {words.split()[0] for words in toxics}
    assert {what.split()[1] for what in shown if what.startswith("toxic")} == kinds
    assert set(shown.values()) == {"in force"}, shown
    it.run(None, "nft", "flush", "set", "ip", "harness", "streams")
    past = stream_n0_n1(it)
    assert {answer for what, answer in past.items() if what.startswith("toxic")} == {
        "not in force"
    }, past


def test_what_each_rate_let_through_is_counted(net):
    """The counts are by node, path and direction."""
    it = net()
    it.set(where="n0", up="20mbit", name="up")
    it.set(where="n1", down="10mbit", name="down")
    it.set(where="n0 -> n1", rate="5mbit", name="path")
    before = {
        (limit.which, limit.node): count for limit, count in it.network.reading().sent.items()
    }
    assert before.keys() == {("up", 0), ("down", 1), ("into", 1)}
    assert len(it.one_way(400, 0.001)) == 400  # 60 bytes each on their way
    after = {(limit.which, limit.node): count for limit, count in it.network.reading().sent.items()}
    for which, count in before.items():
        assert 400 * 40 <= after[which] - count <= 400 * 80 + 2_000, which


def stream_n0_n1(it: Net) -> dict[str, str]:
    here, there = it.network.wires["n0"], it.network.wires["n1"]
    below = {
        "upstream": it.network.state.of("n0", "n1"),
        "downstream": it.network.state.of("n1", "n0"),
    }
    return {
        seen.what: seen.answer
        for seen in stream(
            (here.namespace, there.namespace), there.address, below["upstream"].toxics, below
        )
    }


@pytest.mark.toxiproxy
@pytest.mark.parametrize("direction", ["n0 -> n1", "n1 -> n0"])
def test_nothing_crosses_a_cut_through_a_proxy_in_either_direction(net, direction):
    it = net(ports=(8000,))
    with Echo(it) as echo:
        it.set(where="n0 -> n1", toxic=["latency latency=1"], name="t")
        it.network.set(
            Fault(name="c", far={direction.split()[0]: frozenset({direction.split()[2]})})
        )
        with pytest.raises(OSError, match="timed out"):
            echo.exchange()
        it.network.clear("c")
        assert echo.exchange()[0] == it.addresses["n0"]


@pytest.mark.toxiproxy
def test_a_proxy_that_dies_or_is_changed_is_noticed(net):
    it = net(ports=(8000,))
    it.set(where="n0 -> n1", toxic=["bandwidth rate=100"], name="t")
    pid = int(
        subprocess.run(
            ["pgrep", "-n", "-f", "toxiproxy-server -host|server -host 127.0.0.1 -port 8474"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: "Toxiproxy did not get" in it.network.drift()["toxiproxy"])
    it.network.clear()
    assert it.network.drift() == {"kernel": None}


@pytest.mark.toxiproxy
def test_a_strangers_rule_before_the_proxies_is_told_of_after_the_next_change_too(net):
    """Every change took the rules that stood then for its own."""
    it = net(ports=(8000,))
    it.set(where="n0 -> n1", toxic=["latency latency=5"])
    proxies = it.network._standing["toxiproxy"]
    with closing(Nft(proxies._namespace)) as nft:
        nft.run("insert rule ip px out accept")
    it.network.set(
        spec.parse({"where": "n1 -> n0", "toxic": "latency latency=5"}).resolve(it.nodes, 1)
    )
    assert "are not as they were made" in it.network.drift()["toxiproxy"]


@pytest.mark.toxiproxy
def test_proxies_whose_server_does_not_answer_leave_nothing(net, monkeypatch):
    """Every later toxic met "File exists"."""
    it = net(ports=(8000,))

    def silent(_: Toxiproxy) -> None:
        raise UnavailableError("Toxiproxy did not get /version")

    with monkeypatch.context() as broken:
        broken.setattr(Toxiproxy, "_await", silent)
        with pytest.raises(UnavailableError, match="did not get /version"):
            it.set(where="n0 -> n1", toxic=["latency latency=5"])
    assert it.kernel() == it.before
    assert it.network.drift() == {"kernel": None}
    it.set(where="n0 -> n1", toxic=["latency latency=5"])


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


def test_an_engine_that_cannot_have_the_queue_leaves_no_rule(net):
    it = net()
    with (
        queue.bound(it.fabric.hub),
        pytest.raises(HarnessError, match="netfilter queue"),
    ):
        it.set(where="n0 -> n1", delay="5ms")
    assert it.kernel() == it.before
    it.set(where="n0 -> n1", delay="5ms")


def test_a_rule_that_stood_before_the_queues_is_a_strangers(net):
    it = net()
    it.run(None, "sh", "-c", "iptables-legacy -t mangle -A FORWARD -s 198.18.0.3 -j DROP")
    it.network.set(spec.parse({"where": "n0 -> n1", "delay": "5ms"}).resolve(it.nodes, 1))
    assert "-s 198.18.0.3/32 -j DROP" in it.network.drift()["nfqueue"]


def test_a_stream_fault_of_a_system_that_speaks_no_tcp_is_refused(net):
    it = net()
    with pytest.raises(
        UnavailableError, match="toxic: this system's nodes are not dialled over TCP"
    ):
        it.network.set(
            spec.parse({"where": "n0 -> n1", "toxic": "latency latency=5"}).resolve(it.nodes, 1)
        )
    assert it.kernel() == it.before


@pytest.mark.parametrize("states", [int(os.environ.get("HARNESS_STATES", "60"))])
def test_random_states_are_read_back_as_asked(net, states):
    """The last clear leaves the kernel as it was."""
    it = net(20)
    it.walk(states)
    assert it.network.drift() == {"kernel": None}
    assert it.kernel() == it.before


def test_large_blocks_are_prefixes_that_come_and_go_under_each_other(net):
    """One transaction takes away prefixes and adds others that overlap them."""
    it = net(24, regions=2, baseline={("r0", "r1"): Impairment(delay_ms=20)})
    it.set(where="all", delay="30ms", name="all")
    assert (len(it.network.compiled.paths), len(it.network.compiled.regions)) == (0, 4)
    assert it.ping("n0", "n1")[1] == pytest.approx(60, abs=20)
    assert it.ping("n0", "n20")[1] == pytest.approx(80, abs=20)
    it.set(where="n1,n2,n3,n4,n5,n6,n7,n8,n9 -> all", delay="40ms", name="some")
    assert it.ping("n1", "n0")[1] == pytest.approx(100, abs=20)  # there 70, back 30
    assert it.ping("n0", "n23")[1] == pytest.approx(80, abs=20)
    it.set(where="n0 -> n1", delay="50ms", name="one")
    assert it.ping("n0", "n1")[1] == pytest.approx(150, abs=20)  # there 80, back 70
    it.network.clear("all")
    assert not any(it.network.drift().values())
    assert it.ping("n0", "n1")[1] == pytest.approx(90, abs=20)
    it.network.clear("some")
    assert not any(it.network.drift().values())
    it.network.clear()
    assert it.ping("n0", "n20")[1] == pytest.approx(20, abs=15)


def test_probes_measure_one_way(net):
    it = net()
    it.set(where="n0 -> n1", delay="50ms")
    prober = Prober(it.namespaces, it.addresses)
    found = prober.probe({("n0", "n1"): 10, ("n1", "n0"): 10}, 0.4)
    prober.close()
    assert [len(heard.delays) for heard in found.values()] == [10, 10]
    assert sorted(found["n0", "n1"].delays)[5] == pytest.approx(50, abs=10)
    assert sorted(found["n1", "n0"].delays)[5] < 10


# ---- a second program changes the kernel behind our back -----------------------------------------

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


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = Desk(tmp_path_factory.mktemp("network"), "network")
    made.write("ten.toml", "[nodes]\ncount = 10\n[shape]\nkind = 'full-mesh'\n")
    made.ok("up", "ten.toml")
    yield made
    made.ok("down")
    made.assert_nothing_left()
    made.close()


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
