"""Helpers are programs of this host that speak to a node for us, one process a node that stays.

A helper reads requests from its standard input, a line each: a number that nobody can guess, then
words. It answers on its standard output, in any order: the number, then ``ok``, ``failed`` (it was
certainly not done) or ``unknown``, then text. A line ``report TEXT`` says what the node received.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.kernel import priority
from harness.kernel.namespaces import spawn_in
from harness.systems.transports import programs

LINE_BYTES_MAX = 1 << 20
NUMBER_BYTES = 8
AGAIN_S = 1.0  # from the start of one that ended to that of the next
TOLD_AFTER_S = 1.0  # that it ended, unless it ended with its node
GRACE_S = 0.2  # from its last word to its end
LATE_MAX = 1 << 16  # answers that nobody waits for any more and that may still come
LAST_WORDS = 3  # lines of its standard error that are shown
SHOWN = 80  # characters of a line in an error
ANSWERS = ("ok", "failed", "unknown")


class Helper:
    """The helper of one node. It is started when it is needed, and anew where it has ended.

    `doubt` is told, in a sentence, what shows that its word cannot be relied on.
    """

    def __init__(
        self,
        namespace: int,
        argv: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        doubt: Callable[[str], None],
    ) -> None:
        self._namespace, self._argv, self._directory = namespace, argv, directory
        self._environment, self._doubt = environment, doubt
        self._life: _Life | None = None
        self._birth: asyncio.Task[_Life] | None = None
        self._listeners: list[asyncio.Queue[str | None]] = []
        self._untold: list[asyncio.TimerHandle] = []

    async def start(self) -> None:
        """Start it, where it does not run. Raises OSError, UsageError."""
        await self._living()

    async def ask(self, words: str) -> tuple[str, str]:
        """Ask, and return the answer's word and its text. Raises OSError, UsageError."""
        return await (await self._living()).ask(words)

    async def reports(self) -> AsyncIterator[str | None]:
        """Yield what it reports, until it ends: None first, once it is followed. Raises OSError,
        UsageError.
        """
        mine: asyncio.Queue[str | None] = asyncio.Queue()
        self._listeners.append(mine)
        try:
            await self._living()
            yield None
            while (line := await mine.get()) is not None:
                yield line
        finally:
            self._listeners.remove(mine)

    async def close(self) -> None:
        """End it."""
        for each in self._untold:
            each.cancel()
        if self._birth is not None:
            await asyncio.gather(self._birth, return_exceptions=True)
        if self._life is not None:
            await self._life.close()

    async def _living(self) -> _Life:
        """Return its process. Whoever waits no longer for its start leaves that to the others."""
        life = self._life
        if life is not None and not life.has_ended:
            return life
        if self._birth is None:
            if life is not None and time.monotonic() - life.begun_s < AGAIN_S:
                raise ConnectionError(life.why)
            self._birth = asyncio.get_running_loop().create_task(self._begin())
            self._birth.add_done_callback(self._begun)
        return await asyncio.shield(self._birth)

    async def _begin(self) -> _Life:
        if self._life is not None:
            await self._life.close()
        self._life = life = await _Life.begun(
            self._namespace, self._argv, self._directory, self._environment
        )
        life.follow(self._heard, self._doubt, self._ended)
        return life

    def _begun(self, birth: asyncio.Task[_Life]) -> None:
        birth.exception()  # whoever waits is told of it; perhaps nobody does any more
        self._birth = None

    def _ended(self, why: str) -> None:
        """Tell that it ended, where the node lives on."""
        loop = asyncio.get_running_loop()
        self._untold.append(loop.call_later(TOLD_AFTER_S, self._doubt, why))
        self._heard(None)

    def _heard(self, line: str | None) -> None:
        for each in self._listeners:
            each.put_nowait(line)


class _Life:
    """One process of a helper, from its start to its end."""

    _in: asyncio.WriteTransport
    _out: asyncio.StreamReader
    _error: asyncio.StreamReader
    _read: tuple[asyncio.BaseTransport, ...]  # what `_out` and `_error` read from
    _heard: Callable[[str], None]
    _doubt: Callable[[str], None]
    _ended: Callable[[str], None]

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.begun_s, self.why = time.monotonic(), ""
        self._process, self._name = process, name
        self._asked: dict[str, asyncio.Future[tuple[str, str]]] = {}
        self._late: dict[str, None] = {}
        self._said: deque[str] = deque(maxlen=LAST_WORDS)  # on its standard error
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def begun(
        cls, namespace: int, argv: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> _Life:
        """Start the program. Raises UsageError where there is none, OSError."""
        theirs_in, ours_in = os.pipe2(os.O_CLOEXEC)
        ours_out, theirs_out = os.pipe2(os.O_CLOEXEC)
        ours_error, theirs_error = os.pipe2(os.O_CLOEXEC)
        try:
            process = spawn_in(
                namespace,
                argv,
                stdio=(theirs_in, theirs_out, theirs_error),
                environment={**os.environ, **environment},
                directory=directory,
                session=True,
            )
        except BaseException:
            for descriptor in (ours_in, ours_out, ours_error):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (theirs_in, theirs_out, theirs_error):
                os.close(descriptor)
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, priority.of_nodes())
        made = cls(process, argv[0])
        made._out, out = await _reader(ours_out)
        made._error, error = await _reader(ours_error)
        made._read = out, error
        made._in, _ = await asyncio.get_running_loop().connect_write_pipe(
            asyncio.Protocol, os.fdopen(ours_in, "wb", buffering=0)
        )
        return made

    def follow(
        self,
        heard: Callable[[str], None],
        doubt: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        """Read what it says from now on."""
        self._heard, self._doubt, self._ended = heard, doubt, ended
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._keep_complaints())]

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return bool(self.why) or self._in.is_closing()

    async def ask(self, words: str) -> tuple[str, str]:
        """Ask, and return the answer's word and its text. Raises ConnectionError."""
        if self.has_ended:
            raise ConnectionError(self.why or "its helper has ended")
        number = secrets.token_hex(NUMBER_BYTES)
        answer: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._in.write(f"{number} {words}\n".encode())
        try:
            return await answer
        except asyncio.CancelledError:
            self._late[number] = None
            if len(self._late) > LATE_MAX:
                del self._late[next(iter(self._late))]
            raise
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """End it, and what it started; reap it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._in.is_closing():
            self._in.abort()
        for transport in self._read:
            transport.close()
        programs.end(self._process)

    async def _listen(self) -> None:
        why = "said no more"
        try:
            while (line := await self._out.readline()).endswith(b"\n"):
                self._take(line.decode("utf-8", "replace").rstrip("\r\n"))
        except ValueError:
            why = f"said a line of more than {LINE_BYTES_MAX:,} bytes"
        await self._end(why)

    def _take(self, line: str) -> None:
        """Take one line that it said."""
        number, _, rest = line.partition(" ")
        word, _, text = rest.partition(" ")
        if number == "report":
            self._heard(rest)
            return
        answer = self._asked.get(number)
        if answer is None and number in self._late:
            del self._late[number]
        elif answer is None or answer.done():
            self._doubt(
                f"its helper {self._name} said {line[:SHOWN]!r}: an answer that was given before, "
                "or to what nobody asked"
            )
        elif word not in ANSWERS:
            self._doubt(
                f"its helper {self._name} answered {rest[:SHOWN]!r}; expected one of "
                f"{', '.join(ANSWERS)}"
            )
            answer.set_result(("unknown", rest))
        else:
            answer.set_result((word, text))

    async def _end(self, why: str) -> None:
        """Take it down that it ended, and tell all who wait."""
        await self._grace()
        programs.end(self._process)  # also where it only closed its standard output
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._tasks[1]), GRACE_S)
        code = self._process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        last = f": {' | '.join(self._said)}" if self._said else ""
        self.why = f"its helper {self._name} {why} ({how}){last}"
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError(self.why))
        self._ended(self.why)

    async def _grace(self) -> None:
        """Wait a moment for its end, so that it is its own."""
        until_s = time.monotonic() + GRACE_S
        while time.monotonic() < until_s:
            how = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if os.waitid(os.P_PID, self._process.pid, how):  # noqa: ASYNC222 - it does not wait
                return
            await asyncio.sleep(0.01)

    async def _keep_complaints(self) -> None:
        with suppress(ValueError):
            while line := await self._error.readline():
                self._said.append(line.decode("utf-8", "replace").strip()[:SHOWN])


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport
