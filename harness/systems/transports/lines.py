"""A line protocol: one connection to a node.

It goes over TCP inside the node's network namespace, or over a unix socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator

from harness.errors import HarnessError
from harness.kernel.namespaces import open_socket

LINE_BYTES_MAX = 1 << 20
WORDS_MOST = 60  # characters that are told of a line


class Lines:
    """A connection on which answers come in the order of what was asked. Who says something that
    nobody had asked has said what its answers are not, and is asked no more on it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: deque[asyncio.Future[str]] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._unasked: str | None = None  # a line that answers nothing, until that is told

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
        """Whether the node hung up, and there is nothing more to tell of it."""
        return self._unasked is None and (
            self._writer.is_closing()
            or self._reader.at_eof()
            or (self._answering is not None and self._answering.done())
        )

    def say(self, line: str) -> None:
        """Send one line."""
        self._writer.write(line.encode() + b"\n")

    async def ask(self, line: str) -> str:
        """Send one line and wait for its answer. Raises ConnectionError, and HarnessError where the
        node has said something before it was asked.
        """
        if self._unasked is not None:
            said, self._unasked = self._unasked, None
            self.close()
            raise HarnessError(f"the node said {said[:WORDS_MOST]!r} before it was asked")
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
                if not self._asked:
                    self._unasked = line
                    break
                answer = self._asked.popleft()
                if not answer.done():  # else nobody waits for it any more
                    answer.set_result(line)
        except OSError:
            pass
        finally:
            for answer in self._asked:
                if not answer.done():
                    answer.set_exception(ConnectionError("the node closed its line connection"))
