"""Execution runs a command of the host beside a node, in its network namespace (`harness exec`)."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from harness.errors import UsageError
from harness.runtimes.runtime import Runtime
from harness.supervisor.cluster import Cluster
from harness.supervisor.outlet import outlets
from harness.supervisor.past import Past
from harness.supervisor.recording import Recording


def answer(
    cluster: Cluster,
    past: Past,
    recording: Recording | None,
    params: Mapping[str, Any],
    descriptors: Sequence[int],
    connection: socket.socket,
) -> dict[str, Any]:
    """Answer a request to run a command beside a node with its exit code; see `run`. The run under
    way, if any, and those to come are told of it.
    """
    node, argv = params["node"], params["argv"]
    cluster.require(node)
    past.command(node, argv, None if recording is None else recording.folder)
    return {"exit_code": run(cluster.runtime, node, argv, descriptors, connection)}


def run(
    runtime: Runtime,
    node: str,
    argv: Sequence[str],
    descriptors: Sequence[int],
    connection: socket.socket,
) -> int:
    """Run a command with the client's stdin, stdout and stderr; return its exit code. No secret of
    the cluster is passed on.

    The code is negative where a signal ended the command. The command ends when the client goes.
    Raises UsageError where there are not three descriptors, or no such program.
    """
    if len(descriptors) != 3:
        raise UsageError(
            "exec: expected three descriptors (stdin, stdout, stderr) with the request"
        )
    own = outlets(descriptors[1], descriptors[2])
    try:
        ends = [each.end for each in own] or descriptors[1:]
        pid = runtime.execute(node, argv, (descriptors[0], ends[0], ends[1]))
    except BaseException:
        for each in dict.fromkeys(own):
            each.discard()
        raise
    pidfd = os.pidfd_open(pid)
    try:
        for each in dict.fromkeys(own):
            each.begin(pidfd)
        is_asked_for = _until_ended(pidfd, connection)
    finally:
        os.close(pidfd)
    _, how = os.waitpid(pid, 0)
    for each in own:
        each.drain(lambda: is_asked_for and not _has_hung_up(connection))
    return os.waitstatus_to_exitcode(how)


def _until_ended(pidfd: int, connection: socket.socket) -> bool:
    """Wait until a command has ended, which it does when the client goes (Ctrl-C); return whether
    that is still there.
    """
    poll, is_there = select.poll(), True
    poll.register(pidfd, select.POLLIN)
    poll.register(connection, select.POLLIN | select.POLLHUP)
    while not any(descriptor == pidfd for descriptor, _ in poll.poll()):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll.unregister(connection)
        is_there = False
    return is_there


def _has_hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))
