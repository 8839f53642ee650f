"""The mark of a cluster: an environment variable of all its processes, which names the cluster's
folder.

The runtime marks what it starts. The supervisor takes the mark into its own environment, so that
everything else that it starts inherits it: gateway, Toxiproxy's server, delay engine.

A warden ends all that carry the mark once the supervisor has ended, however that came: a command of
`harness exec` and its children, or something that was stopped when its pipe closed.

Linux shows the environment with which a process was executed. So a node that was forked shows its
zygote's, and the supervisor, which was executed before it owned the folder, shows no mark.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

OWNER = "HARNESS_OWNER"
MNT_DETACH = 2
ROUNDS, ROUND_S = 100, 0.1  # of the warden: what is killed ends soon, what it forked is killed too


def mark(folder: Path) -> dict[str, str]:
    """Return the environment variable that marks a process of the cluster with this folder."""
    return {OWNER: str(folder.resolve())}


def end_processes(folder: Path) -> list[int]:
    """Kill every process that carries the mark of this folder, except the calling one; returns
    their pids.

    The environment of another user's process cannot be read: it is not ours, and stays.
    """
    [(name, value)] = mark(folder).items()
    wanted = f"{name}={value}".encode()
    ended = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # it ended meanwhile, or is another user's
            pidfd = os.pidfd_open(int(entry.name))
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    ended.append(int(entry.name))
            finally:
                os.close(pidfd)
    return ended


def start_warden(folder: Path) -> Callable[[], object]:
    """Start the warden of the cluster with this folder; returns how to have it act and end.

    It acts by itself once this process has ended: its standard input is ours alone. It carries the
    mark, so whoever ends all processes of the cluster ends it too.
    """
    warden = subprocess.Popen(
        [sys.executable, "-IS", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **mark(folder)},
        start_new_session=True,
    )
    return warden.communicate  # closes its input, and waits


def _keep_watch(folder: Path) -> None:
    """Wait until the supervisor has ended, then kill all that carries the mark, and take away what
    was mounted in the folder.
    """
    sys.stdin.buffer.read()
    for _ in range(ROUNDS):
        if not end_processes(folder):
            break
        time.sleep(ROUND_S)
    _unmount(folder)


def _unmount(folder: Path) -> None:
    """As kernel/mounts.py does it, which this program cannot import."""
    libc, inside = ctypes.CDLL(None), os.fsencode(folder.resolve()) + b"/"
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines()[::-1]:
        point = line.split()[4].decode("unicode_escape").encode("latin-1")
        if point.startswith(inside):
            libc.umount2(point, MNT_DETACH)


if __name__ == "__main__":
    _keep_watch(Path(sys.argv[1]))
