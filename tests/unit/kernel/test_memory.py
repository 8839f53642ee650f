"""What processes have in memory together: what forks share counts once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.kernel import memory

SHARED_BYTES = 40_000_000
FORKS = 3
FORKER = f"""
import os, sys, time
kept = b'x' * {SHARED_BYTES}
pids = [os.getpid()]
for _ in range({FORKS}):
    pid = os.fork()
    if not pid:
        time.sleep(600)
    pids.append(pid)
print(*pids, flush=True)
time.sleep(600)
"""


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="an older kernel")
def test_what_forks_share_counts_once():
    """Four processes that share 40 MB were said to have 160."""
    forker = subprocess.Popen(
        [sys.executable, "-c", FORKER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert forker.stdout is not None
        pids = [int(word) for word in forker.stdout.readline().split()]
        time.sleep(0.1)  # forks write a little as they begin
        each = {pid: rss(pid) for pid in pids}
        assert sum(each.values()) > (1 + FORKS) * SHARED_BYTES
        assert max(each.values()) <= memory.together(each) < 2 * SHARED_BYTES
        assert memory.together({pids[0]: each[pids[0]]}) == each[pids[0]]
    finally:
        os.killpg(forker.pid, signal.SIGKILL)
        forker.communicate()


def test_processes_of_several_programs_are_added_up():
    """And so are those that are gone: nobody tells what they shared."""
    other = subprocess.Popen(["sleep", "600"])
    try:
        each = {os.getpid(): 30_000_000, other.pid: 2_000_000}
        assert memory.together(each) == 32_000_000
    finally:
        other.kill()
        other.wait()
    assert memory.together({2**22 + 1: 5, 2**22 + 2: 6}) == 11
