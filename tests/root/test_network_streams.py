"""Faults of streams through Toxiproxy on real namespaces, and connections that meet them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import closing
from typing import Self

import pytest
from kit.desk import wait_for
from kit.network import Net

from harness.errors import UnavailableError
from harness.faults import spec
from harness.faults.fault import Fault
from harness.kernel.namespaces import open_socket
from harness.kernel.nft import Nft
from harness.network.injectors.toxiproxy import Toxiproxy
from harness.network.proof.streams import stream

pytestmark = pytest.mark.root


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


def test_a_stream_fault_of_a_system_that_speaks_no_tcp_is_refused(net):
    it = net()
    with pytest.raises(
        UnavailableError, match="toxic: this system's nodes are not dialled over TCP"
    ):
        it.network.set(
            spec.parse({"where": "n0 -> n1", "toxic": "latency latency=5"}).resolve(it.nodes, 1)
        )
    assert it.kernel() == it.before
