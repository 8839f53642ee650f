"""What a command file's node reports is what its lines say."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import pytest

from harness.operations import Operation, Outcome, Request
from harness.runtimes.runtime import Place
from harness.systems.adapters import command, command_file
from harness.topology.topology import Node

ID, OTHER, UNKNOWN = (bytes([number]) * 16 for number in (0xAB, 0xCD, 0x12))
FILE = """
name = "told"
[start]
argv = ["true"]
[ready]
log = "up"
[send.broadcast]
exec = ["true"]
[received]
log = ""
"""


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        (f"{ID.hex()} and again {ID.hex()}", [ID]),
        (f"received{ID.hex()}", [ID]),  # the d is a digit too
        (f"{ID.hex()}{OTHER.hex()}", [ID, OTHER]),
        (f"f{ID.hex()}0123456789abcdef {OTHER.hex()}", [ID, OTHER]),
        (f"{UNKNOWN.hex()} {ID.hex()[:31]}", []),
    ],
)
def test_a_line_reports_each_id_in_it_once(tmp_path, line, reported):
    (tmp_path / "told.toml").write_text(FILE)
    (tmp_path / "log").write_text(f"{line}\nlast {UNKNOWN.hex()}{'0' * 32}\n{bytes(16).hex()}\n")
    seen = []

    async def observed():
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        place = Place(
            node=Node(name="a"),
            index=0,
            address="198.18.0.1",
            directory=tmp_path,
            namespace=namespace,
        )
        kinds = {ID: 1, OTHER: 1, bytes(16): 2}
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, kinds)
        whole = asyncio.Event()

        def saw(kind, id_, at_ns):
            seen.append((kind, id_))
            if len([one for one in seen if one[0] == 2]) == 2:
                whole.set()

        observing = asyncio.create_task(driver.observe(saw, lambda: None))
        await whole.wait()
        observing.cancel()
        with suppress(asyncio.CancelledError):
            await observing
        await driver.close()
        os.close(namespace)

    asyncio.run(observed())
    assert sorted(id_ for kind, id_ in seen if kind == 1) == sorted(reported)


def test_all_who_ask_at_once_share_one_connection(tmp_path):
    """Each opened one of its own, and all but the last stayed open for good."""
    file = FILE.replace(
        'exec = ["true"]', 'line = { to = "unix:{directory}/ctl", say = "PUB {payload}" }'
    )
    (tmp_path / "told.toml").write_text(file)
    opened, all_closed = [], asyncio.Event()

    async def answer(reader, writer):
        opened.append(writer)
        while await reader.readline():
            writer.write(b"ok\n")
        writer.close()
        all_closed.set()

    async def asked():
        server = await asyncio.start_unix_server(answer, tmp_path / "ctl")
        place = Place(
            node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
        )
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, {})
        requests = [
            Request(bytes([number]) * 16, Operation.BROADCAST, None, b"x" * 32, 1000)
            for number in range(5)
        ]
        answers = await asyncio.gather(*(driver.perform(each, lambda: None) for each in requests))
        await driver.close()
        server.close()
        await all_closed.wait()
        return [each.outcome for each in answers]

    assert asyncio.run(asked()) == [Outcome.OK] * 5
    assert len(opened) == 1
