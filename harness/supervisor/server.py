"""The supervisor's side of the control socket."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import errors
from harness.choices import possible
from harness.errors import HarnessError
from harness.kernel.descriptors import peer, receive
from harness.redaction import redacted

Handler = Callable[[dict[str, Any], list[int], socket.socket], Any]

LINE_BYTES_MAX = 64 * 1024 * 1024

DESCRIPTORS_MAX = 3


class Server:
    """Answers clients, a thread each, until it is closed.

    It hears only the user who started the cluster.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(128)
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening; calls under way end with the process."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if peer(connection)[1] != os.getuid():
                connection.close()
                continue
            threading.Thread(
                target=self._serve, args=(connection,), name="control client", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer, descriptors = b"", list[int]()
        try:
            while len(buffer) <= LINE_BYTES_MAX and len(descriptors) <= DESCRIPTORS_MAX:
                data, arrived = receive(connection, 1 << 16, DESCRIPTORS_MAX)
                descriptors += arrived
                if not data:
                    return
                buffer += data
                while b"\n" in buffer:
                    line, buffer = buffer.split(b"\n", 1)
                    answer = self._answer(line, descriptors, connection)
                    _close(descriptors)
                    connection.sendall(answer + b"\n")
        except OSError:  # the client is gone
            pass
        finally:
            _close(descriptors)
            connection.close()

    def _answer(self, line: bytes, descriptors: list[int], connection: socket.socket) -> bytes:
        number: object = None
        try:
            asked = json.loads(line)
            number = asked["id"]
            handler = self._handlers.get(asked["method"])
            if handler is None:
                raise errors.UsageError(
                    f"unknown method {asked['method']!r}"
                    f"{possible(asked['method'], sorted(self._handlers))}"
                )
            return json.dumps(
                {"id": number, "result": handler(asked["params"], descriptors, connection)}
            ).encode()
        except HarnessError as error:
            kind, message = type(error).__name__, str(error)
        except Exception as error:  # a broken request or a bug of ours must not end the supervisor
            kind, message = (
                "HarnessError",
                f"the supervisor failed on {line[:80]!r}: {type(error).__name__}: {error}",
            )
        told = {"kind": kind, "message": redacted(message)}
        return json.dumps({"id": number, "error": told}).encode()


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
