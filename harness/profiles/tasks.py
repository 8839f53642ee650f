"""What tasks of asyncio wait for: one look at all of a process, taken in its own loop. No sampler
sees a task that only waits, for it is on no thread.
"""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from harness.profiles.profiler import GATEWAY, Profiler
from harness.profiles.stacks import Stack, Stacks, parse, stack_of

UNIT = "tasks"
# Where what is awaited says its frame, and what it awaits itself: of a coroutine, a generator, an
# asynchronous generator.
_KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
# What tells neither itself, and is a step of one of these: the collector knows of which.
_STEPS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper")


def folded() -> str:
    """Tell the stacks of all tasks of the running loop but the one that asks, as folded lines."""
    import asyncio  # late: whoever asks has it, and what only completes names needs none of it

    asks = asyncio.current_task()
    counts: Counter[Stack] = Counter()
    for task in asyncio.all_tasks():
        if task is not asks and (stack := stack_of(_frames(task.get_coro()))):
            counts[stack] += 1
    return Stacks(counts=counts, unit=UNIT).folded()


def _frames(awaited: Any) -> list[str]:
    """Name the frames of what is awaited, from the outermost to the one that waits."""
    found: list[str] = []
    while (told := _told(awaited)) is not None:
        frame, awaited = told
        found.append(_named(frame))
    return found


def _told(awaited: Any) -> tuple[FrameType, Any] | None:
    """Return the frame of what is awaited, and what that awaits; None of a future."""
    is_step = type(awaited).__name__ in _STEPS
    for one in gc.get_referents(awaited) if is_step else (awaited,):
        for frame, inner in _KINDS:
            if getattr(one, frame, None) is not None:
                return getattr(one, frame), getattr(one, inner)
    return None


def _named(frame: FrameType) -> str:
    file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
    return f"{frame.f_code.co_qualname} ({file}:{frame.f_lineno})"


def _read(file: Path) -> Stacks:
    return parse(file.read_text(errors="replace"), UNIT)


PROFILER = Profiler(
    name="tasks",
    shows="what each task of asyncio waits for, at one moment",
    unit=UNIT,
    tools=(),
    command=None,
    read=_read,
    of=(GATEWAY,),
)
