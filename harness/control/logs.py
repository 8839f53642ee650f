"""Logs of supervisors: one a cluster, beside its folder, because it outlives that.

Its first line is the cluster's mark: a file of the same name without it is somebody's own. A log is
worth keeping while its supervisor is being started, while it lives, and after it died without being
asked to.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.control import state
from harness.runtimes import owner

SUFFIX = ".log"
AGAIN_S = 0.001


def path(cluster: str) -> Path:
    """Return the log of a cluster's supervisor, which need not exist."""
    return state.root() / f"{cluster}{SUFFIX}"


def begin(descriptor: int, cluster: str) -> None:
    """Have a log begin anew, with the mark."""
    os.ftruncate(descriptor, 0)
    with suppress(OSError):  # of a full disk, which keeps no log
        os.write(descriptor, _mark(cluster))


@contextmanager
def kept(cluster: str) -> Iterator[None]:
    """Have nobody remove a cluster's log, which is made, while its supervisor is being started."""
    state.make_root()
    while (descriptor := _held(path(cluster))) is None:
        time.sleep(AGAIN_S)
    try:
        if not os.fstat(descriptor).st_size:
            begin(descriptor, cluster)
        yield
    finally:
        os.close(descriptor)


def _held(file: Path) -> int | None:
    with suppress(BlockingIOError):  # somebody is just removing it
        return state.lock_file(file, state.READ_LOCK)
    return None


def forget(cluster: str) -> list[str]:
    """Remove the log of a cluster that neither lives nor is being started; say so, a line."""
    file = path(cluster)
    try:
        descriptor = state.lock_file(file, make=False)
    except OSError:  # it is kept, or another user's
        return []
    if descriptor is None:
        return []
    try:
        if state.is_alive(cluster) or not _is_ours(descriptor, cluster):
            return []
        file.unlink(missing_ok=True)
        return [f"log {file}"]
    except OSError:
        return []
    finally:
        os.close(descriptor)


def say(line: str) -> None:
    """Write a line into the log, which is a supervisor's standard error; on a full disk the channel
    and the events still say it.
    """
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def clusters() -> list[str]:
    """Return the names of all clusters of this user that may have a log."""
    names = [file.name.removesuffix(SUFFIX) for file in state.root().glob(f"*{SUFFIX}")]
    return sorted(name for name in names if state.CLUSTER_NAME.fullmatch(name))


def _mark(cluster: str) -> bytes:
    [(name, value)] = owner.mark(state.folder(cluster)).items()
    return f"{name}={value}\n".encode()


def _is_ours(descriptor: int, cluster: str) -> bool:
    mark = _mark(cluster)
    return os.pread(descriptor, len(mark), 0) == mark
