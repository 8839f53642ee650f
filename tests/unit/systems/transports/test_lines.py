"""A connection of lines, to a node that says what it likes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.systems.transports.lines import Lines


async def connected(unasked=lambda _: None):
    """A connection, and the node's end of it."""
    ours, theirs = socket.socketpair()
    lines = Lines(*await asyncio.open_connection(sock=ours), unasked=unasked)
    return lines, await asyncio.open_connection(sock=theirs)


def test_a_line_that_nobody_asked_for_ends_what_is_asked_on_the_connection():
    """It was let go, and the next answer was taken for the one to what was asked next."""

    doubts = []

    async def asked():
        lines, (reader, writer) = await connected(doubts.append)
        first = asyncio.create_task(lines.ask("one"))
        assert await reader.readline() == b"one\n"
        writer.write(b"OK\nOK\n")
        assert await first == "OK"
        assert lines._answering is not None
        await lines._answering  # it has read the second
        assert doubts == ["the node said 'OK' when nothing was asked"]
        assert lines.closed
        with pytest.raises(ConnectionError, match="said 'OK' when nothing was asked"):
            await lines.ask("two")
        writer.close()

    asyncio.run(asked())


def test_an_answer_that_nobody_waits_for_any_more_is_none_of_these():
    """And nothing more is asked where it is owed."""
    doubts = []

    async def asked():
        lines, (reader, writer) = await connected(doubts.append)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                async with asyncio.TaskGroup() as group:
                    group.create_task(lines.ask("slow"))
                    second = asyncio.create_task(lines.ask("two"))
        await reader.readline()
        await reader.readline()
        writer.write(b"late\nOK\n")
        assert await second == "OK"
        assert (doubts, lines.closed) == ([], True)
        with pytest.raises(ConnectionError):
            await lines.ask("three")
        writer.close()

    asyncio.run(asked())
