"""Control connections to nodes inside gevent's loop: non-blocking unix sockets, opened when first
needed.

A send that the kernel does not take at once, because the node does not read, is queued and counted
as blocked. An operation is sent once the last byte of its frame went to the kernel; its `sent_ns`
is when the frame was offered: how long the node let it wait is the node's time, not the
generator's. Receiving is a callback of the loop: it only parses.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, NamedTuple

import gevent
from gevent import monkey

from harness.errors import HarnessError
from harness.load.flight import Flight
from harness.operations import Request, Response
from harness.systems.adapter import Codec

PlainSocket = monkey.get_original("socket", "socket")  # gevent's own would wait where we must not
READABLE, WRITABLE = 1, 2
RECEIVE_BYTES = 1 << 18
QUEUE_BYTES_MAX = 8 << 20  # a node that reads nothing must not fill our memory
RETRY_NS = 100_000_000  # a node that is down is asked again at most ten times a second

Answered = Callable[[list[Response]], None]
Dropped = Callable[[Iterable[Flight], str], None]  # these were never sent, and why
Lost = Callable[[int, str], None]  # what was sent to this node is without an answer, and why
Failed = Callable[[BaseException], None]  # an error of ours, in a callback without a greenlet


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a connection calls when something happens on it."""

    answered: Answered
    dropped: Dropped
    lost: Lost
    failed: Failed


class Frame(NamedTuple):
    """What is to be sent by one call: bytes, the operations in it, when it was first offered."""

    data: memoryview
    flights: Sequence[Flight]
    offered_ns: int


class Connection:
    """One node's control socket."""

    def __init__(self, node: int, path: str, codec: Callable[[], Codec], heard: Heard) -> None:
        self.node = node
        self.blocked = 0
        self._path = path
        self._new_codec = codec
        self._codec = codec()
        self._heard = heard
        self._socket: Any = None
        self._watchers: tuple[Any, Any] | None = None
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._offset = 0  # bytes of the first queued frame that the kernel has taken
        self._retry_ns = 0
        self._refusal = ""

    def send(self, requests: Sequence[Request], flights: Sequence[Flight]) -> None:
        """Send one frame with these requests now, or as soon as the node reads again; never
        waits.
        """
        if self._socket is None and not self._open():
            self._heard.dropped(flights, f"unsent: {self._refusal}")
            return
        data = self._codec.encode(requests)
        if self._queue and self._queued_bytes + len(data) > QUEUE_BYTES_MAX:
            self.blocked += len(flights)
            self._heard.dropped(flights, "unsent: the node does not read its control socket")
            return
        self._queue.append(Frame(memoryview(data), flights, monotonic_ns()))
        self._queued_bytes += len(data)
        if len(self._queue) == 1:
            self._flush()
        if self._queue:
            self.blocked += len(flights)

    def expire(self, now_ns: int) -> None:
        """Take back queued frames whose deadline is over, except one of which the node has a part:
        it may yet be done.
        """
        if not self._queue:
            return
        queued, self._queue = self._queue, deque()
        for position, frame in enumerate(queued):
            if frame.flights[0].deadline_ns > now_ns or (position == 0 and self._offset):
                self._queue.append(frame)
            else:
                self._queued_bytes -= len(frame.data)
                self._heard.dropped(
                    frame.flights, "unsent: the node did not read its control socket in time"
                )

    def close(self, why: str) -> None:
        """Close the socket. Frames that were not sent whole count as not sent: a node acts on whole
        frames only.
        """
        if self._socket is None:
            return
        assert self._watchers is not None
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._watchers = None
        self._socket.close()
        self._socket = None
        self._offset = 0
        queued, self._queue, self._queued_bytes = self._queue, deque(), 0
        for frame in queued:
            self._heard.dropped(frame.flights, f"unsent: {why}")
        self._heard.lost(self.node, why)

    def _open(self) -> bool:
        now_ns = monotonic_ns()
        if now_ns < self._retry_ns:
            return False
        opened = PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            opened.connect(self._path)
        except OSError as error:
            opened.close()
            self._retry_ns = now_ns + RETRY_NS
            self._refusal = f"the node cannot be reached ({error.strerror})"
            return False
        loop = gevent.get_hub().loop
        readable, writable = loop.io(opened.fileno(), READABLE), loop.io(opened.fileno(), WRITABLE)
        self._socket, self._codec, self._watchers = opened, self._new_codec(), (readable, writable)
        readable.start(self._guarded(self._receive))
        return True

    def _flush(self) -> None:
        assert self._socket is not None
        assert self._watchers is not None
        while self._queue:
            frame = self._queue[0]
            try:
                self._offset += self._socket.send(frame.data[self._offset :])
            except BlockingIOError:
                break
            except OSError as error:
                self.close(f"the connection broke ({error.strerror})")
                return
            if self._offset < len(frame.data):
                continue
            for flight in frame.flights:
                flight.sent_ns = frame.offered_ns
            self._queue.popleft()
            self._queued_bytes -= len(frame.data)
            self._offset = 0
        writable = self._watchers[1]
        if self._queue and not writable.active:
            writable.start(self._guarded(self._flush))
        elif not self._queue and writable.active:
            writable.stop()

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"the connection broke ({error.strerror})")
            return
        if not data:
            self.close("the node closed its control socket")
            return
        try:
            responses = self._codec.feed(data)
        except HarnessError as error:
            self.close(str(error))
            return
        self._heard.answered(responses)

    def _guarded(self, callback: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            try:
                callback()
            except Exception as error:  # of any kind: the loop would print it and go on
                self._heard.failed(error)

        return call


class Connections:
    """The connections of one worker, by node index."""

    def __init__(self, paths: Sequence[str], codec: Callable[[], Codec], heard: Heard) -> None:
        self._made: dict[int, Connection] = {}
        self._paths, self._codec, self._heard = paths, codec, heard

    def to(self, node: int) -> Connection:
        """The connection to a node: made when first asked for, opened by its first send."""
        connection = self._made.get(node)
        if connection is None:
            connection = self._made[node] = Connection(
                node, self._paths[node], self._codec, self._heard
            )
        return connection

    @property
    def blocked(self) -> int:
        """How many operations could not be sent at once."""
        return sum(connection.blocked for connection in self._made.values())

    def expire(self, now_ns: int) -> None:
        """Take back the overdue frames of every connection, as Connection.expire does."""
        for connection in self._made.values():
            connection.expire(now_ns)

    def close(self, why: str) -> None:
        """Close every connection."""
        for connection in self._made.values():
            with suppress(OSError):
                connection.close(why)
