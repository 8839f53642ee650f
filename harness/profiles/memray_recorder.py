"""Records one process by memray and writes folded stacks: ``PID SECONDS FILE``. SIGINT ends it
earlier, with what it has.

It waits until the debugger has left: one that is killed half-way can leave a breakpoint behind,
which would end the process under test.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.profiles.profiler import path_of
from harness.profiles.stacks import Stack, Stacks, stack_of

SPARE_S = 5.0  # so much longer it records by itself, if nobody is there to end it
WITHIN_S = 60.0  # a debugger is in and out


def record(pid: int, seconds: float, file: Path) -> int:
    """Record a process; return the exit code, 0 where the stacks are written."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        raw = Path(folder) / "raw.bin"
        lasts = str(max(1, round(seconds + SPARE_S)))
        if problem := _memray("attach", "--output", str(raw), "--duration", lasts, str(pid)):
            print(problem, file=sys.stderr)
            return 1
        signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, seconds)
        problem = _memray("detach", str(pid))
        if not raw.exists():
            print(problem or "memray wrote nothing", file=sys.stderr)
            return 1
        file.write_text(_stacks(raw).folded())
    return 0


def _memray(*words: str) -> str:
    """Run memray, in a session of its own so that nobody's Ctrl-C meets the debugger; return why
    it failed, empty where it did not.
    """
    command = [path_of("memray"), *words[:1], "--method", "gdb", *words[1:]]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"memray {words[0]}: the debugger was not done within {WITHIN_S:.0f} s"
    said = " ".join((done.stderr or done.stdout).split())
    return f"memray {words[0]}: {said or done.returncode}" if done.returncode else ""


def _stacks(raw: Path) -> Stacks:
    from memray import FileReader

    found = FileReader(str(raw)).get_leaked_allocation_records(merge_threads=True)
    return folded((one.size, one.stack_trace()) for one in found)


def folded(records: Iterable[tuple[int, Iterable[tuple[str, str, int]]]]) -> Stacks:
    """Count the bytes of each stack; memray gives a stack from its innermost frame on."""
    counts: Counter[Stack] = Counter()
    for size, frames in records:
        named: list[Any] = [f"{name} ({Path(file).name}:{line})" for name, file, line in frames]
        counts[stack_of(reversed(named) if named else ["(no Python frame)"])] += size
    return Stacks(counts=+counts, unit="bytes")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(record(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
