"""The process that plays a soak: what it holds, a line now and then. What the supervisor and the
gateway hold is in each run's record.

Beside the window's folder is free disk, which is looked at as often.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from harness.errors import StorageError
from harness.history.folder import FREE_BYTES_LEAST, free_bytes, translated
from harness.kernel import memory

LOOKS = 60  # a window
EVERY_S = (1.0, 10.0)  # at least, at most


class OwnProcess:
    """Looks at the calling process: `look` does when it is due, and costs nothing otherwise."""

    def __init__(
        self,
        file: Path,
        name: str,
        window_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._name, self._clock = file, name, clock
        self._every_s = min(max(window_s / LOOKS, EVERY_S[0]), EVERY_S[1])
        self._due_s = clock()
        self._process = psutil.Process()

    def look(self) -> None:
        """Write a line, if it is time. Raises StorageError, also where the disk is nearly full."""
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + self._every_s
        with self._process.oneshot():
            line = {
                "at_s": time.time(),
                "process": self._name,
                "pid": self._process.pid,
                "rss_bytes": self._process.memory_info().rss,
                "memory_bytes": memory.held([self._process.pid]),
                "fds": self._process.num_fds(),
                "threads": self._process.num_threads(),
            }
        with translated(self._file), self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        require_free(self._file.parent)


def require_free(folder: Path, wanted: int = FREE_BYTES_LEAST) -> None:
    """Raise StorageError where less than `wanted` bytes are free for it."""
    if (free := free_bytes(folder)) < wanted:
        raise StorageError(
            f"{folder}: {free / 1e6:,.0f} MB are free, and a soak wants {wanted / 1e6:,.0f} MB; "
            "nothing more is played, so that what was recorded stays whole"
        )
