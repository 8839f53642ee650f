"""A connection of lines, to a node that says what it likes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.errors import HarnessError
from harness.systems.transports.lines import Lines


async def connected():
    """A connection, and the node's end of it."""
    ours, theirs = socket.socketpair()
    return Lines(*await asyncio.open_connection(sock=ours)), await asyncio.open_connection(
        sock=theirs
    )


def test_a_line_that_nobody_asked_for_ends_what_is_asked_on_the_connection():
    """It was let go, and the next answer was taken for the one to what was asked next."""

    async def asked():
        lines, (reader, writer) = await connected()
        first = asyncio.create_task(lines.ask("one"))
        assert await reader.readline() == b"one\n"
        writer.write(b"OK\nOK\n")
        assert await first == "OK"
        assert lines._answering is not None
        await lines._answering  # it has read the second
        assert not lines.closed  # whoever asks next is to hear of it
        with pytest.raises(HarnessError, match="said 'OK' before it was asked"):
            await lines.ask("two")
        assert lines.closed
        writer.close()

    asyncio.run(asked())


def test_an_answer_that_nobody_waits_for_any_more_is_none_of_these():
    async def asked():
        lines, (reader, writer) = await connected()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lines.ask("slow")
        second = asyncio.create_task(lines.ask("two"))
        await reader.readline()
        await reader.readline()
        writer.write(b"late\nOK\n")
        assert await second == "OK"
        lines.close()
        writer.close()

    asyncio.run(asked())
