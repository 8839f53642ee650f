"""A node as the gateway keeps it, over its control socket; the test is its driver."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from harness.errors import UnavailableError
from harness.operations import Operation, Outcome, Request, Response
from harness.runtimes.runtime import Place
from harness.systems.adapters.driven import Driven, wire_id
from harness.systems.gateway import node as gateway_node
from harness.systems.gateway import sockets, stalls
from harness.systems.protocol import ControlCodec, NodeSocket
from harness.topology.topology import Node


class Told:
    """A driver that ends each observation as the test says; None: its reports end."""

    def __init__(self, system: System) -> None:
        self._system = system

    def tell_doubts(self, doubt):
        self._system.doubt = doubt

    async def ready(self, living):
        del living
        return "" if self._system.is_ready else "not now"

    async def observe(self, saw, standing):
        del saw
        standing()
        self._system.stood.set()
        if (error := await self._system.errors.get()) is not None:
            raise error

    async def perform(self, request, sent):
        sent()
        if request.operation is Operation.DHT_GET:
            raise KeyError("nodeInfo")
        return await asyncio.Event().wait()

    async def health(self):
        return {}

    async def histograms(self):
        return self._system.counted

    async def close(self):
        pass


class System(Driven):
    """A system of one node."""

    confirmed = frozenset({Operation.PRIVATE_MESSAGE})

    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.stood = asyncio.Event()
        self.is_ready = True
        self.counted: dict[str, dict[int, int]] = {}

    def driver(self, place, places):
        del place, places
        return Told(self)


class Kept:
    """A node that lives, and what a run asks of it."""

    def __init__(self, folder) -> None:
        self.folder, self.system = folder, System()
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(str(folder / "notify"))
        place = Place(
            node=Node(name="a"), index=0, address="198.18.0.1", directory=folder, namespace=-1
        )
        [self.endpoint] = self.system.endpoints([place])
        peers: dict[bytes, gateway_node.GatewayNode] = {}
        self.node = gateway_node.GatewayNode(
            self.system, place, [place], self.endpoint, folder / "notify", peers
        )
        peers[self.endpoint.wire_id] = self.node
        self.listener = sockets.listen(folder / "control.sock", self.node.heard)

    async def lives(self):
        self.node.expect(0)
        await self.stands()

    async def stands(self):
        await self.system.stood.wait()
        self.system.stood.clear()

    async def breaks(self, error=None):
        self.system.errors.put_nowait(error)
        await asyncio.sleep(0)

    async def begin(self, run="run"):
        descriptor = os.open(self.folder / run, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            await asyncio.to_thread(NodeSocket(self.endpoint).begin, descriptor)
        finally:
            os.close(descriptor)

    async def end(self):
        await asyncio.to_thread(NodeSocket(self.endpoint).end)

    async def asked(self, operation, timeout_ms):
        codec = ControlCodec()
        reader, writer = await asyncio.open_unix_connection(self.endpoint.control)
        request = Request(bytes(16), operation, wire_id("a"), b"", timeout_ms)
        writer.write(codec.encode([request]))
        answers: list[Response] = []
        while not answers:
            answers = codec.feed(await reader.read(1 << 16))
        writer.close()
        return answers[0]

    def notified_of(self, news):
        while news not in self.notified.recv(1 << 16).decode():
            pass

    def close(self):
        self.node.gone()
        self.notified.close()
        asyncio.get_running_loop().remove_reader(self.listener)
        self.listener.close()


@pytest.fixture
def play(tmp_path):
    """Play a scene with a node that lives."""

    def run(scene):
        async def whole():
            kept = Kept(tmp_path)
            try:
                await kept.lives()
                await scene(kept)
            finally:
                kept.close()

        asyncio.run(whole())

    return run


@pytest.fixture
def soon(monkeypatch):
    """A break is taken for one at once, and not after a second."""
    monkeypatch.setattr(gateway_node, "BREAK_S", 0.01)


def test_a_break_is_told_though_the_node_started_again_since(play, soon):
    async def scene(kept):
        await kept.begin()
        await kept.breaks()
        await kept.stands()
        kept.node.gone()
        await kept.lives()
        await kept.begin()
        with pytest.raises(UnavailableError, match=r"what a saw is not known .*its reports ended"):
            await kept.end()

    play(scene)


def test_a_break_is_told_where_the_node_is_gone_by_the_end(play, soon):
    async def scene(kept):
        await kept.begin()
        await kept.breaks()
        await kept.stands()
        kept.node.gone()
        with pytest.raises(UnavailableError, match="what a saw is not known"):
            await kept.end()

    play(scene)


def test_a_break_is_of_its_own_run_alone(play, soon):
    async def scene(kept):
        await kept.begin()
        await kept.breaks()
        await kept.stands()
        with pytest.raises(UnavailableError):
            await kept.end()
        await kept.breaks()  # between runs
        await kept.stands()
        await kept.begin("another")
        await kept.end()

    play(scene)


def test_a_break_that_lasts_is_of_the_next_run_too(play, soon):
    async def scene(kept):
        kept.system.is_ready = False
        await kept.breaks()
        await asyncio.to_thread(kept.notified_of, "STATUS=not now")  # it is tried again by then
        await kept.begin("another")
        with pytest.raises(UnavailableError, match="what a saw is not known"):
            await kept.end()

    play(scene)


def test_the_end_waits_until_it_is_known_whether_a_break_was_the_nodes_end(play):
    async def scene(kept):
        await kept.begin()
        await kept.breaks()
        await asyncio.sleep(0.3)
        with pytest.raises(UnavailableError, match="what a saw is not known"):
            await kept.end()

    play(scene)


def test_what_broke_off_because_the_node_ended_misses_nothing(play):
    async def scene(kept):
        await kept.begin()
        await kept.breaks()
        ending = asyncio.create_task(kept.end())
        await asyncio.sleep(0.1)
        kept.node.gone()
        await ending

    play(scene)


def test_a_fault_of_the_driver_is_said_and_gone_on_from(play, soon, capfd):
    async def scene(kept):
        await kept.begin()
        await kept.breaks(ValueError("no JSON"))
        await asyncio.to_thread(kept.notified_of, "its driver failed: ValueError: no JSON")
        await kept.stands()
        with pytest.raises(UnavailableError, match="its driver failed: ValueError: no JSON"):
            await kept.end()
        assert "raise error" in capfd.readouterr().err, "where it happened"

    play(scene)


def test_an_operation_in_which_the_driver_fails_is_unknown_and_the_run_says_so(play):
    async def scene(kept):
        await kept.begin()
        answer = await kept.asked(Operation.DHT_GET, 60_000)
        assert answer.outcome is Outcome.UNKNOWN
        assert answer.error == "its driver failed: KeyError: 'nodeInfo'"
        with pytest.raises(UnavailableError, match="dht_get of a: its driver failed: KeyError"):
            await kept.end()

    play(scene)


def test_a_sender_that_never_answered_is_not_the_targets_silence(play):
    async def scene(kept):
        answer = await kept.asked(Operation.PRIVATE_MESSAGE, 50)
        assert answer.error == "no answer within 50 ms"

    play(scene)


def test_a_stall_is_told_from_before_it_began():
    """Also one that begins right after a look and is over at the next but a few."""

    async def scene():
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        watching = asyncio.create_task(stalls.watch(writing))
        for _ in range(5):
            await asyncio.sleep(0.011)
            begin_ns = stalls.monotonic_ns()
            while (until_ns := stalls.monotonic_ns()) < begin_ns + 24_000_000:
                pass
            await asyncio.sleep(2 * stalls.LOOK_S)
            told = stalls.read(reading)
            assert any(since <= begin_ns and until_ns <= to for since, to in told)
        watching.cancel()
        os.close(reading)
        os.close(writing)

    asyncio.run(scene())


def test_what_a_driver_doubts_is_said_by_the_run(play):
    async def scene(kept):
        await kept.begin()
        kept.system.doubt("it answered twice")
        with pytest.raises(UnavailableError, match="a: it answered twice"):
            await kept.end()

    play(scene)


def test_a_driver_tells_histograms_of_what_was_counted_in_the_run(play):
    """What was counted before its begin is of no run; a node that starts again counts from zero."""

    async def scene(kept):
        def told():
            return asyncio.to_thread(lambda: NodeSocket(kept.endpoint).counted()[0])

        kept.system.counted = {"took_seconds": {100: 5}}
        await kept.begin()
        assert (await told())["took_seconds"] == {100: 0}
        kept.system.counted = {"took_seconds": {100: 7, 200: 1}}
        assert (await told())["took_seconds"] == {100: 2, 200: 1}
        kept.node.gone()
        await kept.lives()
        kept.system.counted = {"took_seconds": {100: 1}}
        assert (await told())["took_seconds"] == {100: 1}

    play(scene)


def test_it_tells_what_its_tasks_wait_for_and_none_of_the_one_that_tells(play):
    async def scene(kept):
        told = await asyncio.to_thread(NodeSocket(kept.endpoint).tasks)
        [life] = [line for line in told.splitlines() if "GatewayNode._live" in line]
        assert "Told.observe (systems/test_gateway_node.py" in life
        assert "Queue.get (asyncio/queues.py" in life
        assert "GatewayNode._answer" not in told

    play(scene)
