"""Programs of this host run in a node's network namespace and are awaited."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.kernel import priority
from harness.kernel.namespaces import spawn_in

OUTPUT_BYTES_MAX = 1 << 20


async def run(namespace: int, argv: Sequence[str], directory: Path) -> tuple[int, str]:
    """Run a program; return its exit code and its output (stdout and stderr together).

    It takes its turn with the nodes, and not with us, who go before all others. Raises UsageError
    where there is no such program; kills it, with what it started, when cancelled.
    """
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = spawn_in(
            namespace, argv, stdio=(nothing, output, output), directory=directory, session=True
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, priority.of_nodes())
        pidfd = os.pidfd_open(process.pid)
        try:
            await _readable(pidfd)
        finally:
            os.close(pidfd)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and what it started: it leads a session
                process.wait()
        return process.returncode, os.pread(output, OUTPUT_BYTES_MAX, 0).decode("utf-8", "replace")
    except ProcessLookupError as error:
        raise HarnessError(f"{argv[0]} could not be followed: {error.strerror}") from error
    finally:
        os.close(output)
        os.close(nothing)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
