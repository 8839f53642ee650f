"""A command adapter makes any program a system under test: docs/your-own-node.md."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.faults.fault import State
from harness.operations import Operation, Outcome, Request, Response
from harness.operations.operation import Address
from harness.operations.records import RecordKind
from harness.runtimes import builds
from harness.runtimes.runtime import Place, Process
from harness.systems.adapter import Saw
from harness.systems.adapters import command_file, command_launch, driven
from harness.systems.adapters.command_answers import (
    ID_CHARACTERS,
    named_in,
    read_value,
    refused,
    shown,
)
from harness.systems.adapters.command_asker import Asker, NotAskedError
from harness.systems.adapters.command_asks import (
    ExecAsk,
    HelperReports,
    HttpAsk,
    LineAsk,
    LogAsk,
    TcpAsk,
)
from harness.systems.adapters.command_fields import filled
from harness.systems.adapters.command_file import CommandFile, Received
from harness.systems.adapters.command_join import Joining
from harness.systems.adapters.command_launch import Around
from harness.systems.adapters.command_reports import BY_ID, Meeting, Reports
from harness.systems.transports import logs
from harness.topology.topology import Topology

DOUBTS_MOST = 10  # sentences of one node
MARGIN_S = 0.05  # before an operation's time is over: to say what it waited for
EXEMPT: Mapping[Operation, str] = {
    Operation.DHT_PUT: "a command file's node does not say which nodes stored the value",
    Operation.DHT_GET: "a command file's node does not say which node had the value; that it is "
    "one which was put is seen by the id that it begins with",
}
TOLD_BY = {Operation.DHT_PUT: RecordKind.STORED, Operation.DHT_GET: RecordKind.ANSWERED}


class Command(driven.Driven):
    """A system that a command file describes."""

    confirmed = frozenset({Operation.PRIVATE_MESSAGE})
    options: Collection[str] | None = frozenset()

    def __init__(self, path: Path) -> None:
        """Read the command file at `path`. Raises BadFileError."""
        self._file = command_file.read(path)
        self.name = self._file.name
        self.operations = frozenset(self._file.send)
        self.budget = self._file.budget
        self.ports = self._file.start.ports
        self.metrics, self.unpromised = self._file.metrics, self._file.exempt
        self.side_by_side = frozenset(
            operation
            for operation, send in self._file.send.items()
            if isinstance(send.ask, HttpAsk | ExecAsk)
        )
        self.given_up = frozenset(
            operation for operation, send in self._file.send.items() if send.given_up
        )
        self.wipes = self._file.start.state is State.WIPE
        self.starts = bool(self._file.start.argv)
        self._progress: Callable[[str, int, int], None] = lambda *_: None
        self._path, self._kept = path, dict[str, str]()
        kinds = self._file.received.kinds if self._file.received is not None else {}
        if kinds:
            self.records = frozenset(kinds)
        self.exempt = {
            operation.word: why
            for operation, why in EXEMPT.items()
            if TOLD_BY[operation] not in kinds
        }
        self._reports: Reports | None = None
        self._around = Around()

    def make(self, told: builds.Told) -> None:
        """Build the program, where the file says how and it is not here."""
        if self._file.start.build is not None:
            builds.make(self._file.start.build, told)

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Copy the files, have each node prepared, and fill in its command line."""
        self._kept = command_launch.kept(self._file, self._path)
        return command_launch.launches(self._file, topology, places, state, self._progress)

    def follow(self, progress: Callable[[str, int, int], None]) -> None:
        """See adapter.DrivenAdapter."""
        self._progress = progress

    def kept(self) -> dict[str, str]:
        """Return the command file and the files that it names, as they were when nodes started."""
        return self._kept

    def edited(self) -> list[str]:
        """See adapter.FiledAdapter. A budget judges, and starts no node."""
        budget, found = Path(self._file.budget or "").name, []
        for kept, text in self._kept.items():
            name = kept.removeprefix(f"{command_launch.BELOW}/")
            file = self._path if name == self._path.name else self._file.folder / name
            if name == budget or not file.is_file():
                continue
            if file.read_text(errors="replace") != text:
                found.append(str(file))
        return found

    def resume(self, state: Path) -> None:
        """Take up what `prepare` left in the cluster's folder."""
        self._around = Around.of(state)

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """See adapter.DrivenAdapter."""
        peers = {driven.wire_id(other.node.name): other for other in places}
        self._reports = self._reports or Reports.of(peers)
        return Driver(self._file, place, peers, self._reports, self._around, self._file.unveiled())


class Driver:
    """Speaks to one node as the command file says."""

    def __init__(
        self,
        given: CommandFile,
        place: Place,
        peers: Mapping[bytes, Place],
        reports: Reports,
        around: Around = Around(),  # noqa: B008 - it cannot be changed
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """All drivers of a cluster share `reports`."""
        self._file, self._place, self._peers, self._reports = given, place, peers, reports
        self._own, self._prepared = driven.wire_id(place.node.name), around.prepared
        order = {other.node.name: other for other in peers.values()}
        self._values = around.values(place, order, given) | dict(secrets or {})
        self._told: list[str] = []
        self._doubt: Callable[[str], None] = lambda _: None
        self._asker = Asker(given, place, self._values, self._doubted)
        near = {
            word: [order[name] for name in names]
            for word, names in around.told.get(place.node.name, {}).items()
        }
        self._joining = Joining(given.start, place, near, self._asker, self._values, around)
        self._said_ready = False

    def tell_doubts(self, doubt: Callable[[str], None]) -> None:
        """See adapter.Doubting."""
        self._doubt = doubt

    def _doubted(self, why: str) -> None:
        if len(self._told) < DOUBTS_MOST and why not in self._told:
            self._told.append(why)
            self._doubt(why)

    async def ready(self, living: int) -> str:
        """Ask what ``[ready]`` names, and once all nodes are up, what joins this one to them."""
        if status := await self._up():
            return status
        return self._joining.status(self._reports.up, living)

    async def _up(self) -> str:
        """Ask what ``[ready]`` names; return what the node still waits for."""
        await self._asker.start_helper()
        match self._file.ready.ask:
            case LogAsk(pattern=pattern):
                await self._found(pattern)
                return ""
            case TcpAsk(to=to):
                await self._asker.accepts(to)
                return ""
            case ask:
                ok = self._file.ready.ok
                succeeded, said = await self._asker.agreed(ask, ok, self._values)
                return "" if succeeded else f"not yet: {shown(said, ok)}"

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
        """Report what ``[received]`` says that the node received."""
        if self._file.received is None:
            standing()
            await asyncio.Event().wait()
            return
        kinds = self._file.received.kinds
        async for line in self._lines(self._file.received):
            at_ns = time.monotonic_ns()
            if line is None:
                standing()
            elif why := self._reports.tell(line, self._own, kinds, at_ns, saw):
                self._doubted(why)

    async def _lines(self, received: Received) -> AsyncIterator[str | None]:
        """Yield lines of reports; None once nothing can be missed any more."""
        match received.ask:
            case HttpAsk(url=url):
                async for line in self._asker.streamed(filled(url, self._values)):
                    yield line
            case LineAsk() as ask:
                async for line in self._asker.said(ask, received.ok):
                    yield line
            case LogAsk(pattern=pattern):
                yield None
                async for line in logs.follow(self._place.directory / "log", self._place.log_from):
                    if pattern.search(line):
                        yield line
            case HelperReports():
                async for line in self._asker.helper.reports():
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
        send = self._file.send[request.operation]
        given = values["payload"] if "{payload}" in repr(send.ask) else ""
        self._reports.remember(request, self._own, given)
        sent()
        sent_ns = time.monotonic_ns()
        try:
            succeeded, said = await self._asker.agreed(send.ask, send.ok, values)
        except NotAskedError as error:
            why = f"it could not be asked: {error}"
            return Response(request.id, Outcome.FAILED, time.monotonic_ns(), why)
        at_ns = time.monotonic_ns()
        if not succeeded:
            why = f"the node answered: {said[:100].strip() or 'nothing'}"
            return Response(request.id, refused(request, send.ask, said), at_ns, why)
        if request.operation is Operation.DHT_GET:
            found = read_value(request, self._reports.values, said, at_ns)
            if send.by is not None:
                found = await self._answered(request, found, send.by, said, sent_ns)
            return found
        if send.by is not None:  # of a system's own: who answered it counts, not what it brought
            done = Response(request.id, Outcome.OK, at_ns)
            return await self._answered(request, done, send.by, said, sent_ns)
        if request.operation is Operation.CONNECT:
            meeting = RecordKind.CONNECTED, request.target or b"", self._own
            return await self._met(
                request, Response(request.id, Outcome.OK, at_ns), meeting, sent_ns
            )
        return Response(request.id, Outcome.OK, at_ns)

    async def _met(
        self, request: Request, done: Response, meeting: Meeting, since_ns: int
    ) -> Response:
        """Return the end of an operation, once the other node has said that it took part."""
        left_s = request.timeout_ms / 1e3 - MARGIN_S - (time.monotonic_ns() - since_ns) / 1e9
        try:
            async with asyncio.timeout(left_s):
                done.done_ns = max(done.done_ns, await self._reports.meeting(meeting, since_ns))
        except TimeoutError:
            other = self._peers[meeting[1]].node.name
            why = f"{other} has not told of it within {request.timeout_ms:,} ms"
            return Response(request.id, Outcome.UNKNOWN, time.monotonic_ns(), why)
        return done

    async def _answered(
        self, request: Request, found: Response, by: re.Pattern[str], said: str, since_ns: int
    ) -> Response:
        """Return a get's end with who answered it, once that one has said so too."""
        named = by.search(said)
        who = named_in(named[1], self._reports.names) if named is not None else []
        if found.outcome is not Outcome.OK or not who:
            return found
        found.answered_by = who[0]
        if who[0] == self._own:  # it has not met itself
            return found
        meeting = RecordKind.ANSWERED, who[0], self._own
        return await self._met(request, found, meeting, since_ns)

    def _values_of(self, request: Request) -> dict[str, str]:
        """Return what is filled in for an operation."""
        payload = request.payload or b""
        values = {
            **self._values,
            "id": request.id.hex(),
            "payload": payload.hex()[: len(payload)],
            "payload_bytes": str(len(payload)),
        }
        if request.operation.spec.to in (Address.NEW_KEY, Address.STORED_KEY):
            values["key"] = (request.target or b"").hex()
        elif request.target is not None:
            target = self._peers[request.target]
            values |= {
                "target": target.node.name,
                "target_address": target.address,
                "target_prepared": self._prepared.get(target.node.name, ""),
            }
        return values

    def _says_id(self, operation: Operation) -> bool:
        """Whether what becomes of an operation is known by the id that its payload begins with."""
        is_read = operation is Operation.DHT_PUT and Operation.DHT_GET in self._file.send
        ledger = operation.spec.ledger
        return is_read or (ledger is not None and ledger.witness in BY_ID)

    async def close(self) -> None:
        """See adapter.Driver."""
        self._reports.up.discard(self._place.node.name)
        with contextlib.suppress(HarnessError, OSError):
            await self._joining.close()
        await self._asker.close()
