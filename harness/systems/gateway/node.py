"""One node as the gateway keeps it: its driver, its journal, and the operations it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.operations import Operation, Outcome, Request, Response
from harness.profiles import tasks
from harness.redaction import redacted
from harness.runtimes.runtime import Place
from harness.systems.adapter import CountingDriver, Doubting, DrivenAdapter, Driver, Endpoint
from harness.systems.gateway.journal import Journal
from harness.systems.gateway.sockets import Connection

# The first pause between two probes of a node that starts, and the longest.
PROBE_EVERY_S = (0.05, 0.4)
PROBE_TIMEOUT_S = 5.0
# An observation that broke off this long before its node was said to end missed nothing.
BREAK_S = 1.0
GONE = (OSError, HarnessError, EOFError, asyncio.TimeoutError)


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
        self.endpoint = endpoint
        # Operation id → the kind of record that says it arrived here (None: any), and when it did.
        self.waiting: dict[bytes, tuple[int | None, asyncio.Future[int]]] = {}
        self._adapter, self._place, self._places, self._notify, self._peers = (
            adapter,
            place,
            places,
            notify,
            peers,
        )
        self._kinds = {int(one): one for one in Operation}  # and what was asked for of its own
        self._journal = Journal(endpoint.wire_id)
        self._driver: Driver | None = None
        self._counted_before: dict[str, dict[int, int]] = {}  # by its histograms, before this run
        self._life: asyncio.Task[None] | None = None
        self._breaks: list[str] = []  # what the journal lacks of this run, a sentence each
        # Since when the node cannot be followed, as a sentence; empty where it can, or was to end.
        self._broken = ""
        self._decided = asyncio.Event()  # whether that was the node's end, and so misses nothing
        self._decided.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._logged = ""  # the last fault of a driver that was logged

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
            self._broken = ""

    async def _live(self) -> None:
        while True:
            self._counted_before = {}  # it counts from zero
            try:
                driver = self._adapter.driver(self._place, self._places)
            except Exception as error:
                await self._broke_off(error)
                continue
            if isinstance(driver, Doubting):
                driver.tell_doubts(lambda why: self._note(f"{self.endpoint.node}: {why}"))
            try:
                while True:
                    await self._until_ready(driver)
                    await self._observe(driver)
            finally:
                self._driver = None
                await driver.close()

    async def _observe(self, driver: Driver) -> None:
        why: Exception = EOFError("its reports ended")
        try:
            await driver.observe(self._saw, lambda: self._stands(driver))
        except Exception as error:
            why = error
        stood, self._driver = self._driver is not None, None
        await self._broke_off(why, stood=stood)

    async def _broke_off(self, error: Exception, *, stood: bool = False) -> None:
        """Tell that the node cannot be followed; wait a moment before it is tried again.

        Where it `stood`, or the driver is at fault, the run misses what the node sees meanwhile.
        """
        at_ns, why = time.monotonic_ns(), self._why(error)
        self._tell(f"STATUS=what it receives cannot be followed: {why}")
        if stood or not isinstance(error, GONE):
            self._broken = (
                f"what {self.endpoint.node} saw is not known from {at_ns} ns on, for at least "
                f"{BREAK_S:.0f} s: {why}"
            )
        self._decided.clear()
        try:
            # A node that died is said to be gone by then, which ends this task.
            await asyncio.sleep(BREAK_S)
            self._note(self._broken)
        finally:
            self._decided.set()

    def _note(self, sentence: str) -> None:
        """Note what the journal of this run lacks; nothing where that is empty."""
        sentence = redacted(sentence)
        if sentence and self._journal.is_open and sentence not in self._breaks:
            self._breaks.append(sentence)

    def _why(self, error: Exception) -> str:
        """Say an error of the driver. One that no driver should raise is logged: it is a fault of
        the driver, which anybody may have written.
        """
        if isinstance(error, GONE):
            return redacted(str(error)) or type(error).__name__
        words = redacted(f"its driver failed: {type(error).__name__}: {error}")
        if words != self._logged:
            self._logged = words
            print(f"{self.endpoint.node}: {words}", file=sys.stderr)
            print(redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        return words

    async def _until_ready(self, driver: Driver) -> None:
        pause_s, said = PROBE_EVERY_S[0], ""
        while True:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    status = await driver.ready(sum(node.lives for node in self._peers.values()))
            except Exception as error:
                status = f"does not answer ({self._why(error)})"
                if not isinstance(error, GONE):
                    self._note(f"{self.endpoint.node}: {self._why(error)}")
            if not status:
                return
            if status != said:
                said = status
                self._tell(f"STATUS={status}")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, PROBE_EVERY_S[1])

    def _stands(self, driver: Driver) -> None:
        self._driver, self._broken = driver, ""
        self._tell("READY=1")

    def _tell(self, news: str) -> None:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            said = f"NODE={self.endpoint.node}\n{redacted(news)}"
            sender.sendto(said.encode(), str(self._notify))

    def _saw(self, kind: int, id_: bytes, at_ns: int, *, peer: bytes = b"") -> None:
        if self._journal.add(kind, id_, at_ns, peer=peer):
            asyncio.get_running_loop().call_soon(self._flush)
        awaited, arrived = self.waiting.get(id_, (None, None))
        if arrived is not None and awaited in (None, kind) and not arrived.done():
            arrived.set_result(at_ns)

    def _flush(self) -> None:
        try:
            self._journal.flush()
        except OSError as error:
            self._note(
                f"the journal of {self.endpoint.node} could not be written: {error.strerror}"
            )

    # ---- what clients ask ------------------------------------------------------------------------

    def heard(self, connection: Connection, message: list[Any], descriptors: list[int]) -> None:
        """Answer one frame of a client."""
        match message:
            case ["op", list() as asked]:
                for id_, operation, target, slot, timeout_ms in asked:
                    payload = slot if isinstance(slot, bytes) else None
                    kind = self._kind(operation)
                    request = Request(id_, kind, target, payload, timeout_ms)
                    self._spawn(self._perform(connection, request))
            case ["call", seq, str() as method, dict()]:
                self._spawn(self._call(connection, seq, method, descriptors))
            case _:
                raise HarnessError("expected a frame op or call")

    def _kind(self, number: int) -> Operation:
        """Return the operation that a number means here. Raises HarnessError."""
        if number not in self._kinds:
            self._kinds |= {int(one): one for one in self._adapter.operations}
        if number not in self._kinds:
            raise HarnessError(f"this system has no operation of the number {number}")
        return self._kinds[number]

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _call(
        self, connection: Connection, seq: int, method: str, descriptors: list[int]
    ) -> None:
        try:
            connection.say(["reply", seq, None, await self._answer(method, descriptors)])
        except Exception as error:
            connection.say(["reply", seq, self._why(error), None])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    async def _answer(self, method: str, descriptors: list[int]) -> Any:
        if method == "health":
            told = await self._driver.health() if self._driver is not None else {}
            return {"ready": self._driver is not None, **told}
        if method == "begin":
            if self._begin(descriptors):
                self._counted_before = {}
                self._counted_before = await self._counted()
            return None
        if method == "end":
            await self._decided.wait()
            self._end()
            return None
        if method == "histograms":
            return {name: {"buckets": counts} for name, counts in (await self._counted()).items()}
        if method == "peers":  # of what is inside such a node, only its driver tells
            return []
        if method == "tasks":  # of the whole gateway
            return tasks.folded()
        raise HarnessError(
            f"expected health, begin, end, histograms, peers or tasks; found {method!r}"
        )

    async def _counted(self) -> dict[str, dict[int, int]]:
        """What the node's own histograms count, where its driver tells them."""
        if not isinstance(self._driver, CountingDriver):
            return {}
        return {
            name: {
                bucket: count - self._counted_before.get(name, {}).get(bucket, 0)
                for bucket, count in counts.items()
            }
            for name, counts in (await self._driver.histograms()).items()
        }

    def _begin(self, descriptors: list[int]) -> bool:
        """Journal into the file of the descriptor: empty, where a new run begins. Return whether
        one does.
        """
        if not descriptors:
            raise HarnessError("begin: expected the journal's descriptor with it")
        is_new = self._journal.begin(descriptors[-1])
        descriptors.pop()  # it is the journal's now
        if is_new:
            self._breaks.clear()
            if self._decided.is_set():
                self._note(self._broken)
        return is_new

    def _end(self) -> None:
        """End the journal. Raises HarnessError, OSError where it lacks something of the run."""
        breaks, self._breaks = self._breaks, []
        self._journal.end()
        if breaks:
            raise HarnessError("; ".join(breaks[:3]))

    async def _perform(self, connection: Connection, request: Request) -> None:
        sent_ns, what = 0, "no answer"

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
                    target = self._target(request)
                    ledger = request.operation.spec.ledger
                    arrival = asyncio.get_running_loop().create_future()
                    kind = None if ledger is None else int(ledger.record)
                    target.waiting[request.id] = kind, arrival
                answer = await self._driver.perform(request, sent)
                if arrival is not None and answer.outcome is Outcome.OK:
                    what = "the target has not told of it"
                    answer.done_ns = await arrival
        except TimeoutError:
            answer = Response(
                request.id,
                Outcome.UNKNOWN,
                time.monotonic_ns(),
                f"{what} within {request.timeout_ms:,} ms",
            )
        except Exception as error:
            known, why = Outcome.UNKNOWN if sent_ns else Outcome.FAILED, self._why(error)
            if not isinstance(error, GONE):
                self._note(f"{request.operation.word} of {self.endpoint.node}: {why}")
            answer = Response(
                request.id, known, time.monotonic_ns(), f"{'' if sent_ns else 'unsent: '}{why}"
            )
        finally:
            if target is not None:
                target.waiting.pop(request.id, None)
        detail: dict[str, Any] = {"hops": answer.hops, "sent": sent_ns or 0}
        detail |= {"error": redacted(answer.error)} if answer.error else {}
        detail |= {} if answer.value is None else {"value": answer.value}
        detail |= {} if answer.answered_by is None else {"from": answer.answered_by}
        connection.done([answer.id, int(answer.outcome), answer.done_ns, detail])

    def _target(self, request: Request) -> GatewayNode:
        target = self._peers.get(request.target or b"")
        if target is None:
            raise HarnessError("there is no such target")
        return target
