"""memray records who allocates the memory of a Python process and keeps it. It is put into the
process by a debugger (memray_recorder.py), which stops it for a moment, on a busy host for seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.profiles.profiler import Profiler, Tool
from harness.profiles.stacks import Stacks, parse

UNIT = "bytes"


def _command(pids: Sequence[int], seconds: float, file: Path) -> list[str]:
    [pid] = pids
    module = "harness.profiles.memray_recorder"
    return [sys.executable, "-m", module, str(pid), str(seconds), str(file)]


def _read(file: Path) -> Stacks:
    return parse(file.read_text(errors="replace"), UNIT)


PROFILER = Profiler(
    name="memray",
    shows="who allocated what a Python process still holds at the end",
    unit=UNIT,
    tools=(
        Tool(program="memray", get="pip install memray (PyPI), in the target's Python too"),
        Tool(program="gdb", get="apt-get install gdb (Debian)"),
    ),
    command=_command,
    read=_read,
    is_inside=True,
    grace_s=90.0,
)
