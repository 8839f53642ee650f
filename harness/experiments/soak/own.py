"""The harness's own processes while a soak is played: what each holds, a line now and then.

Beside the window's folder is free disk, which is looked at as often.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from harness.errors import StorageError
from harness.history.folder import FREE_BYTES_LEAST, free_bytes, translated

LOOKS = 60  # a window
EVERY_S = (1.0, 10.0)  # at least, at most
GATEWAY = "harness.gateway"
# Below a line: what a look says of one process.
KEYS = ("at_s", "process", "pid", "rss_bytes", "fds", "threads")


class OwnProcesses:
    """Looks at the processes of the harness that live as long as the soak: `look` does when it is
    due, and costs nothing otherwise.
    """

    def __init__(
        self,
        file: Path,
        pids: Mapping[str, int],
        window_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pids`: by what is said of each, `supervisor` and `soak`."""
        self._file, self._clock = file, clock
        self._every_s = min(max(window_s / LOOKS, EVERY_S[0]), EVERY_S[1])
        self._due_s = clock()
        self._watched = {name: psutil.Process(pid) for name, pid in pids.items() if pid}
        with suppress(psutil.Error):
            for child in self._watched["supervisor"].children():
                if GATEWAY in child.cmdline():
                    self._watched["gateway"] = child

    def look(self) -> None:
        """Write a line for each process, if it is time. Raises StorageError, also where the disk is
        nearly full.
        """
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + self._every_s
        lines = []
        for name, process in self._watched.items():
            with suppress(psutil.Error):
                values = (time.time(), name, process.pid, process.memory_info().rss)
                lines.append((*values, process.num_fds(), process.num_threads()))
        with translated(self._file), self._file.open("a") as file:
            for one in lines:
                file.write(json.dumps(dict(zip(KEYS, one, strict=True))) + "\n")
        require_free(self._file.parent)


def require_free(folder: Path, wanted: int = FREE_BYTES_LEAST) -> None:
    """Raise StorageError where less than `wanted` bytes are free for it."""
    if (free := free_bytes(folder)) < wanted:
        raise StorageError(
            f"{folder}: {free / 1e6:,.0f} MB are free, and a soak wants {wanted / 1e6:,.0f} MB; "
            "nothing more is played, so that what was recorded stays whole"
        )


def pid() -> int:
    """Return the pid of the process that plays."""
    return os.getpid()
