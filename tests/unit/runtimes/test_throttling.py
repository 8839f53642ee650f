"""A throttle on a real process that wants a whole core."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.kernel.proc import process_cpu_clock
from harness.runtimes.throttling import Throttle

CORES = 0.2
LATE_S, LASTS_S = 0.4, 2.0


@pytest.fixture
def spinning() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process.pid
        process.kill()


def test_a_process_that_is_found_late_is_counted_from_its_start(spinning):
    """A node that started again ran as it liked until its processes were listed next, and that was
    forgotten: 25 % of a core in its first two seconds, of 20 %.
    """
    begun_s = time.monotonic()

    def members() -> list[int]:
        return [spinning] if time.monotonic() > begun_s + LATE_S else []

    throttle = Throttle(CORES, members, lambda number: os.kill(spinning, number))
    time.sleep(LASTS_S)
    used_s = time.clock_gettime(process_cpu_clock(spinning))
    throttle.close()
    # On a busy host it gets less. Unseen, it has used twice as much as it may in all the time.
    assert used_s < CORES * (LASTS_S - LATE_S) + LATE_S - 0.1


def test_what_a_process_used_before_is_not_paid_back(spinning):
    """One that could not be looked at when the throttle began would stand for minutes."""
    time.sleep(1.0)
    listed = iter([[], [spinning]])
    throttle = Throttle(
        CORES, lambda: next(listed, [spinning]), lambda number: os.kill(spinning, number)
    )
    time.sleep(2.5)  # it pays for the 0.2 s until it was listed, which takes a second
    before_s = time.clock_gettime(process_cpu_clock(spinning))
    time.sleep(2.0)
    used_s = time.clock_gettime(process_cpu_clock(spinning)) - before_s
    throttle.close()
    assert used_s > 0
