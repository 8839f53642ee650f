"""Start a supervisor in the background and wait until its cluster is ready; end it; remove what a dead one left."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import control, runtime, state
from harness.control import Client
from harness.errors import HarnessError, InterruptedByUserError, NameTakenError
from harness.kernel.proc import is_readable
from harness.supervisor import Spec

Progress = Callable[[str, int, int], None]
DOWN_TIMEOUT_S = 120.0


def start(spec: Spec, progress: Progress) -> dict[str, Any]:
    """Start the supervisor of `spec` and wait; returns its status. Ctrl-C takes everything back.

    Raises what the supervisor raised: NameTakenError, PreflightError, NodeStartError, PermissionNeededError, …
    """
    if state.is_alive(spec.cluster):
        raise NameTakenError(
            f"a cluster named {spec.cluster!r} is up already: `harness down --cluster {spec.cluster}` ends it, "
            f"or choose another name (HARNESS_CLUSTER, --cluster)"
        )
    if state.folder(spec.cluster).exists():
        sweep(spec.cluster)
    ours, theirs = socket.socketpair()
    state.root().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state.root() / f"{spec.cluster}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.bootstrap", str(theirs.fileno()), spec.runtime], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "HARNESS_CLUSTER": spec.cluster, "HARNESS_STATE": str(state.root())},
        )
    theirs.close()
    with ours:
        try:
            ours.sendall(pickle.dumps(spec))
            _follow(ours, progress)
        except KeyboardInterrupt:
            ours.close()                                   # the supervisor sees it, and takes everything back
            process.wait(DOWN_TIMEOUT_S)
            raise InterruptedByUserError("interrupted while the cluster was starting; everything was removed") from None
        except _SilentError:
            process.wait(DOWN_TIMEOUT_S)
            tail = _tail(state.root() / f"{spec.cluster}.log")
            sweep(spec.cluster)
            raise HarnessError(f"the supervisor of cluster {spec.cluster!r} ended while starting (code {process.returncode}):\n{tail}") from None
        except HarnessError:
            process.wait(DOWN_TIMEOUT_S)
            _forget_log(spec.cluster)
            raise
    with Client.connect(spec.cluster) as client:
        return client.status()


class _SilentError(Exception):
    """The supervisor ended without saying why."""


def _follow(channel: socket.socket, progress: Progress) -> None:
    """Pass progress on until the supervisor is ready; raise what it says went wrong, _SilentError if it says nothing."""
    with channel.makefile("r") as lines, suppress(ConnectionResetError):      # reset: it died with our Spec unread
        for line in lines:
            message = json.loads(line)
            if "error" in message:
                raise control.raised(message["error"]["kind"], message["error"]["message"])
            if message.get("ready"):
                return
            progress(message["stage"], message["done"], message["of"])
    raise _SilentError


def _tail(log: Path) -> str:
    with suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-12:])
    return "(no log)"


def stop(cluster: str) -> bool:
    """Take a cluster down and wait until nothing of it is left; False where there was none."""
    if not state.is_alive(cluster):
        existed = state.folder(cluster).exists()
        sweep(cluster)
        return existed
    with Client.connect(cluster) as client:
        pidfd = os.pidfd_open(client.status()["pid"])
        try:
            client.call("down")
            if not is_readable(pidfd, DOWN_TIMEOUT_S):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                is_readable(pidfd, DOWN_TIMEOUT_S)
        finally:
            os.close(pidfd)
    _forget_log(cluster)
    if state.folder(cluster).exists() and not state.is_alive(cluster):     # it was killed on its way down
        sweep(cluster)
    return True


def _forget_log(cluster: str) -> None:
    """What a supervisor wrote is worth keeping only while it lives, or after it died."""
    with suppress(OSError):
        (state.root() / f"{cluster}.log").unlink()


def sweep(cluster: str) -> list[str]:
    """Remove what a dead cluster left, by its label; returns what was removed, a line each.

    Raises NameTakenError where the cluster's supervisor lives.
    """
    lock = state.Lock(cluster)
    removed = [f"container {name}" for name in runtime.sweep(cluster)]
    removed += [f"process {pid}" for pid in _end_strays(lock.path)]
    removed.append(f"folder {lock.path}")
    lock.remove()
    _forget_log(cluster)
    return removed


def _end_strays(folder: Path) -> list[int]:
    """End node processes of this state folder: those whose NOTIFY_SOCKET lies in it. None outlives a supervisor by design."""
    mark = f"NOTIFY_SOCKET={folder}/".encode()
    ended = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            pidfd = os.pidfd_open(int(entry.name))
            try:
                if any(variable.startswith(mark) for variable in (entry / "environ").read_bytes().split(b"\0")):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    ended.append(int(entry.name))
            finally:
                os.close(pidfd)
    return ended


def doctor() -> dict[str, list[str]]:
    """Remove the leftovers of all dead clusters of this user; cluster → what was removed."""
    found = {cluster: sweep(cluster) for cluster in state.clusters() if not state.is_alive(cluster)}
    for label in runtime.orphans(state.root()):
        if label not in found and not state.is_alive(label):
            found[label] = sweep(label)
    return found
