"""How a container enters its prepared namespace: a static helper in it asks for descriptors over a
socket.

Nothing is mounted that outlives a process: namespace and log travel as SCM_RIGHTS
(docker/enter/enter.c is the helper).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.errors import NodeStartError, UnavailableError
from harness.kernel.proc import is_readable
from harness.runtimes import processes
from harness.runtimes.compiled import built
from harness.runtimes.runtime import Place, Running

CALL_TIMEOUT_S = (
    60.0  # from the engine's "started" to the helper's call: milliseconds, seconds on a full host
)
LOOK_EVERY_S = 0.5  # how often a silent container is asked whether it lives
PEER = struct.Struct("iII")  # struct ucred: pid, uid, gid


def helper() -> Path:
    """Find the compiled helper, or compile it. Raises UnavailableError where there is no C
    compiler.
    """
    need = "the docker runtime needs a C compiler once, for its entry helper"
    return built("docker/enter/enter.c", ("-static", "-Os", "-s"), need)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that was started, and how to ask about it."""

    id: str
    name: str
    started_s: float  # Unix time just before
    is_running: Callable[[], bool]
    said: Callable[[], str]  # its own output so far


class Doorway:
    """The socket at which one container calls. It is made before the container starts, and removed
    after the call.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(str(path))
            path.chmod(0o600)
            self._listener.listen(1)
            self._listener.settimeout(LOOK_EVERY_S)
        except OSError as error:
            self._listener.close()
            raise UnavailableError(
                f"the socket {path} cannot be made: {error.strerror or error}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def call(self, container: Container) -> tuple[socket.socket, int]:
        """Wait for the container's call; returns the connection, and the pid behind it as this host
        sees it.

        Raises NodeStartError where the container ends first, UnavailableError where it does not
        live on this host.
        """
        end = time.monotonic() + CALL_TIMEOUT_S
        while True:
            try:
                connection, _ = self._listener.accept()
                break
            except TimeoutError:
                if not container.is_running() or time.monotonic() > end:
                    raise NodeStartError(
                        f"container {container.name} started and did not call; it said: "
                        f"{container.said() or 'nothing'}"
                    ) from None
        pid, _, _ = PEER.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        )
        if not belongs(pid, container.id):
            connection.close()
            raise UnavailableError(
                f"container {container.name} is process {pid or 'unknown'} for this host, which "
                "does not belong to it: "
                f"the engine must run on this host, in its PID namespace"
            )
        return connection, pid


def belongs(pid: int, container: str) -> bool:
    """Whether a process is in a container's control groups, which nothing inside can forge."""
    with suppress(OSError):
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    return False


def let_in(doorway: Doorway, container: Container, place: Place) -> Running:
    """Hand a calling container its namespace and its log; returns once it has executed the node's
    program.

    Raises NodeStartError with the helper's sentence, otherwise as `Doorway.call`.
    """
    connection, pid = doorway.call(container)
    with connection:
        connection.settimeout(CALL_TIMEOUT_S)
        pidfd = os.pidfd_open(pid)  # it waits for our answer: the number is still its own
        log = processes.open_log(place)
        try:
            socket.send_fds(connection, [b"e"], [place.namespace, log])
            # End of file: the exec closed it.
            trouble = connection.recv(512).decode("utf-8", "replace")
        except OSError as error:
            trouble = f"it ended while it entered its namespace: {error.strerror or error}"
        finally:
            os.close(log)
    if not trouble and is_readable(pidfd):
        trouble = (
            f"it ended as soon as it had started{processes.last_lines(processes.log_of(place))}"
        )
    if trouble:
        os.close(pidfd)
        raise NodeStartError(f"node {place.node.name} could not be started: {trouble}")
    return Running(node=place.node.name, pid=pid, pidfd=pidfd, container=container.id)
