"""Removes what dead clusters left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from harness import runtimes
from harness.control import state


def _forget_log(cluster: str) -> None:
    """What a supervisor wrote is worth keeping only while it lives, or after it died."""
    with suppress(OSError):
        (state.root() / f"{cluster}.log").unlink()


def sweep(cluster: str) -> list[str]:
    """Remove what a dead cluster left, by its label; returns what was removed, a line each.

    Raises NameTakenError where the cluster's supervisor lives.
    """
    lock = state.Lock(cluster)
    removed = [f"container {name}" for name in runtimes.sweep(cluster)]
    removed += [f"process {pid}" for pid in _end_strays(lock.path)]
    removed.append(f"folder {lock.path}")
    lock.remove()
    _forget_log(cluster)
    return removed


def _end_strays(folder: Path) -> list[int]:
    """End node processes of this state folder: those whose NOTIFY_SOCKET lies in it. None outlives
    a supervisor by design.
    """
    mark = f"NOTIFY_SOCKET={folder}/".encode()
    ended = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            pidfd = os.pidfd_open(int(entry.name))
            try:
                if any(
                    variable.startswith(mark)
                    for variable in (entry / "environ").read_bytes().split(b"\0")
                ):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    ended.append(int(entry.name))
            finally:
                os.close(pidfd)
    return ended


def doctor() -> dict[str, list[str]]:
    """Remove the leftovers of all dead clusters of this user; cluster → what was removed."""
    found = {cluster: sweep(cluster) for cluster in state.clusters() if not state.is_alive(cluster)}
    for label in runtimes.orphans(state.root()):
        if label not in found and not state.is_alive(label):
            found[label] = sweep(label)
    return found
