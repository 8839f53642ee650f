"""Logs are files that are followed as they grow.

The kernel tells of each write: one inotify(7) instance a process, however many files.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

IN_MODIFY = 0x2
OVERFLOW = -1  # the watch of an event that says: others were lost
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC
EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
READ_BYTES = 1 << 16
LINE_BYTES_MAX = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_watchers: dict[asyncio.AbstractEventLoop, Watcher] = {}


class Watcher:
    """Wakes whoever follows a file when the file was written to."""

    def __init__(self) -> None:
        self._descriptor = _checked(_libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC))
        self._events: dict[int, asyncio.Event] = {}
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def watch(self, path: Path) -> asyncio.Event:
        """Return an event that is set at each write to the file, the same for whoever asks.

        Raises OSError.
        """
        number = _checked(_libc.inotify_add_watch(self._descriptor, os.fsencode(path), IN_MODIFY))
        return self._events.setdefault(number, asyncio.Event())

    def _read(self) -> None:
        data = os.read(self._descriptor, READ_BYTES)
        at = 0
        while at < len(data):
            number, _, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size + length
            if number == OVERFLOW:
                for event in self._events.values():
                    event.set()
            elif number in self._events:
                self._events[number].set()


async def follow(path: Path, begin: int) -> AsyncIterator[str]:
    """Yield the lines of a file from byte `begin` on, as they are written, for ever.

    The file is made where it is not there. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    watcher = _watchers.get(loop) or _watchers.setdefault(loop, Watcher())
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        written = watcher.watch(path)
        rest = b""
        while True:
            written.clear()
            while data := os.pread(descriptor, READ_BYTES, begin):
                begin += len(data)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
                rest = rest[-LINE_BYTES_MAX:]
            await written.wait()
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"inotify: {os.strerror(number)}")
    return result
