"""Async twins: what takes long is done in a thread, so that an event loop goes on meanwhile.

A twin that is cancelled ends what it began, as Ctrl-C would, and only then is over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from harness.control.progress import Progress, nobody
from harness.errors import HarnessError


class GivenUpError(HarnessError):
    """A twin was cancelled: what it had begun is taken back."""


class Closing(Protocol):
    """What is closed at the end of an `async with`."""

    def close(self) -> None:
        """End it."""


P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Closing)


def twin(method: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make the twin of a method that takes `progress`."""

    @wraps(method)
    async def awaited(*args: P.args, **words: P.kwargs) -> T:
        return await _beside(method, *args, **words)

    return awaited


def entered(make: Callable[P, C]) -> Callable[P, AbstractAsyncContextManager[C]]:
    """Make the twin of a function that takes `progress` and returns what `async with` closes."""

    @wraps(make)
    @asynccontextmanager
    async def manager(*args: P.args, **words: P.kwargs) -> AsyncIterator[C]:
        made: list[C] = []
        try:
            # It may be made just as the twin is cancelled.
            await _beside(lambda **told: made.append(make(*args, **told)), **words)
            yield made[0]
        finally:
            for one in made:
                await asyncio.shield(asyncio.to_thread(one.close))

    return manager


async def _beside(act: Callable[..., T], *args: Any, **words: Any) -> T:
    is_given_up, progress = threading.Event(), words.pop("progress", nobody)

    def told(stage: str, done: int, of: int) -> None:
        if is_given_up.is_set():
            raise GivenUpError("it was cancelled")
        progress(stage, done, of)

    said: Progress = told
    doing = asyncio.create_task(asyncio.to_thread(partial(act, *args, **words, progress=said)))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        is_given_up.set()
        await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # it is told as the cancellation that it is
        raise
