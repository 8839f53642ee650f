"""Faults on real namespaces, told by tools that are not ours (ping, iperf3, nft, tc)."""

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

import psutil
import pytest
from kit.desk import wait_for

from harness.errors import HarnessError, UnavailableError, UsageError
from harness.faults import spec
from harness.faults.fault import Verb
from harness.kernel import nfqueue as queue
from harness.kernel.namespaces import open_socket
from harness.network.injectors import nfqueue
from harness.network.proof.datagrams import Prober
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


def test_an_engine_that_lets_packets_go_late_is_told(net):
    """Whoever looked at another moment measured what was asked."""
    it = net()
    it.set(where="n0 -> n1", delay="60ms")
    children = psutil.Process().children(recursive=True)
    [engine] = [one.pid for one in children if "delay_engine" in " ".join(one.cmdline())]
    waker = threading.Timer(0.6, os.kill, (engine, signal.SIGCONT))
    os.kill(engine, signal.SIGSTOP)
    waker.start()
    late = [one for _, one in it.one_way(30) if one > 70]
    assert len(late) > 15
    assert "the delay engine was late: it let" in str(it.network.drift())
    assert not any(it.network.drift().values())  # it is not late since


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


def test_an_engine_that_cannot_have_the_queue_leaves_no_rule(net):
    it = net()
    with (
        queue.bound(it.fabric.hub),
        pytest.raises(HarnessError, match="netfilter queue"),
    ):
        it.set(where="n0 -> n1", delay="5ms")
    assert it.kernel() == it.before
    it.set(where="n0 -> n1", delay="5ms")


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
