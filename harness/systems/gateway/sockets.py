"""The serving side of control sockets: unix sockets in an asyncio loop, also for descriptors."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.systems.protocol import frame, frames

RECEIVE_BYTES = 1 << 18
DESCRIPTORS_MAX = 1

# A frame, and the descriptors that came with it.
Heard = Callable[["Connection", list[Any], list[int]], None]


class Connection:
    """One client of a control socket.

    What it says goes to `heard`; what is said to it waits where the kernel does not take it at
    once.
    """

    def __init__(self, connection: socket.socket, heard: Heard) -> None:
        self._socket, self._heard = connection, heard
        self._loop = asyncio.get_running_loop()
        self._received, self._unsent = bytearray(), bytearray()
        self._descriptors: list[int] = []
        self._done: list[Any] = []
        connection.setblocking(False)
        self._loop.add_reader(connection, self._receive)

    def done(self, answer: list[Any]) -> None:
        """Say how an operation ended; all answers of one turn of the loop go in one frame."""
        if not self._done:
            self._loop.call_soon(self._say_done)
        self._done.append(answer)

    def say(self, message: list[Any]) -> None:
        """Send one frame."""
        if self._socket.fileno() == -1:
            return
        idle = not self._unsent
        self._unsent += frame(message)
        if idle:
            self._send()

    def close(self) -> None:
        """Hang up."""
        if self._socket.fileno() == -1:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _say_done(self) -> None:
        answers, self._done = self._done, []
        self.say(["done", answers])

    def _send(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._unsent:
            self._loop.add_writer(self._socket, self._send)
        else:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(
                RECEIVE_BYTES, socket.CMSG_SPACE(4 * DESCRIPTORS_MAX), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors += array.array("i", payload)
        if not data:
            self.close()
            return
        self._received += data
        try:
            for message in frames(self._received):
                descriptors, self._descriptors = self._descriptors, []
                self._heard(self, message, descriptors)
        except HarnessError as error:
            self.say(["reply", None, str(error), None])
            self.close()


def listen(path: Path, heard: Heard) -> socket.socket:
    """Serve at `path`; return the listening socket. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(64)
    listener.setblocking(False)

    def accept() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        Connection(connection, heard)

    asyncio.get_running_loop().add_reader(listener, accept)
    return listener
