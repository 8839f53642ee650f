"""The mark of a cluster: an environment variable of all its processes, which names the cluster's
folder.

The runtime marks what it starts. The supervisor takes the mark into its own environment, so that
everything else that it starts inherits it: gateway, Toxiproxy's server, delay engine.

Linux shows the environment with which a process was executed. So a node that was forked shows its
zygote's, and the supervisor, which was executed before it owned the folder, shows no mark.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

OWNER = "HARNESS_OWNER"


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
