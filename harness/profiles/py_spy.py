"""py-spy samples the Python stacks of a process from outside, 100 times a second: of the thread
which holds the interpreter's lock, or of all threads, running or waiting.

It pauses the process for each look. Without the pause stacks are torn (of 3,999 looks 367 showed
callers and called that never met), and a look at all threads *that run* counts some that wait:
those that the pause itself woke, and in a PID namespace of its own each of them (docs/profiles.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.profiles.profiler import RATE_PER_S, Profiler, Tool, path_of
from harness.profiles.stacks import Stacks, parse

UNIT = "samples"


def _command(whom: str, pids: Sequence[int], seconds: float, file: Path) -> list[str]:
    [pid] = pids
    return [
        *(path_of("py-spy"), "record", "--pid", str(pid), whom, "--format", "raw"),
        *("--rate", str(RATE_PER_S), "--duration", str(max(1, round(seconds)))),
        *("--output", str(file)),
    ]


def _read(file: Path) -> Stacks:
    return parse(file.read_text(errors="replace"), UNIT)


PROFILER = Profiler(
    name="py-spy",
    shows="which Python code holds the interpreter's lock, and so runs",
    unit=UNIT,
    tools=(Tool(program="py-spy", get="pip install py-spy (PyPI)"),),
    command=partial(_command, "--gil"),
    read=_read,
)
WALL = replace(
    PROFILER,
    name="py-spy-wall",
    shows="where each Python thread is, running or waiting",
    command=partial(_command, "--idle"),
)
