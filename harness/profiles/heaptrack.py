"""heaptrack records who allocates the memory of a process in any language that calls malloc, and
keeps it. Like memray it is put into the process by a debugger (heaptrack_recorder.py).

Its makers warn that a process can crash by it, above all once it was taken out again: it stays in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.profiles.profiler import Profiler, Tool
from harness.profiles.stacks import Stacks, parse

UNIT = "bytes"
_LAST = re.compile(r";( \d+)$", re.MULTILINE)
_GET = "apt-get install heaptrack (Debian)"


def _command(pids: Sequence[int], seconds: float, file: Path) -> list[str]:
    [pid] = pids
    module = "harness.profiles.heaptrack_recorder"
    return [sys.executable, "-m", module, str(pid), str(seconds), str(file)]


def _read(file: Path) -> Stacks:
    """Read its stacks, in which each frame ends with a semicolon, the innermost too."""
    return parse(_LAST.sub(r"\1", file.read_text(errors="replace")), UNIT)


PROFILER = Profiler(
    name="heaptrack",
    shows="who allocated what any process that calls malloc still holds at the end",
    unit=UNIT,
    tools=(
        Tool(program="heaptrack", get=_GET),
        Tool(program="heaptrack_print", get=_GET),
        Tool(program="gdb", get="apt-get install gdb (Debian)"),
    ),
    command=_command,
    read=_read,
    is_inside=True,
    grace_s=120.0,
)
