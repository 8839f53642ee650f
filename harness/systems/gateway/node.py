"""One node as the gateway keeps it: its driver, its journal, and the operations it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.operations import Operation, Outcome, Request, Response
from harness.runtimes.runtime import Place
from harness.systems.adapter import DrivenAdapter, Driver, Endpoint
from harness.systems.gateway.journal import Journal
from harness.systems.gateway.sockets import Connection

# The first pause between two probes of a node that starts, and the longest.
PROBE_EVERY_S = (0.05, 0.4)
PROBE_TIMEOUT_S = 5.0
# An observation that broke off this long before its node was said to end missed nothing.
BREAK_S = 1.0
GONE = (OSError, HarnessError, EOFError, asyncio.TimeoutError)

Arrived = Callable[[int, bytes, int], None]  # node index, operation id, monotonic ns


class GatewayNode:
    """Keeps a driver while the node is expected to live; answers the node's control connections."""

    def __init__(
        self,
        adapter: DrivenAdapter,
        place: Place,
        places: Sequence[Place],
        endpoint: Endpoint,
        notify: Path,
        peers: dict[bytes, GatewayNode],
    ) -> None:
        self.index = place.index
        self.endpoint = endpoint
        self.waiting: dict[bytes, asyncio.Future[int]] = {}  # operation id → when it arrived here
        self._adapter, self._place, self._places, self._notify, self._peers = (
            adapter,
            place,
            places,
            notify,
            peers,
        )
        self._journal = Journal(endpoint.wire_id)
        self._driver: Driver | None = None
        self._life: asyncio.Task[None] | None = None
        self._breaks: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def lives(self) -> bool:
        """Whether the node is expected to live."""
        return self._life is not None

    def expect(self, log_from: int) -> None:
        """Keep a driver for the node, which is about to start.

        `log_from`: the bytes of earlier lives in its log.
        """
        self.gone()
        self._place = replace(self._place, log_from=log_from)
        self._life = asyncio.get_running_loop().create_task(self._live(), name=self.endpoint.node)

    def gone(self) -> None:
        """Give up the driver of the node, which has ended or is about to."""
        if self._life is not None:
            self._life.cancel()
            self._life = None

    async def _live(self) -> None:
        driver = self._adapter.driver(self._place, self._places)
        try:
            while True:
                await self._until_ready(driver)
                await self._observe(driver)
        finally:
            self._driver = None
            await driver.close()

    async def _observe(self, driver: Driver) -> None:
        try:
            await driver.observe(self._saw, lambda: self._stands(driver))
        except GONE as error:
            why = str(error) or type(error).__name__
        else:
            why = "its reports ended"
        stood, self._driver, at_ns = self._driver is not None, None, time.monotonic_ns()
        if not stood:
            self._tell(f"STATUS=what it receives cannot be followed: {why}")
        # A node that died is said to be gone by then, which ends this task.
        await asyncio.sleep(BREAK_S)
        if stood:
            self._breaks.append(
                f"what {self.endpoint.node} saw is not known from {at_ns} ns on, for at least "
                f"{BREAK_S:.0f} s: {why}"
            )

    async def _until_ready(self, driver: Driver) -> None:
        pause_s, said = PROBE_EVERY_S[0], ""
        while True:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    status = await driver.ready(sum(node.lives for node in self._peers.values()))
            except GONE as error:
                status = f"does not answer ({error})"
            if not status:
                return
            if status != said:
                said = status
                self._tell(f"STATUS={status}")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, PROBE_EVERY_S[1])

    def _stands(self, driver: Driver) -> None:
        self._driver = driver
        self._tell("READY=1")

    def _tell(self, news: str) -> None:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.sendto(f"NODE={self.endpoint.node}\n{news}".encode(), str(self._notify))

    def _saw(self, kind: int, id_: bytes, at_ns: int, *, peer: bytes = b"") -> None:
        if self._journal.add(kind, id_, at_ns, peer=peer):
            asyncio.get_running_loop().call_soon(self._flush)
        arrived = self.waiting.get(id_)
        if arrived is not None and not arrived.done():
            arrived.set_result(at_ns)

    def _flush(self) -> None:
        try:
            self._journal.flush()
        except OSError as error:
            self._breaks.append(
                f"the journal of {self.endpoint.node} could not be written: {error.strerror}"
            )

    # ---- what clients ask ------------------------------------------------------------------------

    def heard(self, connection: Connection, message: list[Any], descriptors: list[int]) -> None:
        """Answer one frame of a client."""
        match message:
            case ["op", list() as asked]:
                for id_, operation, target, payload, timeout_ms in asked:
                    self._spawn(
                        self._perform(
                            connection,
                            Request(id_, Operation(operation), target, payload, timeout_ms),
                        )
                    )
            case ["call", seq, str() as method, dict()]:
                self._spawn(self._call(connection, seq, method, descriptors))
            case _:
                raise HarnessError("expected a frame op or call")

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _call(
        self, connection: Connection, seq: int, method: str, descriptors: list[int]
    ) -> None:
        try:
            connection.say(["reply", seq, None, await self._answer(method, descriptors)])
        except GONE as error:
            connection.say(["reply", seq, str(error) or type(error).__name__, None])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _answer(self, method: str, descriptors: list[int]) -> Any:
        if method == "health":
            told = await self._driver.health() if self._driver is not None else {}
            return {"ready": self._driver is not None, **told}
        if method == "begin":
            self._breaks.clear()
            self._journal.begin(descriptors.pop())
            return None
        if method == "end":
            self._journal.end()
            if self._breaks:
                raise HarnessError("; ".join(self._breaks[:3]))
            return None
        # Of what is inside such a node, only its driver's health is known.
        if method in ("histograms", "peers"):
            return {} if method == "histograms" else []
        raise HarnessError(f"expected health, begin, end, histograms or peers; found {method!r}")

    async def _perform(self, connection: Connection, request: Request) -> None:
        sent_ns = 0

        def sent() -> None:
            nonlocal sent_ns
            sent_ns = time.monotonic_ns()

        arrival: asyncio.Future[int] | None = None
        target: GatewayNode | None = None
        try:
            async with asyncio.timeout(request.timeout_ms / 1e3):
                if self._driver is None:
                    raise ConnectionError("the node is not up")
                if request.operation in self._adapter.confirmed:
                    target = self._peers[request.target or b""]
                    arrival = target.waiting[request.id] = (
                        asyncio.get_running_loop().create_future()
                    )
                answer = await self._driver.perform(request, sent)
                if arrival is not None and answer.outcome is Outcome.OK:
                    answer.done_ns = await arrival
        except TimeoutError:
            what = "the target has not told of it" if arrival is not None else "no answer"
            answer = Response(
                request.id,
                Outcome.UNKNOWN,
                time.monotonic_ns(),
                f"{what} within {request.timeout_ms:,} ms",
            )
        except (*GONE, KeyError) as error:
            known = Outcome.UNKNOWN if sent_ns else Outcome.FAILED
            answer = Response(
                request.id, known, time.monotonic_ns(), f"{'' if sent_ns else 'unsent: '}{error}"
            )
        finally:
            if target is not None:
                target.waiting.pop(request.id, None)
        detail = {"hops": answer.hops, "sent": sent_ns or 0} | (
            {"error": answer.error} if answer.error else {}
        )
        connection.done([answer.id, int(answer.outcome), answer.done_ns, detail])
