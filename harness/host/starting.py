"""How long a cluster took to start, and how much of the host others took meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

# Of containers: their work for a cluster that starts is its own.
ENGINES = (b"dockerd", b"containerd", b"runc", b"docker")
KTHREADD = 2
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Starting:
    """A start under way: made when it begins, asked for its facts when it is over."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._before = {key: ticks for key, _, ticks in _processes()}

    def facts(self) -> dict[str, Any]:
        """Return `ready_s`, how long it took, and `ready_others`, the share of all cores that
        processes took meanwhile which are neither this one and what it started, nor an engine's,
        nor the kernel's. What began and ended meanwhile is not seen.
        """
        ready_s = time.monotonic() - self._begun_s
        now = list(_processes())
        own, size = {os.getpid()}, 0
        while size < len(own):
            size = len(own)
            own.update(pid for (pid, _), parent, _ in now if parent in own)
        gained = sum(
            ticks - self._before.get((pid, began), 0)
            for (pid, began), _, ticks in now
            if pid not in own
        )
        cores = len(os.sched_getaffinity(0))
        return {"ready_s": ready_s, "ready_others": gained * TICK_S / (ready_s * cores)}


def _processes() -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield each process but those of an engine and the kernel: (pid, start), its parent, and the
    clock ticks that it has used (proc_pid_stat(5)).
    """
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            before, _, after = file.read().rpartition(b")")
            if before.partition(b"(")[2].startswith(ENGINES):
                continue
            fields = after.split()
            if KTHREADD not in (int(name), parent := int(fields[1])):
                yield (int(name), int(fields[19])), parent, int(fields[11]) + int(fields[12])
