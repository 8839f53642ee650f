"""The control socket of a node, from outside.

It carries frames of u32 little-endian length and a msgpack array (meshnode PROTOCOL.md, section 2).
meshnode speaks it by itself; for other systems the gateway does.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgpack

from harness.errors import UnavailableError
from harness.operations import Operation, Outcome, Request, Response
from harness.systems.adapter import Endpoint

FRAME_BYTES_MAX = 64 * 1024 * 1024
ANSWER_TIMEOUT_S = 30.0
WITH_VALUE = "value"  # in a get's place of a payload: its answer brings the value along
PACK_BYTES = 4096  # grows where a frame is longer
NO_PARAMS: Mapping[str, Any] = MappingProxyType({})

_GET = Operation.DHT_GET
_OUTCOMES = {int(outcome): outcome for outcome in Outcome}  # quicker than Outcome(…)


class ControlCodec:
    """Turns operations into frames and frames into outcomes: an adapter.Codec."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pack = msgpack.Packer(buf_size=PACK_BYTES).pack  # making one costs more than packing

    def encode(self, requests: Iterable[Request]) -> bytes:
        """Return one ``op`` frame that carries all requests."""
        rows = [
            [
                r.id,
                int(r.operation),
                r.target,
                r.payload if r.operation is not _GET else WITH_VALUE,
                r.timeout_ms,
            ]
            for r in requests
        ]
        body: bytes = self._pack(["op", rows])
        return len(body).to_bytes(4, "little") + body

    def feed(self, data: bytes) -> list[Response]:
        """Return the responses that `data` completes."""
        self._buffer += data
        return [
            _response(*done)
            for message in frames(self._buffer)
            if message[0] == "done"
            for done in message[1]
        ]


def _response(id_: bytes, outcome: int, done_ns: int, detail: Mapping[str, Any] | None) -> Response:
    if not detail:
        return Response(id_, _OUTCOMES[outcome], done_ns)
    get = detail.get
    return Response(
        id_,
        _OUTCOMES[outcome],
        done_ns,
        get("error"),
        get("hops", -1),
        get("from"),
        get("sent", 0),
        get("value"),
    )


def frame(message: list[Any]) -> bytes:
    """Pack one control frame."""
    body: bytes = msgpack.packb(message)
    return struct.pack("<I", len(body)) + body


def frames(buffer: bytearray) -> Iterable[list[Any]]:
    """Yield the complete frames at the front of `buffer` and remove them from it.

    Raises UnavailableError for a frame that is too long.
    """
    at = 0
    try:
        while len(buffer) - at >= 4:
            (length,) = struct.unpack_from("<I", buffer, at)
            if length > FRAME_BYTES_MAX:
                raise UnavailableError(
                    f"a node sent a control frame of {length:,} bytes; expected at most "
                    f"{FRAME_BYTES_MAX:,}"
                )
            if len(buffer) - at - 4 < length:
                return
            yield msgpack.unpackb(buffer[at + 4 : at + 4 + length], strict_map_key=False)
            at += 4 + length
    finally:
        del buffer[:at]


class NodeSocket:
    """Administers one node, a connection a call, so that a thousand nodes cost no descriptors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def health(self) -> dict[str, Any]:
        health: dict[str, Any] = self._call("health")
        return health

    def peers(self) -> list[str]:
        return [bytes(peer["id"]).hex() for peer in self._call("peers")]

    def begin(self, journal: int, *, early: bool = False) -> int:
        since_ns = self._call("begin", {"early": True} if early else {}, journal)
        return since_ns if isinstance(since_ns, int) else 0

    def end(self) -> None:
        self._call("end")

    def counted(self) -> tuple[dict[str, dict[int, int]], dict[str, Any]]:
        histograms, health = self._calls(["histograms", "health"])
        return {name: found["buckets"] for name, found in histograms.items()}, health

    def tasks(self) -> str:
        """Ask what each task waits for of the process that serves this socket, where that is the
        gateway: folded stacks (harness/profiles/tasks.py).
        """
        told: str = self._call("tasks")
        return told

    def _call(
        self, method: str, params: Mapping[str, Any] = NO_PARAMS, descriptor: int | None = None
    ) -> Any:
        return self._calls([method], params, descriptor)[0]

    def _calls(
        self,
        methods: Sequence[str],
        params: Mapping[str, Any] = NO_PARAMS,
        descriptor: int | None = None,
    ) -> list[Any]:
        """Ask all at once and return the answers in order: the node is woken once."""
        request = b"".join(
            frame(["call", number, method, dict(params)]) for number, method in enumerate(methods)
        )
        asked, buffer, answers = range(len(methods)), bytearray(), dict[int, Any]()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.connect(self._endpoint.control)
                if descriptor is not None:
                    socket.send_fds(connection, [request[:1]], [descriptor])
                    request = request[1:]
                connection.sendall(request)
                while data := connection.recv(1 << 16):
                    buffer += data
                    for message in frames(buffer):
                        if message[0] == "reply":
                            # What is wrong with the connection is answered without a number.
                            told = message[1] in asked
                            number = asked.index(message[1]) if told else len(answers)
                            answers[number] = self._value(methods[number], message)
                            if len(answers) == len(asked):
                                return [answers[number] for number in asked]
        except OSError as error:
            raise UnavailableError(
                f"node {self._endpoint.node} did not answer {methods[len(answers)]}: {error}"
            ) from error
        raise UnavailableError(
            f"node {self._endpoint.node} closed its control socket instead of answering "
            f"{methods[len(answers)]}"
        )

    def _value(self, method: str, message: list[Any]) -> Any:
        _, _, error, value = message
        if error is not None:
            raise UnavailableError(f"node {self._endpoint.node} refused {method}: {error}")
        return value
