"""When the gateway stood still: its loop did not come by, so what nodes did meanwhile was stamped
late, and what they were asked was asked late.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from time import monotonic_ns

LOOK_S = 0.005
STALL_NS = 5_000_000  # a loop that is this late stood still: a host's own wakes take less
READ_BYTES = 1 << 16


async def watch(descriptor: int) -> None:
    """Write a line for each stall: from the last look before it to the first after it,
    CLOCK_MONOTONIC ns. `descriptor`: a pipe's end that does not block; what a full one does not
    take was told to nobody who listens.
    """
    last_ns = monotonic_ns()
    while True:
        await asyncio.sleep(LOOK_S)
        now_ns = monotonic_ns()
        if now_ns - last_ns >= LOOK_S * 1e9 + STALL_NS:
            with suppress(BlockingIOError):
                os.write(descriptor, f"{last_ns} {now_ns}\n".encode())
        last_ns = now_ns


def read(descriptor: int) -> list[tuple[int, int]]:
    """Return what was written since the last call. `descriptor`: the other end."""
    told = b""
    with suppress(BlockingIOError):
        while (data := os.read(descriptor, READ_BYTES)) != b"":
            told += data
    return [(int(since), int(until)) for since, until in map(bytes.split, told.splitlines())]
