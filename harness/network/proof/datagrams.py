"""Datagrams show whether a path lets packets through, and how late, one way.

The kernel's own time stamps say when they arrive.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from harness.errors import close_all
from harness.kernel.namespaces import open_socket

PORT = 61_000  # outside the ephemeral ports
GAP_S = 0.05  # 20 a second
SO_TIMESTAMPNS = 35
# Sequence, source, target, sent (CLOCK_REALTIME ns, as the kernel stamps).
PROBE = struct.Struct("=IIIQ")


class Prober:
    """Sends and receives probes between nodes. Sockets are made when a node is first probed."""

    def __init__(self, namespaces: Mapping[str, int], addresses: Mapping[str, str]) -> None:
        self._namespaces, self._addresses = namespaces, addresses
        self._names = list(addresses)
        self._index = {name: index for index, name in enumerate(self._names)}
        self._sockets: dict[str, socket.socket] = {}
        self._by_descriptor: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._sequence = 0

    def probe(
        self, paths: list[tuple[str, str]], count: int, wait_s: float, stop: threading.Event
    ) -> dict[tuple[str, str], list[float]]:
        """Send `count` probes on each path; return the one-way delays of those that arrived, in ms.

        A probe counts that arrives within `wait_s` of the last one sent. Where `stop` is set, the
        rest is not sent.
        """
        found: dict[tuple[str, str], list[float]] = {path: [] for path in paths}
        first = self._sequence
        for _ in range(count):
            self._sequence += 1
            for source, target in paths:
                with suppress(OSError):
                    self._socket(target)
                    data = PROBE.pack(
                        self._sequence & 0xFFFFFFFF,
                        self._index[source],
                        self._index[target],
                        time.time_ns(),
                    )
                    self._socket(source).sendto(data, (self._addresses[target], PORT))
            self._receive(time.monotonic() + GAP_S, first, found)
            if stop.is_set():
                return found
        self._receive(time.monotonic() + wait_s, first, found)
        return found

    def close(self) -> None:
        """Close the sockets."""
        close_all("probing", *(one.close for one in self._sockets.values()), self._epoll.close)

    def _socket(self, node: str) -> socket.socket:
        if node not in self._sockets:
            made = open_socket(
                self._namespaces[node], socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            )
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.bind((self._addresses[node], PORT))
            self._sockets[node] = self._by_descriptor[made.fileno()] = made
            self._epoll.register(made.fileno(), select.EPOLLIN)
        return self._sockets[node]

    def _receive(
        self, until_s: float, first: int, found: dict[tuple[str, str], list[float]]
    ) -> None:
        while (left_s := until_s - time.monotonic()) > 0:
            for descriptor, _ in self._epoll.poll(left_s):
                with suppress(BlockingIOError):
                    while True:
                        data, ancillary, _, _ = self._by_descriptor[descriptor].recvmsg(64, 64)
                        if len(data) != PROBE.size or not ancillary:
                            continue
                        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                        sequence, source, target, sent_ns = PROBE.unpack(data)
                        if sequence > first:
                            found[self._names[source], self._names[target]].append(
                                (seconds * 10**9 + nanoseconds - sent_ns) / 1e6
                            )
