"""An async twin leaves the event loop free, and gives up what it does when it is cancelled."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from harness.experiments.session.twins import entered, twin


class Work:
    def __init__(self, started=None):
        self.started, self.undone, self.closed = started or threading.Event(), False, False

    def act(self, count, *, progress=lambda *_: None):
        self.started.set()
        try:
            for done in range(count):
                progress("work", done, count)
                time.sleep(0.001)
        except BaseException:
            self.undone = True
            raise
        return count

    def close(self):
        self.closed = True

    act_async = twin(act)


def test_it_returns_what_its_twin_does():
    told = []

    async def main():
        return await Work().act_async(3, progress=lambda *said: told.append(said))

    assert asyncio.run(main()) == 3
    assert told == [("work", done, 3) for done in range(3)]


def test_a_cancelled_one_has_undone_what_it_did_when_it_is_over():
    work = Work()

    async def main():
        task = asyncio.create_task(work.act_async(1_000_000))
        await asyncio.to_thread(work.started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.undone

    asyncio.run(main())


def test_what_is_entered_is_closed_also_where_it_was_made_as_it_was_cancelled():
    made = []

    def make(*, progress=lambda *_: None):
        made.append(Work())
        begun.set()
        time.sleep(0.2)  # it hears of nothing meanwhile
        return made[-1]

    async def inside(*, raising):
        async with entered(make)() as work:
            assert not work.closed
            if raising:
                raise KeyError

    async def main():
        await inside(raising=False)
        with pytest.raises(KeyError):
            await inside(raising=True)
        begun.clear()
        task = asyncio.create_task(inside(raising=False))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    begun = threading.Event()
    asyncio.run(main())
    assert [work.closed for work in made] == [True] * 3
