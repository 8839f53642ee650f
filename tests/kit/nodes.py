"""Small tools of meshnode's tests: a client of the control socket, and real nodes on loopback
addresses.
"""

import array
import contextlib
import http.client
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from meshnode.identity import Authority
from meshnode.journal import HEADER_BYTES, RECORD

PRIVATE, BROADCAST, PUT, GET, LOOKUP, FILE, CONNECT = range(1, 8)
OK, FAILED, UNKNOWN = range(3)


def wait_until(check: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """Ask `check` every 10 ms; return its first true value. Raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Control:
    """A blocking client of a node's control socket."""

    def __init__(self, path: Path, timeout_s: float = 30.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._buffer = b""
        self._numbers = itertools.count(1)
        self.outcomes: dict[bytes, tuple[int, int, dict[str, Any] | None]] = {}

    def close(self) -> None:
        self.socket.close()

    def send(self, frame: Any, descriptors: Sequence[int] = ()) -> None:
        packed = msgpack.packb(frame)
        data = struct.pack("<I", len(packed)) + packed
        if descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            data = data[self.socket.sendmsg([data], rights) :]
        self.socket.sendall(data)

    def receive(self) -> list[Any] | None:
        """The next frame, None at the end."""
        while True:
            if len(self._buffer) >= 4:
                end = 4 + struct.unpack_from("<I", self._buffer)[0]
                if len(self._buffer) >= end:
                    frame, self._buffer = self._buffer[4:end], self._buffer[end:]
                    return msgpack.unpackb(frame, strict_map_key=False)
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self._buffer += data

    def call(self, method: str, descriptors: Sequence[int] = (), **params: Any) -> Any:
        number = next(self._numbers)
        self.send(["call", number, method, params], descriptors)
        while (frame := self.receive()) is not None:
            if frame[0] == "reply":
                assert frame[1] == number, frame
                assert frame[2] is None, frame[2]
                return frame[3]
            self._note(frame)
        raise AssertionError("the node closed the connection")

    def start(
        self, operation: int, target: bytes | None, payload: Any = None, timeout_ms: int = 10_000
    ) -> bytes:
        identifier = os.urandom(16)
        self.send(["op", [[identifier, operation, target, payload, timeout_ms]]])
        return identifier

    def outcome(self, identifier: bytes) -> tuple[int, int, dict[str, Any]]:
        """(outcome, done_ns, detail) of an operation."""
        while identifier not in self.outcomes:
            frame = self.receive()
            assert frame is not None, "the node closed the connection"
            self._note(frame)
        outcome, done_ns, detail = self.outcomes[identifier]
        return outcome, done_ns, detail or {}

    def do(
        self, operation: int, target: bytes | None, payload: Any = None, timeout_ms: int = 10_000
    ) -> tuple[int, int, dict[str, Any]]:
        return self.outcome(self.start(operation, target, payload, timeout_ms))

    def _note(self, frame: list[Any]) -> None:
        assert frame[0] == "done", frame
        for identifier, outcome, done_ns, detail in frame[1]:
            self.outcomes[identifier] = (outcome, done_ns, detail)


@dataclass(frozen=True, slots=True)
class Record:
    kind: int
    outcome: int
    hops: int
    size: int
    id: bytes
    at_ns: int
    peer: bytes


def read_journal(path: Path) -> list[Record]:
    data = path.read_bytes()
    assert data[:8] == b"MESHJRNL"
    return [Record(*row) for row in RECORD.iter_unpack(data[HEADER_BYTES:])]


@dataclass(slots=True)
class Node:
    """One node's files and process."""

    name: str
    id: bytes
    address: str
    port: int
    directory: Path
    links: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, int | str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _control: Control | None = None

    def neighbour(self) -> dict[str, Any]:
        return {"name": self.name, "id": self.id.hex(), "address": self.address, "port": self.port}

    def write_config(self) -> Path:
        path = self.directory / "config.json"
        document = {
            "version": 1,
            "name": self.name,
            "address": self.address,
            "port": self.port,
            "directory": str(self.directory),
            "links": self.links,
            "options": self.options,
        }
        path.write_text(json.dumps(document))
        return path

    def start(self, **environment: str) -> None:
        self.disconnect()
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "meshnode.cli", "run", "--config", str(self.write_config())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )

    def health(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("node")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.directory / "control.sock"))
            connection.request("GET", "/health")
            answer = connection.getresponse()
            health = json.loads(answer.read())
            assert answer.status == (200 if health["ready"] else 503)
            return health

    def is_ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, (
            self.directory / "log"
        ).read_text()
        try:
            return bool(self.health()["ready"])
        except OSError:
            return False

    @property
    def control(self) -> Control:
        if self._control is None:
            self._control = Control(self.directory / "control.sock")
        return self._control

    def disconnect(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def begin(self) -> Path:
        path = self.directory / "journal.bin"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.control.call("begin", [descriptor])
        os.close(descriptor)
        return path

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def make_nodes(
    directory: Path, count: int, edges: Iterable[tuple[int, int]], **options: int | str
) -> list[Node]:
    """Nodes with identities of one authority on 127.0.0.1, 127.0.0.2, …; nothing is started."""
    authority, port = Authority.load_or_create(directory / "ca"), free_port()
    nodes = []
    for index in range(count):
        path = directory / f"n{index}"
        identifier = authority.issue(path, f"n{index}")
        nodes.append(
            Node(
                f"n{index}",
                identifier,
                f"127.0.{index // 250}.{index % 250 + 1}",
                port,
                path,
                options=dict(options),
            )
        )
    for a, b in edges:
        nodes[a].links.append(nodes[b].neighbour())
        nodes[b].links.append(nodes[a].neighbour())
    return nodes


@contextlib.contextmanager
def running(nodes: list[Node]) -> Iterator[list[Node]]:
    """Start, wait until all are ready, end."""
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            wait_until(node.is_ready, f"{node.name} ready")
        yield nodes
    finally:
        for node in nodes:
            node.disconnect()
            if node.process is not None and node.process.poll() is None:
                node.kill()


class Zygote:
    """A zygote process and the socket to it."""

    def __init__(self, **environment: str) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "meshnode.cli",
                    "zygote",
                    "--socket-fd",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | environment,
            )

    def spawn(
        self,
        name: str,
        argv: list[str],
        directory: Path,
        namespace: str = "/proc/self/ns/net",
        *,
        held: bool | None = None,
        **environment: str,
    ) -> None:
        request = {
            "op": "spawn",
            **({} if held is None else {"held": held}),
            "name": name,
            "argv": argv,
            "environment": environment,
            "directory": str(directory),
        }
        descriptors = [
            os.open(namespace, os.O_RDONLY),
            os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        ]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self.socket.sendmsg([json.dumps(request).encode()], rights)
        for descriptor in descriptors:
            os.close(descriptor)

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 17, 4)
        return json.loads(data), descriptors

    def close(self) -> int:
        """The zygote kills its children and ends."""
        self.socket.close()
        return self.process.wait(20)
