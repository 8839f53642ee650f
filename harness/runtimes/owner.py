"""The mark of a cluster: an environment variable in every process of it, which names its folder.

The runtime marks what it starts. The supervisor takes the mark into its own environment, so that
whatever else it starts inherits it (gateway, Toxiproxy's server, delay engine, commands). Linux
shows the environment that a process was executed with: a node that was forked shows its zygote's,
and the supervisor, which was executed before it owned the folder, shows no mark.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

OWNER = "HARNESS_OWNER"


def mark(folder: Path) -> dict[str, str]:
    """The environment of a process that belongs to the cluster with this state folder."""
    return {OWNER: str(folder.resolve())}


def end_processes(folder: Path) -> list[int]:
    """Kill every process with the mark of this folder but the calling one; returns their pids.

    A process of another user, which cannot be looked at, is not ours.
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
