"""How drivers speak to a node: what is asked is asked once, and takes its turn with the nodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import pytest
from kit.desk import wait_for

from harness.kernel import priority
from harness.kernel.proc import is_ended
from harness.systems.transports import programs
from harness.systems.transports.http import Http

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
KEEP = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
# It says where it is once it is as nice as it should be, and in any case after a while.
NICE = """
import os, time
for _ in range(1000):
    if os.getpriority(os.PRIO_PROCESS, 0) == {nice}:
        break
    time.sleep(0.01)
print(os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getpid())
"""


@pytest.fixture
def here():
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def asked(here, answers, scene):
    """The lines of request that a server reads, which gives these answers in turn; None: it hangs
    up.
    """
    heard = []

    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            heard.append(head.split(b"\r\n")[0].decode())
            answer = answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
        writer.close()

    async def whole():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        http = Http(here)
        try:
            await scene(http, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            await http.close()
            server.close()

    asyncio.run(whole())
    return heard


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE", "POST"])
def test_what_the_node_hung_up_on_is_not_asked_again(here, method):
    """The node had heard it, and was told twice."""

    async def scene(http, url):
        assert await http.ask(method, f"{url}/first") == (200, b"")
        with pytest.raises(ConnectionError):
            await http.ask(method, f"{url}/second")

    heard = asked(here, [KEEP, None, KEEP], scene)
    assert heard == [f"{method} /{each} HTTP/1.1" for each in ("first", "second")]


def test_an_answer_that_names_another_address_is_the_answer(here):
    async def scene(http, url):
        assert (await http.ask("GET", f"{url}/here"))[0] == 302

    assert asked(here, [MOVED, KEEP], scene) == ["GET /here HTTP/1.1"]


def test_a_program_is_as_nice_as_a_node_and_leads_its_own_session(here, tmp_path):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -5)  # as the gateway, who goes before
    try:
        nice = priority.of_nodes()
        argv = [sys.executable, "-c", NICE.format(nice=nice)]
        code, said = asyncio.run(programs.run(here, argv, tmp_path))
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
    assert (code, said.split()) == (0, [str(nice), "True"])


def test_a_program_that_takes_too_long_ends_with_what_it_started(here, tmp_path):
    """Its child was left beside the node, one each time."""

    told = tmp_path / "child"

    async def scene():
        argv = ["sh", "-c", "sleep 600 & echo $! > child; wait"]
        running = asyncio.create_task(programs.run(here, argv, tmp_path))
        await asyncio.to_thread(wait_for, lambda: told.exists() and told.read_text())
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(scene())
    child = int(told.read_text())
    wait_for(lambda: is_ended(child))
