"""HTTP to a node, over connections that are made inside its network namespace.

This is the only home of aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from harness.kernel.namespaces import open_socket

CONNECT_TIMEOUT_S = 5.0
LINE_BYTES_MAX = 1 << 20
# What a page of metrics is asked for as, and what it may be answered as.
PAGE_HEADERS = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
PAGE_TYPE = "text/plain"


class Http:
    """A client for one node.

    A failed connection is a ConnectionError; an answer of any status is an answer, also one that
    names another address. Each request is made once.
    """

    def __init__(self, namespace: int) -> None:
        def make(address: Any) -> socket.socket:
            return open_socket(namespace, address[0], address[1], address[2])

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=make),
            auto_decompress=False,
            read_bufsize=LINE_BYTES_MAX,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        )
        # It would ask again where a connection closes unanswered: the node may have heard it. There
        # is no other way to turn that off; aiohttp's own test client takes this one.
        self._session._retry_connection = False

    async def ask(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Make one request; return status and body. Raises ConnectionError."""
        with _translated():
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, await answer.read()

    async def lines(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the lines of an answer as they arrive, without their ends. Raises ConnectionError.

        The first is empty and comes once the node has begun to answer.
        """
        with _translated():
            async with self._session.request(
                method, url, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise ConnectionError(
                        f"{url} answered {answer.status}: "
                        f"{(await answer.content.read(200)).decode('utf-8', 'replace').strip()}"
                    )
                yield b""
                while line := await answer.content.readline():
                    yield line.rstrip(b"\r\n")

    async def page(self, url: str, bytes_most: int) -> str:
        """Return a text of at most so many bytes. Raises ConnectionError."""
        with _translated():
            async with self._session.request(
                "GET", url, headers=PAGE_HEADERS, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise ConnectionError(f"{url} answered {answer.status}")
                packed = answer.headers.get("Content-Encoding", "identity")
                for expected, found in ((PAGE_TYPE, answer.content_type), ("identity", packed)):
                    if found != expected:
                        raise ConnectionError(f"{url}: expected {expected}, found {found}")
                data = bytearray()
                async for chunk in answer.content.iter_any():
                    data += chunk
                    if len(data) > bytes_most:
                        raise ConnectionError(f"{url} tells more than {bytes_most:,} bytes")
                try:
                    return data.decode()
                except UnicodeDecodeError as error:
                    found = bytes(data[error.start : error.end]).hex()
                    raise ConnectionError(
                        f"{url}: expected UTF-8, found the bytes {found}"
                    ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def refuses(status: int) -> bool:
    """Whether an HTTP status says that nothing was done: the request was at fault (RFC 9110, 15.5),
    but for the one that came too slowly. After a server's error (5xx) it may have been.
    """
    return 400 <= status < 500 and status != 408


@contextlib.contextmanager
def _translated() -> Any:
    try:
        yield
    except (aiohttp.ClientError, asyncio.IncompleteReadError, ValueError) as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
