"""Sessions that are open in this process: each ends with it, however it ends.

A session that nobody ended by a `with` or `close` is ended as the interpreter exits. Where the
interpreter does not come to it (SIGKILL, SIGTERM), the kernel closes the channel to the supervisor,
which then takes the cluster down by itself. A child that this process forks holds no channel, so
its life, and its exit, are none of the cluster's.
"""

from __future__ import annotations

import atexit
import os
from typing import Protocol

from harness.errors import attempt


class Held(Protocol):
    """What ends with this process."""

    def close(self) -> None:
        """End it, and wait until nothing of it is left."""

    def leave(self) -> None:
        """Have nothing more to do with it: this process is a child of the one that holds it."""


_open: list[Held] = []


def opened(session: Held) -> None:
    """Have it end with this process."""
    if not _open:
        atexit.register(_close_all)
    _open.append(session)


def closed(session: Held) -> None:
    """Note that it has ended."""
    if session in _open:
        _open.remove(session)


def _close_all() -> None:
    attempt(*(one.close for one in reversed(_open)))


def _leave_all() -> None:
    for one in _open:
        one.leave()
    _open.clear()


os.register_at_fork(after_in_child=_leave_all)
