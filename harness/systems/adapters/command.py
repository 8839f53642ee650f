"""A command adapter makes any program a system under test: docs/your-own-node.md."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import BadFileError
from harness.operations import Operation, Outcome, Request, Response
from harness.operations.records import RecordKind
from harness.runtimes import builds
from harness.runtimes.runtime import Image, Place, Process, Recipe
from harness.systems.adapter import Saw
from harness.systems.adapters import command_file, driven
from harness.systems.adapters.command_file import (
    CommandFile,
    ExecAsk,
    HttpAsk,
    LineAsk,
    LogAsk,
    TcpAsk,
    filled,
)
from harness.systems.transports import logs, programs
from harness.systems.transports.http import Http, refuses
from harness.systems.transports.lines import Lines
from harness.topology.topology import Topology

ENTRANCES = 3
HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")
ID_CHARACTERS = 32
KINDS = {Operation.PRIVATE_MESSAGE: RecordKind.DELIVERED, Operation.BROADCAST: RecordKind.RECEIVED}
BASE64 = re.compile(r"[A-Za-z0-9+/]{43,}={0,2}")  # of an id as text, and more
KINDS_MAX = 1 << 18  # operations whose kind is remembered


class Command(driven.Driven):
    """A system that a command file describes."""

    confirmed = frozenset({Operation.PRIVATE_MESSAGE})
    exempt: Mapping[str, str] = {
        "dht_put": "a command file's node does not say which nodes stored the value",
        "dht_get": "a command file's node does not say which node had the value; that it is one "
        "which was put is seen by the id that it begins with",
    }

    def __init__(self, path: Path) -> None:
        """Read the command file at `path`. Raises BadFileError."""
        self._file = command_file.read(path)
        self.name = self._file.name
        self.operations = frozenset(self._file.send)
        self.budget = self._file.budget
        self.ports = self._file.start.ports
        self._kinds: dict[bytes, int] = {}
        self._read = driven.Values()

    def make(self, told: builds.Told) -> None:
        """Build the program, where the file says how and it is not here."""
        if self._file.start.build is not None:
            builds.make(self._file.start.build, told)

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Copy the files and fill in each node's command line."""
        del state
        folder, given = self._file.folder, self._file.start
        program = self._program()
        neighbours, order = topology.neighbours(), {place.node.name: place for place in places}
        told = driven.entrances(neighbours, places, ENTRANCES)
        launches = []
        for place in places:
            driven.options(self.name, place, {})
            place.directory.mkdir(parents=True, exist_ok=True)
            for name in given.files:
                shutil.copy2(folder / name, place.directory / Path(name).name)
            values = _values(place) | {
                "peers": self._peers([order[name] for name in neighbours[place.node.name]]),
                "entrances": self._peers(told[place.node.name]),
            }
            _, *arguments = (filled(each, values) for each in given.argv)
            launches.append(
                (
                    place,
                    Process(
                        argv=(self._path(place, program), *arguments),
                        environment={
                            key: filled(text, values) for key, text in given.environment.items()
                        },
                        image=Image(given.image, Recipe.REFERENCE)
                        if given.image
                        else Image(program, Recipe.PROGRAM),
                        pod=given.pod,
                    ),
                )
            )
        return launches

    def _program(self) -> str:
        """Return the program to run, found on this host where the image is made of it.

        Raises BadFileError, UnavailableError.
        """
        folder, given = self._file.folder, self._file.start
        named = given.argv[0]
        if given.build is not None:
            return str(builds.require(given.build))
        if "/" in named:
            path = folder / named
            if given.image or path.is_file():
                return named if given.image else str(path.resolve())
        elif given.image or shutil.which(named):
            return named
        raise BadFileError(
            f"{folder / named if '/' in named else named}: start.argv: there is no such program "
            "here, and no image is named that has it"
        )

    def _path(self, place: Place, program: str) -> str:
        """Return where the node's program is.

        It is the node's own copy where the file is copied, else the one of the host or the image.
        """
        copies = {Path(name).name for name in self._file.start.files}
        return (
            str(place.directory / Path(program).name)
            if "/" in self._file.start.argv[0] and Path(program).name in copies
            else program
        )

    def _peers(self, places: Sequence[Place]) -> str:
        return self._file.start.separator.join(
            filled(self._file.start.peer, _values(place)) for place in places
        )

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """See adapter.DrivenAdapter."""
        return Driver(
            self._file,
            place,
            {driven.wire_id(other.node.name): other for other in places},
            self._kinds,
            self._read,
        )


class Driver:
    """Speaks to one node as the command file says."""

    def __init__(
        self,
        given: CommandFile,
        place: Place,
        peers: Mapping[bytes, Place],
        kinds: dict[bytes, int],
        known: driven.Values,
    ) -> None:
        """`kinds`: id → kind of its reports. All drivers of a cluster know both."""
        self._file, self._place, self._peers = given, place, peers
        self._kinds, self._known = kinds, known
        self._http = Http(place.namespace)
        self._standing: dict[str, Lines] = {}
        self._connecting = asyncio.Lock()
        self._said_ready = False

    async def ready(self, living: int) -> str:
        """Ask what ``[ready]`` names."""
        del living
        match self._file.ready:
            case LogAsk(pattern=pattern):
                await self._found(pattern)
                return ""
            case TcpAsk(to=to):
                (
                    await Lines.connect(self._place.namespace, filled(to, _values(self._place)))
                ).close()
                return ""
            case ask:
                succeeded, said = await self._ask(ask, _values(self._place))
                return "" if succeeded else f"not yet: {said[:80].strip()}"

    async def _found(self, pattern: re.Pattern[str]) -> None:
        if not self._said_ready:  # a log says it once a life
            async for line in logs.follow(self._place.directory / "log", self._place.log_from):
                if pattern.search(line):
                    self._said_ready = True
                    return

    async def health(self) -> dict[str, Any]:
        """Return nothing: a command file's node tells nothing of itself."""
        return {}

    async def observe(self, saw: Saw, standing: Callable[[], None]) -> None:
        """Report every operation's id that stands in a line of what ``[received]`` names."""
        if self._file.received is None:
            standing()
            await asyncio.Event().wait()
        async for line in self._reports():
            at_ns = time.monotonic_ns()
            if line is None:
                standing()
                continue
            # A line is one report, however often it says the id.
            for id_ in _known(line, self._kinds):
                saw(self._kinds[id_], id_, at_ns)

    async def _reports(self) -> AsyncIterator[str | None]:
        """Yield lines of reports; None once nothing can be missed any more."""
        match self._file.received:
            case HttpAsk(url=url):
                begun = False
                async for data in self._http.lines("GET", filled(url, _values(self._place))):
                    yield data.decode("utf-8", "replace") if begun else None
                    begun = True
            case LineAsk(to=to, say=say):
                connection = await Lines.connect(
                    self._place.namespace, filled(to, _values(self._place))
                )
                try:
                    connection.say(filled(say, _values(self._place)))
                    yield None
                    async for line in connection.read():
                        yield line
                finally:
                    connection.close()
            case LogAsk(pattern=pattern):
                yield None
                async for line in logs.follow(self._place.directory / "log", self._place.log_from):
                    if pattern.search(line):
                        yield line

    async def perform(self, request: Request, sent: Callable[[], None]) -> Response:
        """Ask for the operation as ``[send.OPERATION]`` says."""
        values = self._values_of(request)
        if self._says_id(request.operation) and len(values["payload"]) < ID_CHARACTERS:
            return Response(
                request.id,
                Outcome.FAILED,
                time.monotonic_ns(),
                f"unsent: payload_bytes: expected at least {ID_CHARACTERS}, the id as text",
            )
        self._remember(request)
        send = self._file.send[request.operation]
        sent()
        succeeded, said = await self._ask(send.ask, values)
        at_ns = time.monotonic_ns()
        if succeeded and send.ok is not None:
            escaped = {name: re.escape(value) for name, value in values.items()}
            succeeded = re.search(filled(send.ok, escaped), said) is not None
        if not succeeded:
            why = f"the node answered: {said[:100].strip() or 'nothing'}"
            return Response(request.id, _refused(request, send.ask, said), at_ns, why)
        if request.operation is Operation.DHT_GET:
            return _read(request, self._known, said, at_ns)
        return Response(request.id, Outcome.OK, at_ns)

    def _values_of(self, request: Request) -> dict[str, str]:
        """Return what is filled in for an operation."""
        payload = request.payload or b""
        values = _values(self._place)
        values |= {"id": request.id.hex(), "payload": payload.hex()[: len(payload)]}
        if request.operation in (Operation.DHT_PUT, Operation.DHT_GET):
            values["key"] = (request.target or b"").hex()
        elif request.target is not None:
            target = self._peers[request.target]
            values |= {"target": target.node.name, "target_address": target.address}
        return values

    def _says_id(self, operation: Operation) -> bool:
        """Whether what becomes of an operation is known by the id that its payload begins with."""
        is_read = operation is Operation.DHT_PUT and Operation.DHT_GET in self._file.send
        return operation in KINDS or is_read

    def _remember(self, request: Request) -> None:
        if request.operation in KINDS:
            self._kinds[request.id] = KINDS[request.operation]
            if len(self._kinds) > KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
        self._known.remember(request)

    async def _ask(
        self, ask: HttpAsk | ExecAsk | LineAsk, values: Mapping[str, str]
    ) -> tuple[bool, str]:
        """Ask the node; return whether it agreed, and its words. Raises OSError, HarnessError."""
        fill = partial(filled, values=values)
        match ask:
            case HttpAsk():
                headers = {name: fill(text) for name, text in ask.headers.items()}
                status, body = await self._http.ask(
                    ask.method, fill(ask.url), body=fill(ask.body).encode() or None, headers=headers
                )
                return 200 <= status < 300, f"{status} {body.decode('utf-8', 'replace')}"
            case ExecAsk():
                code, output = await programs.run(
                    self._place.namespace, [fill(each) for each in ask.argv], self._place.directory
                )
                return code == 0, output if code == 0 else f"exit code {code}: {output}"
            case LineAsk():
                to = fill(ask.to)
                async with self._connecting:  # one for all who ask
                    if to not in self._standing or self._standing[to].closed:
                        self._standing[to] = await Lines.connect(self._place.namespace, to)
                return True, await self._standing[to].ask(fill(ask.say))

    async def close(self) -> None:
        """See adapter.Driver."""
        for connection in self._standing.values():
            connection.close()
        await self._http.close()


def _known(line: str, known: Container[bytes]) -> set[bytes]:
    """Return the ids of a line that are known.

    What stands right before one may be hexadecimal too (``received`` ends so), and so may be what
    follows it, the rest of its payload: after the first of them others are sought side by side.
    """
    found = set()
    for digits in HEXADECIMAL.findall(line):
        at, step = 0, 1
        while at + ID_CHARACTERS <= len(digits):
            id_ = bytes.fromhex(digits[at : at + ID_CHARACTERS])
            if id_ in known:
                found.add(id_)
                step = ID_CHARACTERS
            at += step
    return found


def _refused(request: Request, ask: HttpAsk | ExecAsk | LineAsk, said: str) -> Outcome:
    """How an operation ended to which a node did not agree: what it said may come after the fact.
    A get changes nothing, and an HTTP status may say that nothing was done.
    """
    if isinstance(ask, HttpAsk) and refuses(int(said[:3])):
        return Outcome.FAILED
    return Outcome.FAILED if request.operation is Operation.DHT_GET else Outcome.UNKNOWN


def _read(request: Request, known: driven.Values, said: str, at_ns: int) -> Response:
    """Return what a get brought: the first value of its key that is in the answer, as it was put or
    in base64, by the id that it begins with.
    """
    key = request.target or b""
    texts = [said, *map(_decoded, BASE64.findall(said))]
    runs = [run for text in texts for run in HEXADECIMAL.findall(text.replace(key.hex(), " "))]
    for digits in runs:
        for at in range(len(digits) - ID_CHARACTERS + 1):
            id_ = bytes.fromhex(digits[at : at + ID_CHARACTERS])
            if known.may_hold(key, id_):
                return Response(request.id, Outcome.OK, at_ns, value=id_)
    why = "the value is not one that was put under the key, or not as it was put"
    if not runs:
        why = f"no value is in the answer, of which each begins with {ID_CHARACTERS} hexadecimal "
        why += f"digits: {said[:100].strip() or 'nothing'}"
    return Response(request.id, Outcome.FAILED, at_ns, why)


def _decoded(text: str) -> str:
    """Read base64, as HTTP interfaces of stores answer; what is none is nothing."""
    try:
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except ValueError:
        return ""


def _values(place: Place) -> dict[str, str]:
    return {
        "name": place.node.name,
        "index": str(place.index),
        "address": place.address,
        "directory": str(place.directory),
    }
