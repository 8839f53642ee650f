"""Asking one node in every way that a command file may name."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from harness.errors import HarnessError
from harness.runtimes.runtime import Place
from harness.systems.adapters.command_asks import (
    Ask,
    DialogAsk,
    ExecAsk,
    HelperAsk,
    HttpAsk,
    LineAsk,
)
from harness.systems.adapters.command_fields import filled
from harness.systems.adapters.command_file import CommandFile
from harness.systems.transports import programs
from harness.systems.transports.helpers import Helper
from harness.systems.transports.http import Http
from harness.systems.transports.lines import GREETING_TIMEOUT_S, SHOWN, Lines, Speech

LEAVING_MOST = 64  # connections on which an answer is late, and others are waited for still
Connection = tuple[str, Speech]


class NotAskedError(ConnectionError):
    """Nothing was said to the node: there is no connection to say it on."""


class Asker:
    """Asks a node. `doubt` is told what makes its answers doubtful."""

    def __init__(
        self,
        given: CommandFile,
        place: Place,
        values: Mapping[str, str],
        doubt: Callable[[str], None],
    ) -> None:
        self._place, self._values, self._doubt = place, values, doubt
        self._http = Http(place.namespace)
        self._standing: dict[Connection, Lines] = {}
        self._idle: dict[Connection, list[Lines]] = defaultdict(list)  # for dialogs
        self._leaving: list[Lines] = []
        self._connecting: dict[Connection, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._helper: Helper | None = None
        if given.helper is not None:
            self._helper = Helper(
                place.namespace,
                [filled(each, values) for each in given.helper.argv],
                place.directory,
                {key: filled(text, values) for key, text in given.helper.environment.items()},
                doubt,
            )

    @property
    def helper(self) -> Helper:
        """The node's helper, which a file has that names it."""
        assert self._helper is not None
        return self._helper

    async def agreed(
        self,
        ask: Ask,
        ok: str | None,
        values: Mapping[str, str],
    ) -> tuple[bool, str]:
        """Ask, and return whether the answer is one that agrees, and its words. Raises
        NotAskedError, OSError, HarnessError.
        """
        succeeded, said = await self._ask(ask, values)
        return succeeded and (ok is None or _has(said, ok, values)), said

    async def accepts(self, to: str) -> None:
        """Connect, and hang up. Raises OSError."""
        (await Lines.connect(self._place.namespace, filled(to, self._values))).close()

    async def streamed(self, url: str) -> AsyncIterator[str | None]:
        """Yield the lines of an HTTP answer; None first, once it has begun. Raises OSError."""
        begun = False
        async for data in self._http.lines("GET", url):
            yield data.decode("utf-8", "replace") if begun else None
            begun = True

    async def said(self, ask: LineAsk, ok: str | None) -> AsyncIterator[str | None]:
        """Yield the lines of a connection of their own; None first, once it was asked for them, and
        a line had `ok` where it is given. Raises OSError.
        """
        connection = await Lines.connect(
            self._place.namespace, filled(ask.to, self._values), self._spoken(ask.speech)
        )
        try:
            connection.say(filled(ask.say, self._values))
            lines = connection.read()
            early = [] if ok is None else await self._begun(lines, ok)
            yield None
            for line in early:
                yield line
            async for line in lines:
                yield line
        finally:
            connection.close()

    async def _begun(self, lines: AsyncIterator[str], ok: str) -> list[str]:
        """Wait for the line that says that reports come from now on; return those before it. Raises
        ConnectionError.
        """
        early: list[str] = []
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                async for line in lines:
                    if _has(line, ok, self._values):
                        return early
                    early.append(line)
            why = "the node hung up"
        except TimeoutError:
            why = f"{GREETING_TIMEOUT_S:g} s went by"
        last = f"; its last was: {early[-1][:SHOWN]}" if early else "; it said nothing"
        raise ConnectionError(f"{why} before a line had what received.ok says{last}")

    async def close(self) -> None:
        """Let go of every connection, and end the helper."""
        idle = [each for pool in self._idle.values() for each in pool]
        for connection in (*self._standing.values(), *idle, *self._leaving):
            connection.close()
        if self._helper is not None:
            await self._helper.close()
        await self._http.close()

    async def _ask(self, ask: Ask, values: Mapping[str, str]) -> tuple[bool, str]:
        match ask:
            case HttpAsk():
                headers = {name: filled(text, values) for name, text in ask.headers.items()}
                body, url = filled(ask.body, values).encode() or None, filled(ask.url, values)
                status, answer = await self._http.ask(ask.method, url, body=body, headers=headers)
                return 200 <= status < 300, f"{status} {answer.decode('utf-8', 'replace')}"
            case ExecAsk():
                argv = [filled(each, values) for each in ask.argv]
                code, output = await programs.run(
                    self._place.namespace, argv, self._place.directory
                )
                return code == 0, output if code == 0 else f"exit code {code}: {output}"
            case LineAsk():
                connection = await self._connection((filled(ask.to, values), ask.speech))
                return True, await connection.ask(filled(ask.say, values), ask.shape)
            case DialogAsk():
                return await self._talked(ask, values)
            case HelperAsk():
                word, text = await self.helper.ask(filled(ask.say, values))
                return word == "ok", text if word == "ok" else f"{word} {text}".strip()

    async def _connection(self, key: Connection) -> Lines:
        """Return the connection that all share who ask there."""
        async with self._connecting[key]:
            standing = self._standing.get(key)
            if standing is None or standing.closed:
                if standing is not None:
                    self._leave(standing)
                standing = self._standing[key] = await self._connect(*key)
            return standing

    def _leave(self, connection: Lines) -> None:
        """Keep a connection on which answers may come still, and nothing more is asked."""
        if connection.owes:
            self._leaving = [each for each in self._leaving if each.owes][1 - LEAVING_MOST :]
            self._leaving.append(connection)
        else:
            connection.close()

    async def _talked(self, ask: DialogAsk, values: Mapping[str, str]) -> tuple[bool, str]:
        """Say all lines in turn, on a connection that nobody else has meanwhile."""
        key = filled(ask.to, values), ask.speech
        connection = None
        while self._idle[key] and (connection is None or connection.closed):
            connection = self._idle[key].pop()
        if connection is None or connection.closed:
            connection = await self._connect(*key)
        said = ""
        for say, ok in zip(ask.say, ask.ok, strict=True):
            try:
                said = await connection.ask(filled(say, values), ask.shape)
            except BaseException:
                connection.close()
                raise
            if not _has(said, ok, values):
                connection.close()  # in the middle of what it was told
                return False, said
        self._idle[key].append(connection)
        return True, said

    async def _connect(self, to: str, speech: Speech) -> Lines:
        """Connect. Raises NotAskedError."""
        try:
            return await Lines.connect(self._place.namespace, to, self._spoken(speech), self._doubt)
        except OSError as error:
            raise NotAskedError(f"{to}: {error}") from error

    async def start_helper(self) -> None:
        """Start the node's helper, where it has one. Raises OSError, UsageError."""
        if self._helper is not None:
            await self._helper.start()

    def _spoken(self, speech: Speech) -> Speech:
        """Return how it is spoken, with all fields filled in."""
        return replace(
            speech,
            hello=tuple(replace(each, say=filled(each.say, self._values)) for each in speech.hello),
            replies=tuple((on, filled(say, self._values)) for on, say in speech.replies),
        )


def _has(said: str, ok: str, values: Mapping[str, str]) -> bool:
    """Whether an answer has what it must have."""
    escaped = {name: re.escape(value) for name, value in values.items()}
    return re.search(filled(ok, escaped), said) is not None


GONE = (OSError, HarnessError)
