"""Records one process by heaptrack and writes folded stacks: ``PID SECONDS FILE``. SIGINT ends it
earlier, with what it has.

``heaptrack --pid`` cuts its own output off when it ends, so the steps of that script are made here:
inject, interpret what comes through a pipe, stop, and print once the pipe is at its end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.profiles.profiler import path_of

WITHIN_S = 60.0  # a debugger is in and out
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
        "sharedlibrary libc.so",
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
    """Have a debugger act in the process, in a session of its own so that nobody's Ctrl-C meets it;
    return why it failed, empty where it did not.
    """
    command = [path_of("gdb"), "--batch", "-nx", "-iex", "set auto-solib-add off"]
    command += ["-p", str(pid), *(word for act in acts for word in ("-ex", act)), "-ex", "detach"]
    quiet = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=quiet,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the debugger was not done with process {pid} within {WITHIN_S:.0f} s"
    for line in done.stderr.splitlines():
        if "ptrace: " in line or line.startswith("No symbol") or "could not attach" in line.lower():
            return line
    return f"gdb ended with {done.returncode}" if done.returncode else ""


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
