"""A look at the tasks of an event loop: who awaits what, down to the frame that waits."""

from __future__ import annotations

import asyncio
import types

import pytest

from harness.errors import UsageError
from harness.profiles import named, tasks
from harness.profiles.stacks import parse


async def inner(event):
    await event.wait()


async def outer(event):
    await inner(event)


async def steps(event):
    yield 1
    await event.wait()


async def walks(event):
    async for _ in steps(event):
        pass


@types.coroutine
def old(event):
    yield from event.wait().__await__()


async def calls_old(event):
    await old(event)


def looked(*makes):
    """The stacks of tasks that wait for an event, told by a task of its own."""

    async def look():
        event = asyncio.Event()
        waiting = [asyncio.create_task(make(event)) for make in makes]
        await asyncio.sleep(0)
        found = tasks.folded()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return found

    counts = parse(asyncio.run(look()), "tasks").counts
    return {tuple(one.rpartition(":")[0] for one in stack): n for stack, n in counts.items()}


FILE = "(profiles/test_tasks.py"
WAITS = "Event.wait (asyncio/locks.py"


def test_each_task_is_told_down_to_what_waits_and_the_one_that_asks_is_not():
    assert looked(outer, outer, inner) == {
        (f"outer {FILE}", f"inner {FILE}", WAITS): 2,
        (f"inner {FILE}", WAITS): 1,
    }


def test_a_generator_is_followed():
    [stack] = looked(calls_old)
    assert stack[:2] == (f"calls_old {FILE}", f"old {FILE}")


def test_a_step_of_an_asynchronous_generator_is_followed_into_it():
    [stack] = looked(walks)
    assert stack == (f"walks {FILE}", f"steps {FILE}", WAITS)


def test_a_loop_without_other_tasks_has_none():
    assert looked() == {}


def test_it_is_of_the_gateway_alone():
    named("tasks").require_of("gateway")
    with pytest.raises(UsageError, match="by tasks: expected gateway; found node-3"):
        named("tasks").require_of("node-3")
