"""Records one process by heaptrack and writes folded stacks: ``PID SECONDS FILE``. SIGINT ends it
earlier, with what it has.

``heaptrack --pid`` cuts its own output off when it ends, so the steps of that script are made here:
inject, interpret what comes through a pipe, stop, and print once the pipe is at its end.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.profiles.profiler import path_of

WITHIN_S = 60.0  # a debugger is in and out
CALL_S, LOOKS_S = 5.0, 0.1  # what it calls in the process has ended, or waits for a lock
WAIT_S = 1.0  # whoever is in malloc has left it
ALLOCATES = ("malloc", "calloc", "realloc")
TRIES, BETWEEN_S = 8, 0.2
WAITS, CALLS = "the debugger waits", "the debugger calls"
UNDONE = "while in a function called from GDB"
SAID_MOST = 1 << 20
DRAINED_S = 30.0  # after which the interpreter has read to the end
LIBRARY = "libheaptrack_inject"


def record(pid: int, seconds: float, file: Path) -> int:
    """Record a process; return the exit code, 0 where the stacks are written."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    home = Path(path_of("heaptrack")).resolve().parent.parent / "lib" / "heaptrack"
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        pipe, data = Path(folder) / "pipe", Path(folder) / "data"
        os.mkfifo(pipe)
        with data.open("wb") as output:
            interpreter = subprocess.Popen(
                [
                    "sh",
                    "-c",
                    'exec "$0" < "$1"',
                    str(home / "libexec" / "heaptrack_interpret"),
                    pipe,
                ],
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        try:
            problem = _inject(pid, home, pipe)
            if not problem:
                signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, seconds)
                problem = _debug(pid, f"sharedlibrary {LIBRARY}", "call (void) heaptrack_stop()")
                if not problem:
                    interpreter.wait(DRAINED_S)
        except subprocess.TimeoutExpired:
            problem = "heaptrack's interpreter did not come to an end"
        finally:
            interpreter.kill()
            interpreter.wait()
        return _tell(problem) if problem else _print(data, file)


def _inject(pid: int, home: Path, pipe: Path) -> str:
    library = home / f"{LIBRARY}.so"
    loads = subprocess.run(
        [home / "libexec" / "heaptrack_env", "dlopen", library],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    problem = _debug(
        pid,
        f"call (void) {loads}",
        f"sharedlibrary {LIBRARY}",
        f'call (void) heaptrack_inject("{pipe}")',
    )
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        is_loaded = LIBRARY in maps.read()
    if problem.startswith("No symbol") and not is_loaded:
        return f"process {pid} could not load {library}: is it in its container?"
    return problem or ("" if is_loaded else f"process {pid} did not load {library}")


def _debug(pid: int, *acts: str) -> str:
    """Have a debugger act in the process; return why it failed, empty where it did not.

    It stops a thread anywhere, also in the middle of malloc, where an act that allocates would
    break the heap. So it lets the thread go on to where something is allocated next; one that
    allocates nothing for a while is not in malloc. Where that thread holds a lock that the act
    wants (of heaptrack, which allocates too) the act never ends, and nor would what the thread did.
    Such an act is undone, and tried again when the thread is elsewhere.
    """
    for _ in range(TRIES):
        if (problem := _tried(pid, acts)) is None:
            time.sleep(BETWEEN_S)
            continue
        return problem
    return f"process {pid} held a lock that heaptrack wants, {TRIES} times; it goes on without"


def _tried(pid: int, acts: Sequence[str]) -> str | None:
    """Try once: as `_debug`; None where an act did not end and was undone."""
    command = [path_of("gdb"), "--batch", "-nx", "-iex", "set auto-solib-add off"]
    command += ["-iex", "set unwindonsignal on", "-p", str(pid), "-ex", "sharedlibrary libc.so"]
    for function in ALLOCATES:
        command += ["-ex", f"tbreak {function}"]
    command += ["-ex", f"shell echo {WAITS}", "-ex", "continue", "-ex", "delete"]
    for act in acts:
        if act.startswith("call"):
            command += ["-ex", f"shell echo {CALLS}"]
        command += ["-ex", act]
    quiet = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        debugger = subprocess.Popen(
            [*command, "-ex", "detach"],
            stdout=said,
            stderr=said,
            env=quiet,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # nobody's Ctrl-C meets it
            preexec_fn=_listen,  # noqa: PLW1509 - this process has one thread
        )
        ended = _ended(debugger, said)
        text = _text(said)
    if not ended:
        return f"the debugger was not done with process {pid} within {WITHIN_S:.0f} s"
    if UNDONE in text:
        return None
    for line in text.splitlines():
        if "ptrace: " in line or line.startswith("No symbol") or "could not attach" in line.lower():
            return line
    return f"gdb ended with {debugger.returncode}" if debugger.returncode else ""


def _listen() -> None:
    """Let it hear SIGINT, which this process blocks."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _ended(debugger: subprocess.Popen[bytes], said: IO[str]) -> bool:
    """Wait until it has ended, and interrupt what takes too long: a call is undone by that; return
    whether it ended. One that nothing ends is killed.
    """
    end_s, begun, due_s = time.monotonic() + WITHIN_S, 0, math.inf
    while time.monotonic() < end_s:
        with suppress(subprocess.TimeoutExpired):
            debugger.wait(LOOKS_S)
            return True
        text, now_s = _text(said), time.monotonic()
        if (count := text.count(WAITS) + text.count(CALLS)) > begun:
            begun, due_s = count, now_s + (CALL_S if CALLS in text else WAIT_S)
        elif now_s > due_s:
            debugger.send_signal(signal.SIGINT)
            due_s = now_s + CALL_S
    debugger.kill()
    debugger.wait()
    return False


def _text(said: IO[str]) -> str:
    """Return what was said so far; whoever writes there goes on where it is."""
    return os.pread(said.fileno(), SAID_MOST, 0).decode(errors="replace")


def _print(data: Path, file: Path) -> int:
    command = [path_of("heaptrack_print"), "--file", str(data), "--print-flamegraph", str(file)]
    command += ["--flamegraph-cost-type", "leaked"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not file.exists():
        return _tell(f"heaptrack_print: {' '.join(done.stderr.split())[-300:] or done.returncode}")
    return 0


def _tell(problem: str) -> int:
    print(problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(record(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
