"""What crosses between two nodes, and when: how long a cut takes to be effective, and how exactly
packets are delayed. All is seen by datagrams of ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sections import ROOT

sys.path.insert(0, str(ROOT / "tests"))

from kit.network import Net

from harness.errors import HarnessError
from harness.kernel.namespaces import open_socket
from harness.network.proof.datagrams import SO_TIMESTAMPNS

SO_RCVBUFFORCE = 33
PORT = 7999
EVERY_S = 0.0005
SETTLE_S = 0.5
DELAY_MS, PACKETS_PER_S, PACKETS = 50, 20_000, 100_000
Node = dict[str, Any]  # as `status` tells it
Pairs = Sequence[tuple[Node, Node]]


def effective_ms(pairs: Pairs, act: Callable[[], object]) -> float:
    """How long after the call the first datagram was sent of which on none crossed. A sender of
    ours sends on each of the pairs every half a millisecond.
    """
    sockets = [(in_namespace(source), in_namespace(target)) for source, target in pairs]
    sent: list[list[int]] = [[] for _ in pairs]
    over = threading.Event()

    def send() -> None:
        while not over.wait(EVERY_S):
            for number, ((sender, _), (_, target)) in enumerate(zip(sockets, pairs, strict=True)):
                sent[number].append(time.monotonic_ns())
                with contextlib.suppress(OSError):
                    data = sent[number][-1].to_bytes(8, "little")
                    sender.sendto(data, (target["address"], PORT))

    for (_, receiver), (_, target) in zip(sockets, pairs, strict=True):
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        receiver.bind((target["address"], PORT))
    thread = threading.Thread(target=send)
    thread.start()
    try:
        time.sleep(SETTLE_S)
        begun_ns = time.monotonic_ns()
        act()
        acted_ns = time.monotonic_ns()
        time.sleep(SETTLE_S)
    finally:
        over.set()
        thread.join()
    last = [last_crossed(receiver) for _, receiver in sockets]
    for one in sockets:
        for end in one:
            end.close()
    firsts = []
    for times, crossed in zip(sent, last, strict=True):
        if crossed < begun_ns - 100_000_000:
            raise HarnessError("no datagram crossed in the tenth of a second before the cut")
        if crossed > acted_ns + SETTLE_S * 0.8e9:
            raise HarnessError("datagrams still cross half a second after the cut")
        firsts.append(min(at for at in times if at > crossed))
    return max(max(firsts) - begun_ns, 0) / 1e6


def last_crossed(receiver: socket.socket) -> int:
    """When the last datagram that arrived was sent, ns; 0 where none did."""
    receiver.setblocking(False)
    last = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            last = max(last, int.from_bytes(receiver.recv(16), "little"))
    return last


def in_namespace(node: Node) -> socket.socket:
    with open(f"/proc/{node['pid']}/ns/net", "rb") as namespace:
        return open_socket(namespace.fileno(), socket.AF_INET, socket.SOCK_DGRAM)


def delayed() -> tuple[float, float, float, float]:
    """Numbered datagrams through the engine: by how many ms the p50 and the p99 of their delay
    exceed what was asked, the engine's share of a core, and packets a second.
    """
    with contextlib.closing(Net(2)) as net:
        net.set(where="n0 -> n1", delay=f"{DELAY_MS}ms", name="d")
        find = ["pgrep", "-P", str(os.getpid()), "-f", "delay_engine.py"]
        pid = int(subprocess.run(find, capture_output=True, text=True, check=True).stdout)
        clock = (~pid << 3) | 2
        to = (net.addresses["n1"], PORT)
        with (
            open_socket(net.namespaces["n0"], socket.AF_INET, socket.SOCK_DGRAM) as here,
            open_socket(net.namespaces["n1"], socket.AF_INET, socket.SOCK_DGRAM) as there,
        ):
            there.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 512 << 20)
            there.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            there.bind(to)
            used_s, begun_ns = time.clock_gettime(clock), time.monotonic_ns()
            for number in range(PACKETS):
                due_ns = begun_ns + number * 1_000_000_000 // PACKETS_PER_S
                while time.monotonic_ns() < due_ns:
                    pass
                here.sendto(time.time_ns().to_bytes(8, "little"), to)
            lasted_s = (time.monotonic_ns() - begun_ns) / 1e9
            used_s = time.clock_gettime(clock) - used_s
            time.sleep(SETTLE_S)
            found = np.array(list(delays_ms(there))) - DELAY_MS
    if len(found) != PACKETS:
        raise HarnessError(f"{len(found)} of {PACKETS} datagrams arrived through the delay engine")
    p50, p99 = np.quantile(found, (0.5, 0.99))
    print(f"delay: +{p50:.3f} ms, +{p99:.3f} ms, {used_s / lasted_s:.2f} of a core", flush=True)
    return float(p50), float(p99), used_s / lasted_s, PACKETS / lasted_s


def delays_ms(receiver: socket.socket) -> Iterator[float]:
    """How long each datagram that has arrived was under way, by the kernel's stamp."""
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            data, ancillary, _, _ = receiver.recvmsg(16, 64)
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            yield (seconds * 10**9 + nanoseconds - int.from_bytes(data, "little")) / 1e6
