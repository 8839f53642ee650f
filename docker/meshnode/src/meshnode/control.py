"""The control socket: msgpack frames, descriptors, and HTTP for `GET /health` and `/metrics`; on a
unix socket, off the data plane.

Read with recvmsg on the bare socket: the event loop's transports would discard the descriptors.
"""

import asyncio
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgpack

from meshnode.metrics import CONTENT_TYPE

MAX_FRAME_BYTES = 64 << 20
READ_BYTES = 256 << 10
MAX_DESCRIPTORS = 8
MAX_BACKLOG_BYTES = 256 << 20  # unread answers: a caller that never reads is cut off

_LENGTH = struct.Struct("<I")
_HTTP = b"GET "
_MAX_HTTP_BYTES = 8192


class ControlError(Exception):
    """A frame that is not PROTOCOL.md §2: the client is told and cut off. Or a method that cannot
    do what is asked.
    """


class Handler(Protocol):
    """Who answers."""

    def operations(self, client: "Client", rows: list[Any]) -> None:
        """Do these. Raises ControlError, with nothing begun, for a malformed row."""

    def call(self, method: str, params: dict[str, Any], descriptors: list[int]) -> Any:
        """Answer an administrative call. Raises ControlError. Descriptors it takes are removed from
        the list.
        """

    def health(self) -> dict[str, Any]:
        """The health map."""

    def metrics(self) -> str:
        """Health and histograms as Prometheus' text."""


class Control:
    """Listens on `path` and serves every client."""

    def __init__(self, path: Path, handler: Handler, soon: Callable[[], None]) -> None:
        self._path = path
        self._handler = handler
        self._soon = soon
        self._clients: set[Client] = set()
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Raises OSError."""
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)  # the mode must be right from the first moment
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(mask)
        self._listener.listen(64)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def flush(self) -> None:
        """Write every client's answers of this turn."""
        for client in list(self._clients):
            client.flush()

    def close(self) -> None:
        """Flush, close all, remove the socket."""
        self.flush()
        for client in list(self._clients):
            client.close()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except (
            OSError
        ):  # the client is gone already, or descriptors ran out: the next one may succeed
            return
        connection.setblocking(False)
        self._clients.add(Client(connection, self._handler, self._soon, self._clients.discard))


class Client:
    """One connection. Answers are gathered and written by `flush`."""

    def __init__(
        self,
        connection: socket.socket,
        handler: Handler,
        soon: Callable[[], None],
        gone: Callable[["Client"], None],
    ) -> None:
        self._socket = connection
        self._handler = handler
        self._soon = soon
        self._gone = gone
        self._in = bytearray()
        self._out = bytearray()
        self._done: list[Any] = []
        self._descriptors: list[int] = []
        self._is_writing = self._is_ending = self._is_closed = False
        asyncio.get_running_loop().add_reader(connection, self._readable)

    def done(self, row: list[Any]) -> None:
        """Report the end of an operation: [id, outcome, done_ns, detail]."""
        if not self._is_closed:
            self._done.append(row)
            self._soon()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._done:
            done, self._done = self._done, []
            self._queue(["done", done])
        if self._out and not self._is_writing:
            self._writable()

    def close(self) -> None:
        """Drop the connection."""
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        if self._is_writing:
            loop.remove_writer(self._socket)
        self._close_descriptors()
        self._socket.close()
        self._gone(self)

    # Reading

    def _readable(self) -> None:
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                READ_BYTES, socket.CMSG_SPACE(MAX_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        del flags
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors += struct.unpack(
                    f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4]
                )
        if not data:
            self.close()
            return
        if self._is_ending:
            return
        self._in += data
        try:
            self._take()
        except ControlError as error:
            self._queue(["reply", None, str(error), None])
            self._end()
        self._soon()

    def _take(self) -> None:
        if self._in.startswith(_HTTP):
            self._take_http()
            return
        at = 0
        while len(self._in) - at >= _LENGTH.size and not self._is_ending:
            (length,) = _LENGTH.unpack_from(self._in, at)
            if length > MAX_FRAME_BYTES:
                raise ControlError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are read")
            if len(self._in) - at < _LENGTH.size + length:
                break
            at += _LENGTH.size
            frame = bytes(self._in[at : at + length])
            at += length
            self._frame(frame)
        del self._in[:at]

    def _frame(self, data: bytes) -> None:
        try:
            frame = msgpack.unpackb(data)
        except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
            raise ControlError(f"a frame is not msgpack: {error}") from error
        match frame:
            case ["op", list(rows)]:
                self._handler.operations(self, rows)
            case ["call", sequence, str(method), dict(params)]:
                self._call(sequence, method, params)
            case _:
                raise ControlError('expected ["op", rows] or ["call", seq, method, params]')

    def _call(self, sequence: Any, method: str, params: dict[str, Any]) -> None:
        self.flush()  # answers keep their order
        try:
            value, error = self._handler.call(method, params, self._descriptors), None
        except ControlError as refused:
            value, error = None, str(refused)
        if len(self._descriptors) > MAX_DESCRIPTORS:
            raise ControlError("descriptors that no call takes")
        self._queue(["reply", sequence, error, value])

    def _take_http(self) -> None:
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            if len(self._in) > _MAX_HTTP_BYTES:
                self.close()
            return
        path = self._in.split(b" ", 2)[1]
        kind = "application/json"
        if path == b"/health":
            health = self._handler.health()
            status, body = (
                ("200 OK" if health["ready"] else "503 Service Unavailable"),
                json.dumps(health),
            )
        elif path == b"/metrics":
            status, kind, body = "200 OK", CONTENT_TYPE, self._handler.metrics()
        else:
            status, body = (
                "404 Not Found",
                json.dumps({"error": "possible are /health and /metrics"}),
            )
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: "
            f"{len(body.encode())}\r\nConnection: close\r\n\r\n"
        )
        self._out += (head + body).encode()
        self._end()

    # Writing

    def _queue(self, frame: list[Any]) -> None:
        packed = msgpack.packb(frame)
        self._out += _LENGTH.pack(len(packed))
        self._out += packed
        if len(self._out) > MAX_BACKLOG_BYTES:
            self.close()

    def _end(self) -> None:
        """Close once everything is written."""
        self._is_ending = True
        self._in.clear()

    def _writable(self) -> None:
        try:
            while self._out and not self._is_closed:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            if not self._is_writing:
                self._is_writing = True
                asyncio.get_running_loop().add_writer(self._socket, self._writable)
            return
        except OSError:
            self.close()
            return
        if self._is_writing:
            self._is_writing = False
            asyncio.get_running_loop().remove_writer(self._socket)
        if self._is_ending:
            self.close()

    def _close_descriptors(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
