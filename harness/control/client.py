"""The client's side of the control socket: JSON lines over a unix socket.

    → {"id": 1, "method": "status", "params": {}}  exec: descriptors by SCM_RIGHTS
    ← {"id": 1, "result": {…}}   or   {"id": 1, "error": {"kind": "NameTakenError", "message": "…"}}

The socket answers only the user who started the supervisor. Errors cross it as what they are: a
NameTakenError raised in the supervisor is a NameTakenError in the client.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Self

from harness import errors
from harness.choices import did_you_mean
from harness.control import state
from harness.errors import HarnessError, UnavailableError
from harness.kernel.descriptors import peer


def raised(kind: str, message: str) -> HarnessError:
    """Return the error of the harness with that name (HarnessError where there is none)."""
    found = getattr(errors, kind, HarnessError)
    return (
        found(message)
        if isinstance(found, type) and issubclass(found, HarnessError)
        else HarnessError(message)
    )


class Client:
    """A connection to a supervisor. Blocking; one call at a time."""

    def __init__(self, connection: socket.socket, cluster: str) -> None:
        self._connection = connection
        self._buffer = b""
        self._calls = 0
        self.cluster = cluster

    @classmethod
    def connect(cls, cluster: str | None = None, *, timeout_s: float | None = None) -> Client:
        """Connect to a cluster (None: $HARNESS_CLUSTER, else ``main``).

        `timeout_s`: how long each answer is waited for; None: as long as it takes. Raises
        UnavailableError with one sentence.
        """
        name = state.cluster_name(cluster)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(state.folder(name) / "control.sock"))
        except OSError as error:
            connection.close()
            if (state.folder(name)).exists() and not state.is_alive(name):
                raise UnavailableError(
                    f"the supervisor of cluster {name!r} is gone: `harness doctor` removes what "
                    "it left, then `harness up` starts anew"
                ) from None
            others = [other for other in state.clusters() if state.is_alive(other)]
            meant = did_you_mean(name, others)
            running = (
                f"{meant}; running: {', '.join(others)} (HARNESS_CLUSTER chooses)" if others else ""
            )
            raise UnavailableError(
                f"no cluster {name!r} is up: `make cluster-10` or `harness up` starts one{running}"
            ) from error
        return cls(connection, name)

    @property
    def supervisor(self) -> int:
        """The pid of the supervisor, without asking it; 0: it is of another PID namespace."""
        return peer(self._connection)[0]

    def close(self) -> None:
        """Close the connection. The supervisor goes on."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, descriptors: Sequence[int] = ()
    ) -> Any:
        """Ask for one thing and wait for the answer.

        Raises what the supervisor raised, UnavailableError if it died.
        """
        self._calls += 1
        line = (
            json.dumps({"id": self._calls, "method": method, "params": params or {}}).encode()
            + b"\n"
        )
        try:
            if descriptors:
                socket.send_fds(self._connection, [line[:1]], list(descriptors))
                line = line[1:]
            self._connection.sendall(line)
            answer = json.loads(self._read_line())
        except TimeoutError as error:
            raise UnavailableError(
                f"the supervisor of cluster {self.cluster!r} does not answer"
            ) from error
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"the supervisor of cluster {self.cluster!r} ended while it was asked for {method}"
            ) from error
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
        """Return the state of the cluster now; keys as in docs/interfaces.md, ``version`` 1."""
        answer: dict[str, Any] = self.call("status")
        return answer

    def begin(self, **plan: Any) -> dict[str, Any]:
        """Open a run folder for a timeline; see Supervisor.begin."""
        answer: dict[str, Any] = self.call("begin", plan)
        return answer

    def start(self, **facts: Any) -> dict[str, Any]:
        """Start the clock of the run that was begun; see Supervisor.start."""
        answer: dict[str, Any] = self.call("start", facts)
        return answer

    def end_phase(self, **ended: Any) -> None:
        """End a phase whose condition held; see Recording.end_phase."""
        self.call("end-phase", ended)

    def end(self, **facts: Any) -> dict[str, Any]:
        """Close the run folder; see Supervisor.end."""
        answer: dict[str, Any] = self.call("end", facts)
        return answer
