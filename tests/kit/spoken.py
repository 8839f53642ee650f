"""A driver of a node that speaks lines, and a server in the node's place."""

from __future__ import annotations

import asyncio

from harness.runtimes.runtime import Place
from harness.systems.adapters import command, command_file
from harness.systems.adapters.command_launch import Around
from harness.systems.adapters.command_reports import Reports
from harness.systems.adapters.driven import wire_id
from harness.topology.topology import Node

SPOKEN = """
[start]
argv = ["true"]
[ready]
line = "PING"
ok = "^PONG"
[[start.joined]]
each = "peers"
line = "MEET {peer_address}"
ok = "^OK"
[connection]
to = "unix:{directory}/ctl"
[send.dht_put]
line = "PUT {key} {payload}"
ok = "^OK"
[send.dht_get.line]
say = ["SELECT 1", "GET {key}"]
ok = ["^OK", "^VALUE"]
"""


def spoken(tmp_path, serve, scene, file=SPOKEN):
    """What a scene returns that has a driver of a node that this serves, and what it doubts."""
    (tmp_path / "told.toml").write_text(file)
    doubts, serving = [], []

    async def served(reader, writer):
        serving.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def whole():
        server = await asyncio.start_unix_server(served, tmp_path / "ctl")
        places = {
            wire_id(name): Place(
                node=Node(name=name),
                index=index,
                address=f"198.18.0.{index + 1}",
                directory=tmp_path,
                namespace=-1,
            )
            for index, name in enumerate(("a", "b", "c"))
        }
        reports = Reports.of(places)
        around = Around(told={"a": {"peers": ["b", "c"], "all": ["a", "b", "c"]}})
        driver = command.Driver(
            command_file.read(tmp_path / "told.toml"),
            places[wire_id("a")],
            places,
            reports,
            around,
        )
        driver.tell_doubts(doubts.append)
        found = await asyncio.wait_for(scene(driver, reports), 60)
        await driver.close()
        server.close()
        await asyncio.gather(*serving)
        return found, sorted(reports.up)

    return asyncio.run(whole()), doubts


def told_to(heard, answers):
    """A node that answers each line by its first word, and notes what it heard."""

    async def serve(reader, writer):
        async for line in reader:
            heard.append(line.decode().strip())
            writer.write(answers(line.decode().split()).encode())

    return serve
