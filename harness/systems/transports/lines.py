"""A line protocol: one connection to a node.

It goes over TCP inside the node's network namespace, or over a unix socket. What a server says
before it is asked, lines that are no answer, answers of several lines and of a length that it
tells: a `Speech` and a `Shape` say how it speaks.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from harness.kernel.namespaces import open_socket

LINE_BYTES_MAX = 1 << 20
ANSWER_BYTES_MAX = 32 << 20
GREETING_TIMEOUT_S = 5.0
SHOWN = 80  # characters of a line in an error
HUNG_UP = "the node closed its line connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an answer looks like; by default it is one line.

    `length`: of a line that it matches, its first group says how many bytes follow, and then the
    end of a line; a negative number says that none do. `until`: the answer goes on until a line
    matches.
    """

    length: re.Pattern[str] | None = None
    until: re.Pattern[str] | None = None


ONE_LINE = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What is said once on each connection; where `ok` is given, an answer comes and must have
    it.
    """

    say: str
    ok: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a server speaks on a connection, whatever it is asked.

    `greeting`: what a line must match before anything is said. `skip`: lines that are no answer.
    `replies`: what is said at once when a line matches, which is then no answer.
    """

    end: str = "\n"  # of a line that is said
    greeting: re.Pattern[str] | None = None
    hello: tuple[Hello, ...] = ()
    skip: re.Pattern[str] | None = None
    replies: tuple[tuple[re.Pattern[str], str], ...] = ()


PLAIN = Speech()


@dataclass(slots=True)
class _Asked:
    """One line that was said, and whom its answer is for."""

    answer: asyncio.Future[str]
    shape: Shape = field(default=ONE_LINE)


class Lines:
    """A connection on which answers come in the order of what was asked.

    What comes when nothing is asked is no answer: then nobody can tell any more which answer
    belonged to what, `unasked` is told so, and the connection is closed.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        speech: Speech = PLAIN,
        unasked: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reader, self._writer, self._speech, self._unasked = reader, writer, speech, unasked
        self._asked: deque[_Asked] = deque()
        self._answering: asyncio.Task[None] | None = None
        self._why = HUNG_UP
        self._is_late = False  # an answer did not come in time

    @classmethod
    async def connect(
        cls,
        namespace: int,
        to: str,
        speech: Speech = PLAIN,
        unasked: Callable[[str], None] = lambda _: None,
    ) -> Lines:
        """Connect to ``host:port`` or ``unix:PATH``; hear the greeting and say hello. Raises
        OSError.
        """
        made = cls(*await _opened(namespace, to), speech, unasked)
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                await made._begin()
        except TimeoutError:
            made.close()
            what = "the greeting" if speech.greeting is not None else "the answer to hello"
            raise ConnectionError(
                f"{what} of {to} has not come within {GREETING_TIMEOUT_S:g} s"
            ) from None
        except BaseException:
            made.close()
            raise
        return made

    @property
    def closed(self) -> bool:
        """Whether nothing more can be asked here: the node hung up, or owes an answer since."""
        return (
            self._is_late
            or self._writer.is_closing()
            or self._reader.at_eof()
            or (self._answering is not None and self._answering.done())
        )

    @property
    def owes(self) -> bool:
        """Whether somebody waits for an answer."""
        return any(not one.answer.done() for one in self._asked)

    def say(self, line: str) -> None:
        """Send one line."""
        self._writer.write((line + self._speech.end).encode())

    async def ask(self, line: str, shape: Shape = ONE_LINE) -> str:
        """Send one line and wait for its answer.

        One whose answer is not waited for any more is the last that is asked here: were its answer
        never to come, all later ones would be taken for that of another. Raises ConnectionError.
        """
        if self.closed:
            raise ConnectionError(self._why)
        self._answering = self._answering or asyncio.get_running_loop().create_task(self._answer())
        asked = _Asked(asyncio.get_running_loop().create_future(), shape)
        self._asked.append(asked)
        self.say(line)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            self._is_late = True
            if not self.owes:
                self.close()
            raise

    async def read(self) -> AsyncIterator[str]:
        """Yield every line that comes, until the node hangs up. Raises ConnectionError."""
        with suppress(EOFError):
            while True:
                line = await self._next_line(is_report=True)
                yield line

    def close(self) -> None:
        """Hang up."""
        if self._answering is not None:
            self._answering.cancel()
        self._writer.close()

    async def _begin(self) -> None:
        """Hear the greeting, and say hello. Raises ConnectionError."""
        try:
            if self._speech.greeting is not None:
                while not self._speech.greeting.search(await self._line()):
                    pass
            for hello in self._speech.hello:
                self.say(hello.say)
                if hello.ok is None:
                    continue
                if not hello.ok.search(said := await self._next_line()):
                    raise ConnectionError(f"the node answered to hello: {said[:SHOWN]}")
        except EOFError:
            raise ConnectionError(f"{HUNG_UP} before it had greeted") from None

    async def _answer(self) -> None:
        try:
            while True:
                line = await self._next_line()
                if not self._asked:
                    self._why = f"the node said {line[:SHOWN]!r} when nothing was asked"
                    self._unasked(self._why)
                    return
                whole = await self._whole(line, self._asked[0].shape)
                answer = self._asked.popleft().answer
                # An answer that nobody waits for any more is let go.
                if not answer.done():
                    answer.set_result(whole)
                if self._is_late and not self.owes:
                    return
        except EOFError:
            pass
        except OSError as error:
            self._why = str(error) or HUNG_UP
        finally:
            for asked in self._asked:
                if not asked.answer.done():
                    asked.answer.set_exception(ConnectionError(self._why))
            self._writer.close()

    async def _whole(self, line: str, shape: Shape) -> str:
        """Return an answer that begins with this line. Raises ConnectionError, EOFError."""
        parts, size = [line], len(line)
        while True:
            counted = shape.length.search(line) if shape.length is not None else None
            if counted is not None and (count := _count(counted, line)) >= 0:
                parts.append(await self._body(count))
                size += count
            if shape.until is None or shape.until.search(line):
                return "\n".join(parts)
            line = await self._next_line()
            parts.append(line)
            size += len(line)
            if size > ANSWER_BYTES_MAX:
                raise ConnectionError(f"an answer of more than {ANSWER_BYTES_MAX:,} bytes")

    async def _body(self, count: int) -> str:
        """Read so many bytes, and the end of the line."""
        data = await self._reader.readexactly(count)
        if (rest := await self._line()) != "":
            raise ConnectionError(
                f"the node said that {count:,} bytes follow, and {rest[:SHOWN]!r} followed them"
            )
        return data.decode("utf-8", "replace")

    async def _next_line(self, *, is_report: bool = False) -> str:
        """Read the next line that is neither skipped nor replied to. Raises ConnectionError,
        EOFError.
        """
        while True:
            line = await self._line(is_report=is_report)
            reply = next((say for on, say in self._speech.replies if on.search(line)), None)
            if reply is not None:
                self.say(reply)
            elif self._speech.skip is None or not self._speech.skip.search(line):
                return line

    async def _line(self, *, is_report: bool = False) -> str:
        """Read one line. What has no end is not whole, and no answer. Raises ConnectionError,
        EOFError.
        """
        try:
            line = await self._reader.readline()
        except ValueError as error:
            raise ConnectionError(f"a line of more than {LINE_BYTES_MAX:,} bytes") from error
        if not line or (not is_report and not line.endswith(b"\n")):
            raise EOFError
        return line.decode("utf-8", "replace").rstrip("\r\n")


def _count(counted: re.Match[str], line: str) -> int:
    """Read how many bytes follow. Raises ConnectionError."""
    try:
        count = int(counted[1])
    except (ValueError, TypeError):
        raise ConnectionError(f"the node told no length: {line[:SHOWN]!r}") from None
    if count > ANSWER_BYTES_MAX:
        raise ConnectionError(f"the node said that {count:,} bytes follow: {line[:SHOWN]!r}")
    return count


async def _opened(namespace: int, to: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection. Raises OSError."""
    if to.startswith("unix:"):
        path = to.removeprefix("unix:")
        return await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
    host, _, port = to.rpartition(":")
    opened = open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, (host, int(port)))
    except BaseException:
        opened.close()
        raise
    return await asyncio.open_connection(sock=opened, limit=LINE_BYTES_MAX)
