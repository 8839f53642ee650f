"""What is dear to look at of a node is looked at seldom: how much its state takes of the disk, and
how many descriptors it may have.

A look at a directory costs a system call for each file. So each node is looked at every half a
minute, a few in each pass, and passes spend no more than a hundredth of a core on it.
"""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

EVERY_S = 30.0
CPU_S = 0.01  # of a pass, of which there is one a second
FILES_MOST = 2_000  # of a node with more nobody tells its disk, for it is not counted in time
BLOCK_BYTES = 512  # of st_blocks (stat(2)), whatever the file system's are


@dataclass(frozen=True, slots=True)
class Directory:
    """A node's directory, and the one file in it that is the harness's: its log."""

    path: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Look:
    """What a look told; None: nobody tells."""

    disk_bytes: int | None = None
    fds_limit: int | None = None


NOTHING = Look()


class Seldom:
    """Looks at nodes in turn; `directories` in the topology's order, None where it is not seen."""

    def __init__(self, directories: Sequence[Directory | None]) -> None:
        self._directories = directories
        self._next = deque((0.0, node) for node in range(len(directories)))  # when due, who

    def look(self, pids: Mapping[int, int], now_s: float) -> dict[int, Look]:
        """Look at those that are due and have a process, as far as a pass may cost."""
        found: dict[int, Look] = {}
        until_s = time.thread_time() + CPU_S
        while self._next and self._next[0][0] <= now_s and time.thread_time() < until_s:
            _, node = self._next.popleft()
            self._next.append((now_s + EVERY_S, node))
            if node in pids:
                directory = self._directories[node]
                size = None if directory is None else disk_bytes(directory)
                found[node] = Look(size, fds_limit(pids[node]))
        return found


def disk_bytes(directory: Directory) -> int | None:
    """Count what files below a directory take of the disk, without the log; None where that cannot
    be told: it is gone, or has too many. A hole takes nothing, a file of two names counts twice.
    """
    total, count, folders = 0, 0, [str(directory.path)]
    log = str(directory.log)
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > FILES_MOST:
                        return None
                    with suppress(FileNotFoundError):  # it went meanwhile
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        if entry.path != log:
                            total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
        except FileNotFoundError:
            if not count:
                return None
        except OSError:
            return None
    return total


def fds_limit(pid: int) -> int | None:
    """Read how many descriptors a process may have; None where it has ended, or nobody may ask."""
    with suppress(OSError, ValueError):
        soft, _ = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        return soft if 0 <= soft < 2**31 else None
    return None


def sockets(pid: int) -> int | None:
    """Count a process's descriptors that are sockets of any kind; None where it has ended, or
    nobody may ask.
    """
    count = 0
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    count += os.readlink(entry.path).startswith("socket:")
    except OSError:
        return None
    return count
