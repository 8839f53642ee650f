"""The control socket of a supervisor: JSON lines over a unix socket that answers only the user who started it.

    → {"id": 1, "method": "status", "params": {}}          descriptors (exec) ride on the line as SCM_RIGHTS
    ← {"id": 1, "result": {…}}   or   {"id": 1, "error": {"kind": "NameTakenError", "message": "…"}}

Errors cross it as what they are: a NameTakenError raised in the supervisor is a NameTakenError in the client.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from harness import errors, state
from harness.errors import HarnessError, UnavailableError

Handler = Callable[[dict[str, Any], list[int], socket.socket], Any]
LINE_BYTES_MAX = 64 * 1024 * 1024
DESCRIPTORS_MAX = 3


def raised(kind: str, message: str) -> HarnessError:
    """The exception of our tree with that name (HarnessError where there is none)."""
    found = getattr(errors, kind, HarnessError)
    return found(message) if isinstance(found, type) and issubclass(found, HarnessError) else HarnessError(message)


class Client:
    """A connection to a supervisor. Blocking; one call at a time."""

    def __init__(self, connection: socket.socket, cluster: str) -> None:
        self._connection = connection
        self._buffer = b""
        self._calls = 0
        self.cluster = cluster

    @classmethod
    def connect(cls, cluster: str | None = None) -> Client:
        """Connect to a cluster (None: $HARNESS_CLUSTER, else ``main``). Raises UnavailableError with one sentence."""
        name = state.cluster_name(cluster)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(state.folder(name) / "control.sock"))
        except OSError as error:
            connection.close()
            if (state.folder(name)).exists() and not state.is_alive(name):
                raise UnavailableError(
                    f"the supervisor of cluster {name!r} is gone: `harness doctor` removes what it left, then `harness up` starts anew"
                ) from None
            others = [other for other in state.clusters() if state.is_alive(other)]
            running = f"; running: {', '.join(others)} (HARNESS_CLUSTER chooses)" if others else ""
            raise UnavailableError(f"no cluster {name!r} is up: `make cluster-10` or `harness up` starts one{running}") from error
        return cls(connection, name)

    def close(self) -> None:
        """Close the connection. The supervisor goes on."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, params: Mapping[str, Any] | None = None, descriptors: Sequence[int] = ()) -> Any:
        """Ask for one thing and wait for the answer. Raises what the supervisor raised, UnavailableError if it died."""
        self._calls += 1
        line = json.dumps({"id": self._calls, "method": method, "params": params or {}}).encode() + b"\n"
        try:
            if descriptors:
                socket.send_fds(self._connection, [line[:1]], list(descriptors))
                line = line[1:]
            self._connection.sendall(line)
            answer = json.loads(self._read_line())
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the supervisor of cluster {self.cluster!r} ended while it was asked for {method}") from error
        if "error" in answer:
            raise raised(answer["error"]["kind"], answer["error"]["message"])
        return answer["result"]

    def _read_line(self) -> bytes:
        while b"\n" not in self._buffer:
            data = self._connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def status(self) -> dict[str, Any]:
        """The cluster now; keys as documented in docs/interfaces.md, ``version`` 1."""
        answer: dict[str, Any] = self.call("status")
        return answer

    def begin(self, **plan: Any) -> dict[str, Any]:
        """Open a run folder and have every node journal into it; see Supervisor.begin."""
        answer: dict[str, Any] = self.call("begin", plan)
        return answer

    def end(self, **facts: Any) -> dict[str, Any]:
        """Close the run folder; see Supervisor.end."""
        answer: dict[str, Any] = self.call("end", facts)
        return answer


class Server:
    """Answers clients, a thread each, until closed. Only the user who started the cluster is heard."""

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
            if peer_uid(connection) != os.getuid():
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer, descriptors = b"", list[int]()
        with connection:
            while True:
                try:
                    data, arrived, _, _ = socket.recv_fds(connection, 1 << 16, DESCRIPTORS_MAX)
                except OSError:
                    return
                if not data or len(buffer) > LINE_BYTES_MAX:
                    return
                descriptors += arrived
                buffer += data
                while b"\n" in buffer:
                    line, buffer = buffer.split(b"\n", 1)
                    try:
                        connection.sendall(self._answer(line, descriptors, connection) + b"\n")
                    except OSError:
                        return
                    finally:
                        for descriptor in descriptors:
                            os.close(descriptor)
                        descriptors = []

    def _answer(self, line: bytes, descriptors: list[int], connection: socket.socket) -> bytes:
        number: object = None
        try:
            asked = json.loads(line)
            number = asked["id"]
            handler = self._handlers.get(asked["method"])
            if handler is None:
                raise errors.UsageError(f"unknown method {asked['method']!r}; possible: {', '.join(sorted(self._handlers))}")
            return json.dumps({"id": number, "result": handler(asked["params"], descriptors, connection)}).encode()
        except HarnessError as error:
            kind, message = type(error).__name__, str(error)
        except Exception as error:  # a broken request or a bug of ours must not end the supervisor
            kind, message = "HarnessError", f"the supervisor failed on {line[:80]!r}: {type(error).__name__}: {error}"
        return json.dumps({"id": number, "error": {"kind": kind, "message": message}}).encode()


def peer_uid(connection: socket.socket) -> int:
    """The user behind a unix socket, as this process's user namespace sees it (SO_PEERCRED)."""
    _, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
    return int(uid)
