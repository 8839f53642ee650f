"""Reports have begun once the node has said so, where the file says what that looks like."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from kit.spoken import SPOKEN, spoken

from harness.errors import BadFileError
from harness.operations import Operation, Request
from harness.systems.adapters import command_asker, command_file

ID, LATER = (bytes([number]) * 16 for number in (0xAB, 0xCD))
REPORTING = (
    SPOKEN
    + """
[send.broadcast]
line = "PUB {payload}"
[received]
line = "SUB all"
ok = "^BEGUN {name}$"
"""
)


def observed(tmp_path, say, until):
    """What a driver tells, in order, of a node that says this once it is asked for reports; and why
    it can tell no more.
    """
    found = []

    async def serve(reader, writer):
        await reader.readline()
        await say(writer)
        await reader.read()

    async def scene(driver, reports):
        done = asyncio.Event()

        def tell(what):
            found.append(what)
            if len(found) == until:
                done.set()

        for id_ in (ID, LATER):
            reports.remember(Request(id_, Operation.BROADCAST, None, b"", 1000), b"")
        watching = asyncio.create_task(
            driver.observe(lambda _, id_, __: tell(id_), lambda: tell("stands"))
        )
        finished = asyncio.create_task(done.wait())
        await asyncio.wait({watching, finished}, return_when=asyncio.FIRST_COMPLETED)
        why = str(watching.exception()) if watching.done() else ""
        for task in (watching, finished):
            task.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await task
        return why

    (why, _), _ = spoken(tmp_path, serve, scene, REPORTING)
    return found, why


def test_a_node_that_has_not_said_that_it_reports_is_not_ready(tmp_path):
    """It counted as ready when it was asked, and what came until it had heard that was missed."""

    async def say(writer):
        writer.write(f"OK\n{ID.hex()}\n".encode())
        await asyncio.sleep(0.1)
        writer.write(b"BEGUN b\nBEGUN a\n" + f"{LATER.hex()}\n".encode())

    assert observed(tmp_path, say, 3) == (["stands", ID, LATER], "")


def test_one_that_never_says_so_is_named_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr(command_asker, "GREETING_TIMEOUT_S", 0.2)

    async def say(writer):
        writer.write(b"ERR no such topic\n")

    found, why = observed(tmp_path, say, 1)
    assert found == []
    assert why == (
        "0.2 s went by before a line had what received.ok says; its last was: ERR no such topic"
    )


def test_one_that_hangs_up_is_named(tmp_path):
    async def say(writer):
        writer.close()

    why = "the node hung up before a line had what received.ok says; it said nothing"
    assert observed(tmp_path, say, 1) == ([], why)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('line = { say = ["SUB a"], ok = ["OK"] }', "received.line.say: expected one text"),
        ('log = "got"\nok = "x"', "received.ok: unknown key"),
        ('line = "SUB a"\nok = "("', "received.ok: expected a regular expression, found '('"),
        ('line = "SUB a"\nok = "{nam}"', "received.ok: there is no field {nam}"),
    ],
)
def test_what_cannot_say_so_is_refused(tmp_path, line, says):
    path = tmp_path / "told.toml"
    path.write_text(REPORTING.split("[received]", maxsplit=1)[0] + f"[received]\n{line}\n")
    with pytest.raises(BadFileError) as refused:
        command_file.read(path)
    assert says in str(refused.value)
