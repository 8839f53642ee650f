"""A fresh connection that measures a handshake."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from meshnode import probe
from meshnode.identity import Authority
from meshnode.tls import Contexts


def test_a_handshake_that_never_ends_is_cut(tmp_path, monkeypatch):
    """The connection stayed open for as long as the other end kept it."""
    Authority.load_or_create(tmp_path / "ca").issue(tmp_path / "me", "me")
    monkeypatch.setattr(probe, "HANDSHAKE_TIMEOUT_NS", 50_000_000)

    async def scene():
        cut, said = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def silent(reader, writer):
            with suppress(ConnectionError):
                while await reader.read(1 << 16):
                    pass
            cut.set()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        made = probe.Probe(Contexts(tmp_path / "me"), bytes(32), lambda _: None, said.set_result)
        made.start("127.0.0.1", "127.0.0.1", server.sockets[0].getsockname()[1])
        assert await said == "the connection was closed during the handshake"
        await cut.wait()
        server.close()

    asyncio.run(scene())
