"""Logs that are followed, and what is written faster than anybody reads of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from harness.systems.transports import logs

QUEUE_MAX = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def test_a_line_is_read_though_the_kernel_lost_its_event(tmp_path):
    """The queue of events was full: whoever followed a quiet file waited for ever."""

    async def scene():
        quiet = logs.follow(tmp_path / "quiet", 0)
        (tmp_path / "quiet").write_text("first\n")
        assert await anext(quiet) == "first"
        waiting = asyncio.ensure_future(anext(quiet))
        busy = [logs.follow(tmp_path / name, 0) for name in "ab"]
        others = [asyncio.ensure_future(anext(each)) for each in busy]
        await asyncio.sleep(0.1)  # all wait
        files = [(tmp_path / name).open("ab", buffering=0) for name in "ab"]
        for number in range(QUEUE_MAX + 2):  # in turn: the same twice is one event
            files[number % 2].write(b".")
        with (tmp_path / "quiet").open("ab") as file:
            file.write(b"second\n")
        for each in files:
            each.close()
        assert await waiting == "second"
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run(scene())
