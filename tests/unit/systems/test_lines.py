"""A line protocol over a real socket: each way in which a server may speak, or lie."""

from __future__ import annotations

import asyncio
import re

import pytest

from harness.systems.transports import lines
from harness.systems.transports.lines import Hello, Lines, Shape, Speech

RESP = Shape(length=re.compile(r"^\$(-?\d+)"))
GREETED = Speech(greeting=re.compile("^220 "), end="\r\n")


def spoken(tmp_path, serve, scene, speech=lines.PLAIN):
    """What a scene returns that has a connection to this server, and what was said unasked."""
    doubts, serving = [], []

    async def served(reader, writer):
        serving.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def whole():
        server = await asyncio.start_unix_server(served, tmp_path / "ctl")
        try:
            connection = await Lines.connect(-1, f"unix:{tmp_path}/ctl", speech, doubts.append)
            try:
                return await asyncio.wait_for(scene(connection), 60)
            finally:
                connection.close()
        finally:
            server.close()
            await asyncio.gather(*serving)

    return asyncio.run(whole()), doubts


def answering(*answers, first=b"", byte_by_byte=False):
    """A server that gives these answers, one for each line that it reads."""

    async def serve(reader, writer):
        writer.write(first)
        for answer in answers:
            await reader.readline()
            for part in [bytes([each]) for each in answer] if byte_by_byte else [answer]:
                writer.write(part)
                await writer.drain()
        await reader.read()

    return serve


async def asked_in_turn(connection, *questions, shape=lines.ONE_LINE):
    return [await connection.ask(each, shape) for each in questions]


async def asked_for_ever(connection):
    """Ask again and again, until the connection is of no use."""
    while True:
        await asyncio.sleep(0.01)
        if connection.closed:
            await connection.ask("PUT b")


def test_a_greeting_is_waited_for_and_hello_is_said_once(tmp_path):
    heard = []

    async def serve(reader, writer):
        writer.write(b"220-welcome\r\n220 ready\r\n")
        async for line in reader:
            heard.append(line)
            writer.write(b"250-first\r\n250 ok\r\n")

    speech = Speech(
        end="\r\n",
        greeting=re.compile("^220 "),
        hello=(Hello(say="EHLO me", ok=re.compile("^250")),),
        skip=re.compile("^250-"),
    )
    said, doubts = spoken(tmp_path, serve, lambda to: asked_in_turn(to, "NOOP", "NOOP"), speech)
    assert said == ["250 ok", "250 ok"]
    assert heard == [b"EHLO me\r\n", b"NOOP\r\n", b"NOOP\r\n"]
    assert doubts == []


def test_a_greeting_that_never_comes_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "GREETING_TIMEOUT_S", 0.1)
    with pytest.raises(ConnectionError, match=r"the greeting of unix:.* has not come within"):
        spoken(tmp_path, answering(first=b"welcome\n"), lambda _: None, GREETED)


def test_a_hello_that_is_refused_is_said(tmp_path):
    speech = Speech(hello=(Hello(say="AUTH x", ok=re.compile("^.OK")),))
    with pytest.raises(ConnectionError, match="the node answered to hello: -WRONGPASS"):
        spoken(tmp_path, answering(b"-WRONGPASS\n"), lambda _: None, speech)


def test_a_servers_question_is_replied_to_and_no_answer(tmp_path):
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader, writer):
        await reader.readline()
        writer.write(b"PING\r\n+OK\r\n")
        heard.put_nowait(await reader.readline())

    speech = Speech(end="\r\n", replies=((re.compile("^PING"), "PONG"),))

    async def scene(connection):
        return await connection.ask("PUB"), await heard.get()

    assert spoken(tmp_path, serve, scene, speech) == (("+OK", b"PONG\r\n"), [])


@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_an_answer_of_a_length_is_read_whole_whatever_is_in_it(tmp_path, byte_by_byte):
    """Its bytes hold the end of a line, and what ends other answers."""
    serve = answering(
        b"$9\r\n+OK\r\nEND\n\r\n", b"$-1\r\n", b"$0\r\n\r\n", byte_by_byte=byte_by_byte
    )
    said, doubts = spoken(
        tmp_path, serve, lambda to: asked_in_turn(to, "GET a", "GET b", "GET c", shape=RESP)
    )
    assert said == ["$9\n+OK\r\nEND\n", "$-1", "$0\n"]
    assert doubts == []


def test_an_answer_goes_on_until_a_line(tmp_path):
    shape = Shape(length=re.compile(r"^VALUE \S+ \d+ (\d+)"), until=re.compile("^END"))
    answer = b"VALUE a 0 3\r\nEND\r\nVALUE b 0 1\r\nx\r\nEND\r\n"
    said, _ = spoken(
        tmp_path, answering(answer), lambda to: asked_in_turn(to, "gets a b", shape=shape)
    )
    assert said == ["VALUE a 0 3\nEND\nVALUE b 0 1\nx\nEND"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"$2\r\nlonger\r\n", "said that 2 bytes follow, and 'nger' followed them"),
        (b"$99999999999\r\n", "said that 99,999,999,999 bytes follow"),
        (b"$9\r\nshort\r\n", "closed its line connection"),  # and it hangs up
    ],
)
def test_a_length_that_lies_is_no_answer(tmp_path, answer, why):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(answer)

    with pytest.raises(ConnectionError, match=why):
        spoken(tmp_path, serve, lambda to: asked_in_turn(to, "GET a", shape=RESP))


def test_half_a_line_is_no_answer(tmp_path):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(b"OK")

    with pytest.raises(ConnectionError, match="closed its line connection"):
        spoken(tmp_path, serve, lambda to: asked_in_turn(to, "PUT a"))


def test_what_is_said_unasked_is_told_and_ends_the_connection(tmp_path):
    """Whose the next answer is nobody can tell: one who answers twice was believed for ever."""

    async def scene(connection):
        answers = await asked_in_turn(connection, "PUT a")
        with pytest.raises(ConnectionError, match=r"said '\+OK' when nothing was asked"):
            await asked_for_ever(connection)
        return answers

    said, doubts = spoken(tmp_path, answering(b"+OK\r\n+OK\r\n"), scene)
    assert said == ["+OK"]
    assert doubts == ["the node said '+OK' when nothing was asked"]


def test_nothing_is_asked_any_more_where_an_answer_is_late(tmp_path):
    """One that never came shifted all later ones: each was taken for that of another."""

    async def serve(reader, writer):
        await reader.readline()
        await reader.readline()
        writer.write(b"first\nsecond\n")
        await reader.read()

    async def scene(connection):
        first, second = (asyncio.create_task(connection.ask(each)) for each in ("1", "2"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "second"  # it was asked before that was known
        assert connection.closed
        return True

    assert spoken(tmp_path, serve, scene) == (True, [])
