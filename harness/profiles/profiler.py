"""The port of all profilers: what one is for, what it needs, how it is run, and how its output is
read.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UnavailableError, UsageError
from harness.profiles.stacks import Stacks

RATE_PER_S = 100  # samples of a process, where a tool samples
# Who can be profiled besides nodes.
SUPERVISOR, GATEWAY, WORKER = OURS = ("supervisor", "gateway", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that a profiler needs, and how to get it."""

    program: str
    get: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiler:
    """One way to take a profile.

    `command` gives the program that records one process, or all of them at once, for so many
    seconds, into a file; it ends earlier, with what it has, by SIGINT. None: the target itself is
    asked, by its control socket, for one look. `read` makes stacks of that file, and raises
    UnavailableError where it holds none. `is_inside`: it runs in the target itself and changes its
    memory, threads and times; it is started in the target's network namespace. `of`: who can be
    profiled so; empty: all.
    """

    name: str
    shows: str  # as the end of "a profile of "
    unit: str  # of a stack's count
    tools: tuple[Tool, ...]
    command: Callable[[Sequence[int], float, Path], list[str]] | None
    read: Callable[[Path], Stacks]
    of: tuple[str, ...] = ()
    of_all: bool = False  # one program records all processes of a target
    is_inside: bool = False
    grace_s: float = 10.0  # within which it writes what it has, once it is over

    def missing(self) -> Tool | None:
        """Return the first program that is not here; None where all are."""
        return next((tool for tool in self.tools if find(tool.program) is None), None)

    def require_of(self, who: str) -> None:
        """Raise UsageError where this is nobody who can be profiled so."""
        if self.of and who not in self.of:
            raise UsageError(
                f"a profile by {self.name}: expected {' or '.join(self.of)}; found {who}"
            )

    def require(self) -> None:
        """Raise UnavailableError where a program is not here, and say how to get it."""
        lacking = self.missing()
        if lacking is not None:
            raise UnavailableError(
                f"a profile by {self.name} needs {lacking.program}, which is neither on PATH nor "
                f"beside this Python: {lacking.get}"
            )


def find(program: str) -> str | None:
    """Find a program beside the interpreter that runs us, else on PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(program, path=f"{beside}:{os.environ.get('PATH', os.defpath)}")


def path_of(program: str) -> str:
    """Return where a program is that was found a moment ago. Raises UnavailableError."""
    found = find(program)
    if found is None:
        raise UnavailableError(f"{program} is gone")
    return found
