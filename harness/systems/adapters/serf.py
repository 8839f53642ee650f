"""HashiCorp's Serf as a system under test: user events are broadcasts.

Its members' comings and goings are observed. The harness speaks to an agent over its RPC (msgpack
over TCP: a header, and for some commands a body). What Serf cannot do: it has no private messages
and no DHT.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack

from harness.errors import HarnessError
from harness.kernel.namespaces import open_socket
from harness.operations import Operation, Outcome, Request, Response
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Image, Place, Process, Recipe
from harness.systems.adapter import Saw
from harness.systems.adapters import driven
from harness.topology.topology import Topology

PORT = 7946
RPC = ("127.0.0.1", 7373)
ENTRANCES = 3
JOIN_AGAIN_S = 2.0
EVENT = "load"
ID_BYTES = 16  # payloads of the load begin with the operation's id
EVENT_BYTES_MAX = 9 * 1024  # what Serf itself allows `user_event_size_limit` to be
OPTIONS: dict[str, Callable[[Any], bool]] = {
    "profile": lambda value: value in ("lan", "wan", "local"),
    "event_bytes_max": lambda value: type(value) is int and 1 <= value <= EVENT_BYTES_MAX,
}
WITH_BODY = {"members", "stats", "stream", "join"}
KINDS = {b"member-join": RecordKind.MEMBER_JOINED, b"member-failed": RecordKind.MEMBER_FAILED}


class Serf(driven.Driven):
    """Agents that join through up to three earlier neighbours."""

    name = "serf"
    operations = frozenset({Operation.BROADCAST})
    budget = "serf"
    options: Collection[str] | None = frozenset(OPTIONS)
    ports = (PORT,)
    records = frozenset({RecordKind.RECEIVED, *KINDS.values()})
    exempt: Mapping[str, str] = {
        "broadcast": "a member passes an event on a few times to random others, and promises it to "
        "nobody"
    }

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Write a configuration file and make a command line a node."""
        del state
        driven.require("serf", "serf")
        told = driven.entrances(topology.neighbours(), places, ENTRANCES)
        launches = []
        for place in places:
            chosen = driven.options(self.name, place, OPTIONS)
            place.directory.mkdir(parents=True, exist_ok=True)
            config = {
                "node_name": place.node.name,
                "bind": f"{place.address}:{PORT}",
                "rpc_addr": f"{RPC[0]}:{RPC[1]}",
                "profile": chosen.get("profile", "lan"),
                "log_level": "warn",
                "retry_interval": "1s",
                "user_event_size_limit": chosen.get("event_bytes_max", 1024),
                "leave_on_terminate": False,
                "retry_join": [f"{other.address}:{PORT}" for other in told[place.node.name]],
            }
            (place.directory / "serf.json").write_text(json.dumps(config, indent=1))
            launches.append(
                (
                    place,
                    Process(
                        argv=("serf", "agent", "-config-file", str(place.directory / "serf.json")),
                        environment={"GOMAXPROCS": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"},
                        image=Image("serf", Recipe.PROGRAM),
                    ),
                )
            )
        return launches

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """See adapter.DrivenAdapter."""
        return Driver(place, {other.node.name: other.address for other in places})


class Driver:
    """Speaks to one agent."""

    def __init__(self, place: Place, addresses: dict[str, str]) -> None:
        self._namespace, self._addresses = place.namespace, addresses
        self._rpc: Rpc | None = None
        self._joined_s = time.monotonic()

    async def ready(self, living: int) -> str:
        """Wait until the agent holds as many members alive as there should be.

        News of a join can be lost, and come half a minute later; so a member that waits joins once
        more, with one that it does not know.
        """
        alive = [name.decode() for name, status in await self._members() if status == b"alive"]
        if len(alive) >= living:
            return ""
        if time.monotonic() - self._joined_s > JOIN_AGAIN_S and self._rpc is not None:
            self._joined_s = time.monotonic()
            unknown = sorted(set(self._addresses) - set(alive))
            with contextlib.suppress(HarnessError):  # that one does not run
                await self._rpc.call(
                    "join",
                    {
                        "Existing": [f"{self._addresses[random.choice(unknown)]}:{PORT}"],
                        "Replay": False,
                    },
                )
        return f"{len(alive)} of {living} members"

    async def _members(self) -> list[tuple[bytes, bytes]]:
        """Return the members' names and status."""
        if self._rpc is None or self._rpc.closed:
            self._rpc = await Rpc.connect(self._namespace)
        return [
            (member[b"Name"], member[b"Status"])
            for member in (await self._rpc.call("members"))[b"Members"]
        ]

    async def health(self) -> dict[str, Any]:
        """Return the members by their status, and the agent's queues."""
        by_status = [status for _, status in await self._members()]
        assert self._rpc is not None
        stats = await self._rpc.call("stats")
        queues = {
            f"queue_{name.decode()}": int(value)
            for name, value in stats[b"serf"].items()
            if name.endswith(b"_queue")
        }
        return {
            "members": by_status.count(b"alive"),
            "members_failed": by_status.count(b"failed"),
            **queues,
        }

    async def observe(self, saw: Saw, standing: Callable[[], None]) -> None:
        """Report every user event and every change of membership that this agent reports."""
        rpc = await Rpc.connect(self._namespace)
        try:
            async for event in rpc.stream():
                at_ns = time.monotonic_ns()
                if event is None:
                    standing()
                elif event[b"Event"] == b"user" and event[b"Name"] == EVENT.encode():
                    id_ = event[b"Payload"][:ID_BYTES].ljust(ID_BYTES, b"\0")
                    saw(RecordKind.RECEIVED, id_, at_ns)
                elif event[b"Event"] in KINDS:
                    for member in event[b"Members"]:
                        saw(
                            KINDS[event[b"Event"]],
                            bytes(ID_BYTES),
                            at_ns,
                            peer=driven.wire_id(member[b"Name"].decode()),
                        )
        finally:
            rpc.close()

    async def perform(self, request: Request, sent: Callable[[], None]) -> Response:
        """Fire a user event.

        That the agent took it says nothing of who heard it: the others' journals do.
        """
        assert self._rpc is not None
        sent()
        try:
            await self._rpc.call(
                "event", {"Name": EVENT, "Payload": request.payload or b"", "Coalesce": False}
            )
        except HarnessError as error:
            return Response(request.id, Outcome.FAILED, time.monotonic_ns(), str(error))
        return Response(request.id, Outcome.OK, time.monotonic_ns())

    async def close(self) -> None:
        """See adapter.Driver."""
        if self._rpc is not None:
            self._rpc.close()


class Rpc:
    """One connection to an agent.

    Several calls may be under way at once; answers are told apart by their number.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    async def connect(cls, namespace: int) -> Rpc:
        """Connect inside a node's network namespace. Raises OSError, HarnessError."""
        opened = open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(opened, RPC)
        except BaseException:
            opened.close()
            raise
        made = cls(*await asyncio.open_connection(sock=opened))
        try:
            await made.call("handshake", {"Version": 1})
        except BaseException:
            made.close()
            raise
        return made

    @property
    def closed(self) -> bool:
        """Whether the agent hung up."""
        return self._task.done()

    async def call(self, command: str, body: dict[str, Any] | None = None) -> Any:
        """Call one command; return its answer's body, None where it has none.

        Raises HarnessError with the agent's own words.
        """
        if self.closed:
            raise ConnectionError("the agent closed its RPC connection")
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = command, answer
        # The agent reads msgpack of before 2013: bytes and text alike are "raw".
        self._writer.write(
            b"".join(
                msgpack.packb(part, use_bin_type=False)
                for part in ({"Command": command, "Seq": number}, body)
                if part
            )
        )
        return await answer

    async def stream(self) -> Any:
        """Yield events as the agent reports them: None first, once it has agreed to, then maps."""
        await self.call("stream", {"Type": "*"})
        yield None
        while (event := await self._events.get()) is not None:
            yield event

    def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
        streaming: int | None = None
        header: dict[bytes, Any] | None = None
        try:
            while data := await self._reader.read(1 << 16):
                unpacker.feed(data)
                for part in unpacker:
                    if header is not None:
                        self._answer(header, part, streaming)
                        header = None
                        continue
                    command = (
                        self._asked[part[b"Seq"]][0] if part[b"Seq"] in self._asked else "stream"
                    )
                    if command == "stream" and streaming is None:
                        streaming = part[b"Seq"]
                        self._answer(part, None, None)
                    elif command in WITH_BODY and not part[b"Error"]:
                        header = part
                    else:
                        self._answer(part, None, streaming)
        except OSError:
            pass
        finally:
            self._events.put_nowait(None)
            for _, answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the agent closed its RPC connection"))
                    with contextlib.suppress(ConnectionError):
                        answer.exception()  # nobody may be waiting any more

    def _answer(self, header: dict[bytes, Any], body: Any, streaming: int | None) -> None:
        number = header[b"Seq"]
        if number == streaming:
            self._events.put_nowait(body)
            return
        _, answer = self._asked.pop(number, ("", None))
        if answer is None or answer.done():
            return
        if header[b"Error"]:
            answer.set_exception(HarnessError(header[b"Error"].decode("utf-8", "replace")))
        else:
            answer.set_result(body)
