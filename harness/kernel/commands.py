"""A command, with all that it starts: none of it outlives who asked for it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from harness.errors import HarnessError

# Begins once it is told to, and not at all where this process ends before.
HOLD = 'read -r _ || exit 1; exec "$@" </dev/null'
# Kills the group as soon as its standard input closes, which is when this process ends, however.
WATCH = 'read _; kill -s KILL -- "-$0"'
PATIENCE_S = 10.0  # for a command that was asked to end


def run(argv: Sequence[str], output: IO[bytes], environment: Mapping[str, str]) -> int:
    """Run a command to its end, in a process group of its own, with its output in a file; return
    its exit code, negative where a signal ended it. What it left running is ended with it.

    Raises HarnessError where there is no such program.
    """
    if shutil.which(argv[0], path=environment.get("PATH", os.defpath)) is None:
        raise HarnessError(f"{argv[0]}: {os.strerror(errno.ENOENT)}")
    process = subprocess.Popen(
        ["sh", "-c", HOLD, argv[0], *argv],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    watch = ["sh", "-c", WATCH, str(process.pid)]
    try:
        watcher = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    try:
        with suppress(BrokenPipeError), process.stdin as told:
            told.write(b"begin\n")
        # As long as it is not reaped, nobody else can have its number.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except BaseException:
        _signal(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        raise
    finally:
        _signal(process.pid, signal.SIGKILL)
        watcher.kill()
        watcher.communicate()
        process.wait()
    return process.returncode


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
