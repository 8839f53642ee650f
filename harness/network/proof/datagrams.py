"""Datagrams show what a path does to packets, one way: how late they come, how often, how whole.

The kernel's own time stamps say when they arrived; they are of the wall clock, so each is turned at
once into CLOCK_MONOTONIC, by which it was sent.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from harness.errors import close_all
from harness.kernel.namespaces import open_socket

PORT = 61_000  # outside the ephemeral ports
GAP_S = 0.05  # between two rounds
ROUNDS = 10
AGE_MOST_S = 60.0  # a stamp that is older, or of the future, is of a clock that was set
FULL = (errno.EAGAIN, errno.ENOBUFS)  # nobody refuses: there is no room just now
SO_NO_CHECK, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 11, 33, 35
RECEIVE_BYTES = 1 << 20
PROBE = struct.Struct("=QQ40s")  # sequence, sent (CLOCK_MONOTONIC ns), padding; then their CRC
CRC = struct.Struct("=I")
HEADERS_BYTES = 14 + 20 + 8  # of the link, IP and UDP: a bit flipped there is a lost packet
WHOLE_BYTES = PROBE.size + CRC.size
# Of the packets with a flipped bit, this share has it where a probe can show it.
EXPOSED = WHOLE_BYTES / (WHOLE_BYTES + HEADERS_BYTES)


@dataclass(slots=True, kw_only=True)
class Heard:
    """What was heard on one path.

    `sent`: probes that left; `delays`: one-way ms of each that arrived whole, its first copy;
    `copies`: how many came again; `broken`: how many came with other bytes. `error`: why some could
    not be sent, empty where all were; `refused`: it was the sender's kernel that would not.
    """

    sent: int = 0
    delays: list[float] = field(default_factory=list)
    copies: int = 0
    broken: int = 0
    error: str = ""
    refused: bool = False

    @property
    def missing(self) -> int:
        """How many probes left, and did not arrive."""
        return self.sent - len(self.delays) - self.broken


class Prober:
    """Sends and receives probes between nodes. Sockets are made when a node is first probed."""

    def __init__(self, namespaces: Mapping[str, int], addresses: Mapping[str, str]) -> None:
        self._namespaces, self._addresses = namespaces, addresses
        self._names = {address: name for name, address in addresses.items()}
        self._sockets: dict[str, socket.socket] = {}
        self._stand: dict[str, int] = {}  # node → the namespace of its socket
        self._by_descriptor: dict[int, tuple[str, socket.socket]] = {}
        self._epoll = select.epoll()
        self._sequence = 0

    def probe(
        self,
        counts: Mapping[tuple[str, str], int],
        wait_s: float,
        late_s: Mapping[tuple[str, str], float] | None = None,
    ) -> dict[tuple[str, str], Heard]:
        """Send so many probes on each path, in ten rounds; return what was heard of them.

        A probe counts that arrives within `wait_s` of the last one sent; where probes are missing
        then on a path, those that come by so much later (`late_s`) count too.
        """
        found = {path: Heard() for path in counts}
        first, seen = self._sequence, set[int]()
        for number in range(ROUNDS):
            for path, count in counts.items():
                for _ in range(count * (number + 1) // ROUNDS - count * number // ROUNDS):
                    self._send(path, found[path])
            self._receive(time.monotonic() + GAP_S, first, found, seen)
        over_s = time.monotonic() + wait_s
        self._receive(over_s, first, found, seen)
        for path, more_s in sorted((late_s or {}).items(), key=lambda one: one[1]):
            while found[path].missing and (now_s := time.monotonic()) < over_s + more_s:
                self._receive(min(now_s + GAP_S, over_s + more_s), first, found, seen)
        return found

    def close(self) -> None:
        """Close the sockets."""
        close_all("probing", *(one.close for one in self._sockets.values()), self._epoll.close)

    def _send(self, path: tuple[str, str], heard: Heard) -> None:
        source, target = path
        self._sequence += 1
        try:
            self._socket(target)
            sender = self._socket(source)  # made before the clock is read
            data = PROBE.pack(self._sequence, time.monotonic_ns(), b"")
            try:
                sender.sendto(data + CRC.pack(zlib.crc32(data)), (self._addresses[target], PORT))
            except OSError as error:
                heard.refused = error.errno not in FULL
                raise
            heard.sent += 1
        except OSError as error:
            heard.error = f"port {PORT}: {os.strerror(error.errno or 0)}"

    def _socket(self, node: str) -> socket.socket:
        """Return the node's socket, which is in the namespace that it stands in now."""
        where = os.fstat(self._namespaces[node]).st_ino
        if self._stand.get(node, where) != where:
            old = self._sockets.pop(node)
            self._epoll.unregister(old)
            del self._by_descriptor[old.fileno()]
            old.close()
        if node not in self._sockets:
            made = open_socket(
                self._namespaces[node], socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
            )
            try:
                made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                made.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)  # what is broken is to arrive
                with suppress(PermissionError):
                    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
                made.bind((self._addresses[node], PORT))
            except BaseException:
                made.close()
                raise
            self._sockets[node], self._stand[node] = made, where
            self._by_descriptor[made.fileno()] = node, made
            self._epoll.register(made.fileno(), select.EPOLLIN)
        return self._sockets[node]

    def _receive(
        self, until_s: float, first: int, found: dict[tuple[str, str], Heard], seen: set[int]
    ) -> None:
        """Receive until then, and once more what lies there: this thread may have waited for a core
        while probes came, whose moments the kernel notes.
        """
        is_over = False
        while not is_over:
            left_s = until_s - time.monotonic()
            is_over = left_s <= 0
            for descriptor, _ in self._epoll.poll(max(0.0, left_s)):
                target, one = self._by_descriptor[descriptor]
                with suppress(BlockingIOError):
                    while True:
                        data, ancillary, _, sender = one.recvmsg(256, 64)
                        heard = found.get((self._names.get(sender[0], ""), target))
                        if heard is not None and ancillary:
                            _note(heard, data, arrived_ns(ancillary[0][2]), first, seen)


def arrived_ns(stamp: bytes) -> int:
    """Turn the kernel's stamp (CLOCK_REALTIME) into CLOCK_MONOTONIC ns by its age now.

    Where the wall clock was set meanwhile, the packet counts as having arrived now.
    """
    seconds, nanoseconds = struct.unpack("qq", stamp)
    age_ns = time.time_ns() - (seconds * 10**9 + nanoseconds)
    return time.monotonic_ns() - (age_ns if 0 <= age_ns <= AGE_MOST_S * 1e9 else 0)


def _note(heard: Heard, data: bytes, at_ns: int, first: int, seen: set[int]) -> None:
    if len(data) != WHOLE_BYTES or CRC.pack(zlib.crc32(data[: PROBE.size])) != data[PROBE.size :]:
        heard.broken += 1
        return
    sequence, sent_ns, _ = PROBE.unpack(data[: PROBE.size])
    if sequence <= first:
        return  # of an earlier look
    if sequence in seen:
        heard.copies += 1
        return
    seen.add(sequence)
    heard.delays.append((at_ns - sent_ns) / 1e6)
