"""The launcher starts a supervisor in the background, waits until its cluster is ready, and ends
it.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.control import client, state
from harness.control.cleanup import _forget_log, sweep
from harness.control.client import Client
from harness.control.progress import Progress
from harness.control.spec import Spec
from harness.errors import HarnessError, InterruptedByUserError, NameTakenError
from harness.kernel.proc import is_readable
from harness.runtimes import owner

DOWN_TIMEOUT_S = 120.0


def start(spec: Spec, progress: Progress, held: ExitStack | None = None) -> dict[str, Any]:
    """Start the supervisor of `spec` and wait until its cluster is ready; return its status.

    `held`: of a bound cluster, which ends when this closes or this process ends, however that
    comes. Ctrl-C takes everything back. Raises what the supervisor raised: NameTakenError,
    PreflightError, NodeStartError, PermissionNeededError, …
    """
    if state.is_alive(spec.cluster):
        raise NameTakenError(
            f"a cluster named {spec.cluster!r} is up already: `harness down --cluster "
            f"{spec.cluster}` ends it, "
            f"or choose another name (HARNESS_CLUSTER, --cluster)"
        )
    if state.folder(spec.cluster).exists():
        sweep(spec.cluster)
    spec = replace(spec, bound=held is not None)
    ours, theirs = socket.socketpair()
    state.root().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state.root() / f"{spec.cluster}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.supervisor", str(theirs.fileno()), spec.runtime],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(spec.cluster),
        )
    theirs.close()
    with ours:
        try:
            ours.sendall(pickle.dumps(spec))
            _follow(ours, progress)
        except KeyboardInterrupt:
            ours.close()  # the supervisor sees it, and takes everything back
            process.wait(DOWN_TIMEOUT_S)
            raise InterruptedByUserError(
                "interrupted while the cluster was starting; everything was removed"
            ) from None
        except _SilentError:
            process.wait(DOWN_TIMEOUT_S)
            tail = _tail(state.root() / f"{spec.cluster}.log")
            sweep(spec.cluster)
            raise HarnessError(
                f"the supervisor of cluster {spec.cluster!r} ended while starting (code "
                f"{process.returncode}):\n{tail}"
            ) from None
        except HarnessError:
            process.wait(DOWN_TIMEOUT_S)
            _forget_log(spec.cluster)
            raise
        if held is not None:
            held.enter_context(ours.dup())
    with Client.connect(spec.cluster) as client:
        return client.status()


def _environment(cluster: str) -> dict[str, str]:
    """Return the supervisor's environment, without the mark of another cluster.

    Somebody may start it beside a node of one (`harness exec`).
    """
    ours = {name: value for name, value in os.environ.items() if name != owner.OWNER}
    return {**ours, "HARNESS_CLUSTER": cluster, "HARNESS_STATE": str(state.root())}


class _SilentError(Exception):
    """The supervisor ended without saying why."""


def _follow(channel: socket.socket, progress: Progress) -> None:
    """Pass progress on until the supervisor is ready.

    Raises what it says went wrong, _SilentError if it says nothing.
    """
    # The connection is reset where the supervisor died with our Spec unread.
    with channel.makefile("r") as lines, suppress(ConnectionResetError):
        for line in lines:
            message = json.loads(line)
            if "error" in message:
                raise client.raised(message["error"]["kind"], message["error"]["message"])
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
    # It may have been killed on its way down, or one of its ends may have failed.
    with suppress(NameTakenError):  # somebody has started another one already
        sweep(cluster)
    return True
