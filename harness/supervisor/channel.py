"""The channel joins a supervisor that starts with the client that waits for it."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, InterruptedByUserError, StorageError
from harness.kernel.proc import is_readable
from harness.redaction import redacted

PROGRESS_EVERY_S = 0.05
GONE_WITHIN_S = 3600.0  # one wait; it is woken at once


class Channel:
    """Tells the waiting client of progress, and notices that the client gave up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._said_s = 0.0
        self._lock = threading.Lock()

    def say(self, **message: Any) -> None:
        """Send one line. A client that is gone raises nothing here: `progress` notices it."""
        with suppress(OSError), self._lock:
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far the start is. Raises InterruptedByUserError where nobody listens any more."""
        if is_readable(self._connection.fileno()):
            raise InterruptedByUserError(
                "interrupted while the cluster was starting; everything was removed"
            )
        now = time.monotonic()
        if done == total or now - self._said_s > PROGRESS_EVERY_S:
            self._said_s = now
            self.say(stage=stage, done=done, of=total)

    def when_gone(self, act: Callable[[], object]) -> None:
        """Act, in a thread, once the client lets go of the channel or ends.

        Not where it says a byte before, which means that the cluster stays (launcher.KEEP).
        """

        def wait() -> None:
            while not is_readable(self._connection.fileno(), GONE_WITHIN_S):
                pass
            said = b""
            with suppress(OSError):
                said = self._connection.recv(1)
            if not said:
                act()
            self._connection.close()

        threading.Thread(target=wait, name="channel", daemon=True).start()


def failure(error: Exception, folder: Path) -> tuple[str, str]:
    """Return the kind and the message of an error, for the waiting client.

    Errors of the harness stay as they are; a full disk becomes what it is.
    """
    if isinstance(error, HarnessError):
        return type(error).__name__, redacted(str(error))
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return (
            StorageError.__name__,
            (
                f"the state folder {folder} cannot be written: {error.strerror} (HARNESS_STATE "
                "chooses another)"
            ),
        )
    return HarnessError.__name__, f"{type(error).__name__}: {error}"
