"""What a process does with its time or its memory: which tool takes a profile, how its output
becomes stacks, and the stacks a flame graph.
"""

from __future__ import annotations

from harness.choices import one_of
from harness.errors import UsageError
from harness.profiles import heaptrack, memray, perf, py_spy, tasks
from harness.profiles.profiler import Profiler

TABLE: dict[str, Profiler] = {
    one.name: one
    for one in (
        py_spy.PROFILER,
        py_spy.WALL,
        perf.PROFILER,
        memray.PROFILER,
        heaptrack.PROFILER,
        tasks.PROFILER,
    )
}
DEFAULT = py_spy.PROFILER.name


def named(name: str) -> Profiler:
    """Return a profiler by its name. Raises UsageError."""
    if name not in TABLE:
        raise UsageError(f"profiler: {one_of(name, TABLE)}")
    return TABLE[name]
