"""Programs of this host run in a node's network namespace and are awaited."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.kernel import priority
from harness.kernel.namespaces import spawn_in

OUTPUT_BYTES_MAX = 1 << 20


async def run(
    namespace: int,
    argv: Sequence[str],
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    complaints: list[str] | None = None,
) -> tuple[int, str]:
    """Run a program; return its exit code and its output: stdout and stderr together, but where
    `complaints` is given, that gets stderr.

    It takes its turn with the nodes, and not with us, who go before all others. `environment` is
    added to ours. Raises UsageError where there is no such program; kills it, and what it started,
    when cancelled.
    """
    output = os.memfd_create("output", os.MFD_CLOEXEC)
    errors = output if complaints is None else os.memfd_create("errors", os.MFD_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = spawn_in(
            namespace,
            argv,
            stdio=(nothing, output, errors),
            environment={**os.environ, **(environment or {})},
            directory=directory,
            session=True,
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, priority.of_nodes())
        pidfd = os.pidfd_open(process.pid)
        try:
            await _readable(pidfd)
        finally:
            os.close(pidfd)
            if process.poll() is None:
                end(process)
        if complaints is not None:
            complaints.append(_read(errors))
        return process.returncode, _read(output)
    except ProcessLookupError as error:
        raise HarnessError(f"{argv[0]} could not be followed: {error.strerror}") from error
    finally:
        for descriptor in {output, errors, nothing}:
            os.close(descriptor)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that leads a session, and what it started there; reap it."""
    if process.returncode is not None:
        return  # its number may be another's by now
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(output: int) -> str:
    return os.pread(output, OUTPUT_BYTES_MAX, 0).decode("utf-8", "replace")


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
