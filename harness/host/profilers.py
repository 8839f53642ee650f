"""Profilers on this machine: which are here, and whether the kernel lets this user take a profile,
found by trying.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from harness import profiles
from harness.profiles import perf, py_spy
from harness.profiles.profiler import find

Found = tuple[bool, str]
TRIED_S = 20.0
FORBIDDEN = (
    "; the kernel or the container forbids it: root or CAP_SYS_PTRACE (py-spy), CAP_PERFMON or "
    "sysctl kernel.perf_event_paranoid=1 (perf)"
)


def needed_for() -> dict[str, tuple[str, str]]:
    """Return of each profiler what it is for, and how to get what it needs."""
    return {
        one.name: (
            f"profiles: {one.shows} (`harness profile --with {one.name}`)",
            "; ".join(dict.fromkeys(tool.get for tool in one.tools)) + _forbidden(one.name),
        )
        for one in profiles.TABLE.values()
        if one.tools
    }


def _forbidden(name: str) -> str:
    return FORBIDDEN if name in _TRIALS else ""


def found() -> dict[str, Found]:
    """Look for every profiler, and try those that are cheap to try, on this very process."""
    return {name: _found(name) for name, one in profiles.TABLE.items() if one.tools}


def _found(name: str) -> Found:
    lacking = profiles.TABLE[name].missing()
    if lacking is not None:
        return False, f"no {lacking.program} on PATH or beside this Python"
    tool = profiles.TABLE[name].tools[0].program
    program = find(tool) or tool
    if name not in _TRIALS:
        return True, program
    try:
        done = subprocess.run(
            [program, *_TRIALS[name]()],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIED_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{program}: {error}"
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        return False, f"{program}: {(said or ['no reason'])[0]}"
    return True, f"{program} looked at a process"


def _dump() -> list[str]:
    return ["dump", "--pid", str(os.getpid())]


_TRIALS: dict[str, Callable[[], list[str]]] = {
    py_spy.PROFILER.name: _dump,
    py_spy.WALL.name: _dump,
    perf.PROFILER.name: lambda: [
        *("record", "--event", perf.EVENT, "--output", "/dev/null"),
        *("--pid", str(os.getpid()), "--", "true"),
    ],
}
