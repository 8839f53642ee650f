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
from pathlib import Path
from typing import Any

from harness.control import client, logs, state
from harness.control.cleanup import sweep
from harness.control.client import Client
from harness.control.interrupts import held_back
from harness.control.progress import Progress
from harness.control.spec import Spec
from harness.errors import HarnessError, InterruptedByUserError, NameTakenError, UnavailableError
from harness.kernel.proc import is_readable, is_stopped
from harness.runtimes import owner

DOWN_TIMEOUT_S = 120.0
KEEP = b"k"  # on the channel: the cluster stays when it closes


class Hold(ExitStack):
    """A cluster that was started ends when this closes, or this process ends, unless it is kept."""

    channel: socket.socket | None = None  # to its supervisor, which sees it close

    def keep(self) -> None:
        """Let the cluster stay when this closes and this process ends.

        Raises UnavailableError where its supervisor has ended meanwhile.
        """
        assert self.channel is not None
        try:
            self.channel.sendall(KEEP)
        except OSError as error:
            raise UnavailableError("the supervisor ended as its cluster was to be kept") from error
        self.pop_all()
        self.channel.close()


def start(spec: Spec, progress: Progress, held: Hold) -> dict[str, Any]:
    """Start the supervisor of `spec` and wait until its cluster is ready; return its status.

    `held` decides how long the cluster stays. Ctrl-C takes everything back. Raises what the
    supervisor raised: NameTakenError, PreflightError, NodeStartError, PermissionNeededError, …
    """
    if state.is_alive(spec.cluster):
        raise NameTakenError(
            f"a cluster named {spec.cluster!r} is up already: `harness down --cluster "
            f"{spec.cluster}` ends it, "
            f"or choose another name (HARNESS_CLUSTER, --cluster)"
        )
    if state.folder(spec.cluster).exists():
        sweep(spec.cluster)
    try:
        with logs.kept(spec.cluster), ExitStack() as started:
            ours = _spawn(spec, started)
            with suppress(BrokenPipeError):  # `_follow` finds why
                ours.sendall(pickle.dumps(spec))
            _follow(ours, progress)
            with Client.connect(spec.cluster) as connected:
                status = connected.status()
            with held_back():
                held.channel = ours
                held.callback(logs.forget, spec.cluster)
                held.enter_context(started.pop_all())
        return status
    except KeyboardInterrupt:
        logs.forget(spec.cluster)
        raise InterruptedByUserError(
            "interrupted while the cluster was starting; everything was removed"
        ) from None
    except _SilentError:
        tail = _tail(logs.path(spec.cluster))
        sweep(spec.cluster)
        raise HarnessError(
            f"the supervisor of cluster {spec.cluster!r} ended while starting:\n{tail}"
        ) from None
    except HarnessError:
        logs.forget(spec.cluster)
        raise


def _spawn(spec: Spec, started: ExitStack) -> socket.socket:
    """Start a supervisor that waits for its Spec; return the channel to it.

    Once `started` closes, the supervisor has seen the channel close, taken everything back and
    ended.
    """
    with held_back(), logs.path(spec.cluster).open("ab") as log:
        ours, theirs = socket.socketpair()
        started.callback(ours.close)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.supervisor", str(theirs.fileno()), spec.runtime],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(spec.cluster),
            )
        started.callback(_wait, process)
        started.callback(ours.close)  # first, or there is nothing to wait for
    return ours


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait until a supervisor has ended that nobody holds any more."""
    try:
        process.wait(DOWN_TIMEOUT_S)
    except KeyboardInterrupt:
        raise InterruptedByUserError(
            f"interrupted again; the supervisor (pid {process.pid}) removes everything by itself"
        ) from None


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
    with suppress(OSError, ValueError):
        _, *lines = log.read_text(errors="replace").splitlines()  # after the mark
        return "\n".join(lines[-12:])
    return "(no log)"


def stop(cluster: str) -> bool:
    """Take a cluster down and wait until nothing of it is left; False where there was none.

    Raises UnavailableError for a supervisor that cannot hear of it.
    """
    if not state.is_alive(cluster):
        existed = state.folder(cluster).exists()
        sweep(cluster)
        return existed
    asked, runtime = False, None
    with Client.connect(cluster) as connected:
        if is_stopped(pid := connected.supervisor):
            raise UnavailableError(
                f"the supervisor of cluster {cluster!r} (pid {pid}) was stopped by a signal and "
                f"hears nothing: `kill -CONT {pid}` lets it go on, then `harness down` again; "
                f"`kill -KILL {pid}` ends it, then `harness doctor` removes what it left"
            )
        pidfd = os.pidfd_open(pid or connected.status()["pid"])
        try:
            with held_back():
                runtime = connected.call("down").get("runtime")
                asked = True
            if not is_readable(pidfd, DOWN_TIMEOUT_S):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                is_readable(pidfd, DOWN_TIMEOUT_S)
        except KeyboardInterrupt:
            if not asked:
                raise
            raise InterruptedByUserError(
                f"interrupted; cluster {cluster!r} was asked to go down and does so by itself"
            ) from None
        finally:
            os.close(pidfd)
    # It may have been killed on its way down, or one of its ends may have failed.
    with suppress(NameTakenError):  # somebody has started another one already
        sweep(cluster, runtime)
    return True
