"""How much of the host others took while a cluster started."""

from __future__ import annotations

import os
import time

import pytest

from harness.host import starting
from harness.host.starting import Starting

OURS = os.getpid()


def test_others_are_neither_ours_nor_the_engines(monkeypatch):
    clock, second = 0.0, round(1 / starting.TICK_S)

    def processes():
        return iter(
            [
                ((OURS, 1), 7, int(clock * 100)),
                ((901, 5), OURS, int(clock * second)),  # what we started
                ((902, 5), 901, int(clock * second)),  # and that one
                ((903, 5), 1, 50 + int(clock * second)),  # a stranger's
                ((904, 5 if clock < 1 else 9), 1, 0),  # another one of that pid
            ]
        )

    monkeypatch.setattr(starting, "_processes", processes)
    monkeypatch.setattr(starting.time, "monotonic", lambda: clock)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    begun = Starting()
    clock = 4.0
    assert begun.facts() == {"ready_s": 4.0, "ready_others": pytest.approx(0.5)}


def test_the_kernel_is_read():
    """Of this machine: this process, and what it has used."""
    mine = {pid: (parent, ticks) for (pid, _), parent, ticks in starting._processes()}
    parent, ticks = mine[OURS]
    assert parent == os.getppid()
    assert 0 < ticks * starting.TICK_S <= time.process_time() + 2 * starting.TICK_S
    assert not mine.keys() & {starting.KTHREADD}
