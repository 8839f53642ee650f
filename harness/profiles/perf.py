"""perf samples the native stacks of processes, by the kernel's clock (no counters of the CPU are
needed), and the kernel's own where the user may see them.

The interpreter's frames stand for Python's, unless Python itself says which is which (3.12 and
newer, ``-X perf``).
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import UnavailableError
from harness.profiles.profiler import RATE_PER_S, Profiler, Tool, path_of
from harness.profiles.stacks import Stack, Stacks, stack_of

UNIT = "samples"
EVENT = "cpu-clock"  # a virtual machine seldom has the CPU's counters
RATE = RATE_PER_S - 1  # not in step with what happens a hundred times a second
READING_S = 120.0
FIELDS = "comm,pid,tid,time,event,ip,sym,dso"


def _command(pids: Sequence[int], seconds: float, file: Path) -> list[str]:
    return [
        *(path_of("perf"), "record", "--event", EVENT, "--freq", str(RATE)),
        *("--call-graph", "fp", "--pid", ",".join(map(str, pids)), "--output", str(file)),
        *("--", "sleep", str(seconds)),
    ]


def _read(file: Path) -> Stacks:
    command = [path_of("perf"), "script", "--input", str(file), "--fields", FIELDS]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=READING_S, check=True
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no reason"])[-1]
        raise UnavailableError(f"perf cannot read what it recorded: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"perf did not read it within {READING_S:.0f} s") from error
    return folded(done.stdout.split("\n"))


def folded(lines: Iterable[str]) -> Stacks:
    """Read what ``perf script`` prints: of each sample a line, then its frames, the innermost
    first, then an empty line.
    """
    counts: Counter[Stack] = Counter()
    process, frames = "", list[str]()
    for line in (*lines, ""):
        if not line.strip():
            if process:
                counts[stack_of([process, *reversed(frames)])] += 1
            process, frames = "", []
        elif line[0].isspace():
            frames.append(_frame(line))
        else:
            process = _process(line)
    return Stacks(counts=counts, unit=UNIT)


def _process(line: str) -> str:
    """Name the process of ``NAME PID/TID TIME: EVENT:``, whose name may hold blanks."""
    words = line.split()
    at = next((at for at, word in enumerate(words) if "/" in word and at), len(words))
    return " ".join(words[:at])


def _frame(line: str) -> str:
    """Name the function of ``ADDRESS FUNCTION+OFFSET (FILE)``, or its file."""
    _, _, rest = line.strip().partition(" ")
    symbol, is_placed, file = rest.rpartition(" (")
    name = file.removesuffix(")").rsplit("/", 1)[-1]
    symbol = symbol.strip().rsplit("+0x", 1)[0]
    if not is_placed:
        return rest or "?"
    if symbol not in ("", "[unknown]"):
        return f"{symbol} ({name})"
    return name if name.startswith("[") else f"[{name}]"


PROFILER = Profiler(
    name="perf",
    shows="where any process, and the kernel for it, spends CPU time",
    unit=UNIT,
    tools=(Tool(program="perf", get="apt-get install linux-perf (Debian)"),),
    command=_command,
    read=_read,
    of_all=True,
)
