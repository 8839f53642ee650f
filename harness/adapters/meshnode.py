"""The reference node as a system under test (docker/meshnode/PROTOCOL.md): the only importer of meshnode."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgpack

from harness.errors import BadFileError, UnavailableError
from harness.operation import Operation, Outcome, Request, Response
from harness.ports import Endpoint, Place, Process
from harness.topology import Topology

PORT = 7000
FRAME_BYTES_MAX = 64 * 1024 * 1024
OPTIONS = {"fanout": int, "k": int, "alpha": int, "max_message_bytes": int, "max_connections": int, "rate_per_peer": int, "routes": int}
ANSWER_TIMEOUT_S = 30.0


class Meshnode:
    """Keys, configuration and control of meshnode nodes."""

    name = "meshnode"
    operations = frozenset(Operation)

    def __init__(self) -> None:
        self._ids: dict[str, bytes] = {}

    def prepare(self, topology: Topology, places: Sequence[Place], state: Path) -> list[tuple[Place, Process]]:
        """Issue one identity a node by the cluster's own CA and write each node's configuration."""
        from meshnode.identity import Authority  # late: load workers need no X.509

        authority = Authority.load_or_create(state / "ca")
        for place in places:
            place.directory.mkdir(parents=True, exist_ok=True)
            self._ids[place.node.name] = authority.issue(place.directory, place.node.name)
        peers = {
            place.node.name: {"name": place.node.name, "id": self._ids[place.node.name].hex(), "address": place.address, "port": PORT}
            for place in places
        }
        neighbours = topology.neighbours()
        for place in places:
            config = peers[place.node.name] | {
                "version": 1, "directory": str(place.directory),
                "links": [peers[other] for other in neighbours[place.node.name]],
                "options": _options(place),
            }
            del config["id"]
            (place.directory / "node.json").write_text(json.dumps(config))
        return [(place, self._process(place, state)) for place in places]

    def _process(self, place: Place, state: Path) -> Process:
        return Process(
            argv=("meshnode", "run", "--config", str(place.directory / "node.json")),
            environment={"NOTIFY_SOCKET": str(state / "notify" / "socket")},
            image="meshnode",
            zygote=("meshnode", "zygote"),
        )

    def endpoints(self, places: Sequence[Place]) -> list[Endpoint]:
        """Control socket and id of each node, after `prepare`."""
        return [
            Endpoint(
                node=place.node.name, address=place.address, control=str(place.directory / "control.sock"),
                wire_id=self._ids[place.node.name],
            )
            for place in places
        ]

    def codec(self) -> MeshnodeCodec:
        return MeshnodeCodec()

    def administer(self, endpoint: Endpoint) -> MeshnodeControl:
        return MeshnodeControl(endpoint)


def _options(place: Place) -> dict[str, Any]:
    found = {}
    for key, value in place.node.options.items():
        expected = OPTIONS.get(key)
        if expected is None:
            raise BadFileError(f"node {place.node.name}: options.{key}: meshnode has no such option; possible: {', '.join(OPTIONS)}")
        if type(value) is not expected or value < 1:
            raise BadFileError(f"node {place.node.name}: options.{key}: expected a whole number above 0, found {value!r}")
        found[key] = value
    return found


class MeshnodeCodec:
    """Frames of the control socket: u32 little-endian length, msgpack array."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, requests: Iterable[Request]) -> bytes:
        """One ``op`` frame that carries all requests."""
        return frame(["op", [[r.id, int(r.operation), r.target, r.payload, r.timeout_ms] for r in requests]])

    def feed(self, data: bytes) -> list[Response]:
        """The responses that `data` completes."""
        self._buffer += data
        return [
            Response(
                id=id_, outcome=Outcome(outcome), done_ns=done_ns, error=(detail or {}).get("error"),
                hops=(detail or {}).get("hops", -1), answered_by=(detail or {}).get("from"),
            )
            for message in frames(self._buffer)
            if message[0] == "done"
            for id_, outcome, done_ns, detail in message[1]
        ]


def frame(message: list[Any]) -> bytes:
    """One control frame."""
    body: bytes = msgpack.packb(message)
    return struct.pack("<I", len(body)) + body


def frames(buffer: bytearray) -> Iterable[list[Any]]:
    """Complete frames at the front of `buffer`, removed from it."""
    at = 0
    try:
        while len(buffer) - at >= 4:
            (length,) = struct.unpack_from("<I", buffer, at)
            if length > FRAME_BYTES_MAX:
                raise UnavailableError(f"a node sent a control frame of {length:,} bytes; expected at most {FRAME_BYTES_MAX:,}")
            if len(buffer) - at - 4 < length:
                return
            yield msgpack.unpackb(bytes(buffer[at + 4 : at + 4 + length]), strict_map_key=False)
            at += 4 + length
    finally:
        del buffer[:at]


class MeshnodeControl:
    """Administration of one node; a connection a call, so that a thousand nodes cost no descriptors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = self._call("health")
        return health

    def peers(self) -> list[str]:
        return [bytes(peer["id"]).hex() for peer in self._call("peers")]

    def begin(self, journal: int) -> None:
        self._call("begin", journal)

    def end(self) -> None:
        self._call("end")

    def histograms(self) -> dict[str, dict[int, int]]:
        return {operation: found["buckets"] for operation, found in self._call("histograms").items()}

    def _call(self, method: str, descriptor: int | None = None) -> Any:
        buffer = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.connect(self._endpoint.control)
                request = frame(["call", 1, method, {}])
                if descriptor is not None:
                    socket.send_fds(connection, [request[:1]], [descriptor])
                    request = request[1:]
                connection.sendall(request)
                while data := connection.recv(1 << 16):
                    buffer += data
                    for message in frames(buffer):
                        if message[0] == "reply":
                            return self._value(method, message)
        except OSError as error:
            raise UnavailableError(f"node {self._endpoint.node} did not answer {method}: {error}") from error
        raise UnavailableError(f"node {self._endpoint.node} closed its control socket instead of answering {method}")

    def _value(self, method: str, message: list[Any]) -> Any:
        _, _, error, value = message
        if error is not None:
            raise UnavailableError(f"node {self._endpoint.node} refused {method}: {error}")
        return value
