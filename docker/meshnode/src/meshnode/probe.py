"""A fresh authenticated connection to a node, beside the standing link, closed again: what a TLS
handshake costs right now.
"""

import asyncio
import socket
import time
from collections.abc import Callable

from meshnode.config import Config, Neighbour
from meshnode.dht import Contact
from meshnode.link import Link
from meshnode.links import CONNECT_TIMEOUT_S, HANDSHAKE_TIMEOUT_NS, Links, connect
from meshnode.tls import Contexts

MAX_FRAME_BYTES = 4096  # a HELLO is all that comes

Ended = Callable[[str | None], None]  # with what went wrong


class Probe:
    """One such connection. The other end has authenticated this node too when its HELLO comes."""

    def __init__(
        self, contexts: Contexts, target: bytes, handshake_took: Callable[[int], None], ended: Ended
    ) -> None:
        self._contexts, self._target, self._handshake_took = contexts, target, handshake_took
        self._ended: Ended | None = ended
        self._task: asyncio.Task[None] | None = None
        self._overdue: asyncio.TimerHandle | None = None

    def start(self, own_address: str, address: str, port: int) -> None:
        """Dial; `ended` is called once."""
        self._task = asyncio.get_running_loop().create_task(self._run(own_address, address, port))

    async def _run(self, own_address: str, address: str, port: int) -> None:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connect(loop, stream, own_address, (address, port))
            context = self._contexts.client
            await loop.create_connection(
                lambda: Link(
                    self, context, dialled_id=self._target, max_frame_bytes=MAX_FRAME_BYTES
                ),
                sock=stream,
            )
        except OSError as error:  # TimeoutError is one
            stream.close()
            self._end(
                f"{address}:{port} cannot be reached: {error.strerror or 'no answer in time'}"
            )

    def _end(self, error: str | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)

    # link.Owner

    def opened(self, link: Link) -> None:
        """TCP stands; a handshake that never ends is cut."""
        self._overdue = asyncio.get_running_loop().call_later(
            HANDSHAKE_TIMEOUT_NS / 1e9, link.abort
        )

    def authenticated(self, link: Link) -> None:
        """The peer is proven, and must be who was dialled."""
        if link.peer_id != self._target:
            raise ValueError("the node at the other end is not who was dialled")
        self._handshake_took(time.monotonic_ns() - link.opened_ns)

    def arrived(self, link: Link, data: bytes) -> None:
        """Its HELLO: both ends are proven."""
        del data
        self._end(None)
        link.close()

    def refused(self, link: Link, error: Exception) -> None:
        """It did not authenticate."""
        del link
        self._end(str(error))

    def closed(self, link: Link) -> None:
        """The connection is gone."""
        del link
        if self._overdue is not None:
            self._overdue.cancel()
        self._end("the connection was closed during the handshake")

    def gathered(self, link: Link) -> None:
        """Nothing is sent here."""


class Prober:
    """Probes of one node: to a neighbour's address, or the one that the DHT knows."""

    def __init__(
        self,
        *,
        config: Config,
        contexts: Contexts,
        links: Links,
        find: Callable[[bytes, Callable[[Contact | None], None]], None],
        handshake_took: Callable[[int], None],
    ) -> None:
        self._config, self._contexts, self._links = config, contexts, links
        self._find, self._handshake_took = find, handshake_took

    def probe(self, target: bytes, ended: Ended) -> None:
        """Connect afresh; `ended` is called once."""

        def found(where: Neighbour | Contact | None) -> None:
            if where is None:
                ended("the DHT knows no node of this id")
            else:
                probe = Probe(self._contexts, target, self._handshake_took, ended)
                probe.start(self._config.address, where.address, where.port)

        neighbour = self._links.neighbour(target)
        if neighbour is not None:
            found(neighbour)
        else:
            self._find(target, found)
