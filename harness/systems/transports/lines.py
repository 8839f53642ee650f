"""A line protocol: one connection to a node.

It goes over TCP inside the node's network namespace, or over a unix socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator

from harness.kernel.namespaces import open_socket

LINE_BYTES_MAX = 1 << 20


class Lines:
    """A connection on which answers come in the order of what was asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: deque[asyncio.Future[str]] = deque()
        self._answering: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, namespace: int, to: str) -> Lines:
        """Connect to ``host:port`` or ``unix:PATH``. Raises OSError."""
        if to.startswith("unix:"):
            return cls(
                *await asyncio.open_unix_connection(to.removeprefix("unix:"), limit=LINE_BYTES_MAX)
            )
        host, _, port = to.rpartition(":")
        opened = open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(opened, (host, int(port)))
        except BaseException:
            opened.close()
            raise
        return cls(*await asyncio.open_connection(sock=opened, limit=LINE_BYTES_MAX))

    @property
    def closed(self) -> bool:
        """Whether the node hung up."""
        return (
            self._writer.is_closing()
            or self._reader.at_eof()
            or (self._answering is not None and self._answering.done())
        )

    def say(self, line: str) -> None:
        """Send one line."""
        self._writer.write(line.encode() + b"\n")

    async def ask(self, line: str) -> str:
        """Send one line and wait for its answer. Raises ConnectionError."""
        if self.closed:
            raise ConnectionError("the node closed its line connection")
        self._answering = self._answering or asyncio.get_running_loop().create_task(self._answer())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self.say(line)
        return await answer

    async def read(self) -> AsyncIterator[str]:
        """Yield every line that comes, until the node hangs up. Raises ConnectionError."""
        try:
            while line := await self._reader.readline():
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        except ValueError as error:
            raise ConnectionError(f"a line of more than {LINE_BYTES_MAX:,} bytes") from error

    def close(self) -> None:
        """Hang up."""
        if self._answering is not None:
            self._answering.cancel()
        self._writer.close()

    async def _answer(self) -> None:
        try:
            async for line in self.read():
                answer = self._asked.popleft() if self._asked else None
                # An answer that nobody waits for any more is let go.
                if answer is not None and not answer.done():
                    answer.set_result(line)
        except OSError:
            pass
        finally:
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(ConnectionError("the node closed its line connection"))
