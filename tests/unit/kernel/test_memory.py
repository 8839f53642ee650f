"""What processes have in memory together: what forks share counts once."""

from __future__ import annotations

import os
import platform
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


HOLDER = f"""
import mmap, os, sys, time
kept = b'x' * {SHARED_BYTES}
descriptor = os.open(sys.argv[1], os.O_RDONLY)
mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
read = sum(mapped[at] for at in range(0, len(mapped), 4096))
print('mapped', flush=True)
sys.stdin.readline()
mapped.madvise(21)  # MADV_PAGEOUT: as a kernel takes back what is idle
print('dropped', flush=True)
sys.stdin.readline()
"""


def test_what_a_kernel_takes_back_is_not_held(tmp_path):
    """Pages of a file leave the resident memory, and were never held."""
    file = tmp_path / "mapped"
    file.write_bytes(os.urandom(SHARED_BYTES))
    os.sync()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mapped\n"
        resident, held = rss(holder.pid), memory.held([holder.pid])
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "dropped\n"
        resident_after, held_after = rss(holder.pid), memory.held([holder.pid])
        holder.stdin.write("\n")
    assert held is not None
    assert SHARED_BYTES < held < 1.6 * SHARED_BYTES < resident
    assert resident - resident_after > 0.7 * SHARED_BYTES
    assert abs(held_after - held) < 1_000_000


def test_what_is_swapped_out_is_held(monkeypatch, tmp_path):
    """As the kernel tells it; here there is no swap to try it on."""
    told = b"RssAnon:\t 100 kB\nRssFile:\t 7000 kB\nRssShmem:\t 20 kB\nVmSwap:\t 3 kB\n"
    (tmp_path / "status").write_bytes(told)
    assert memory._sizes([str(tmp_path / "status")], memory._HELD) == [102_400, 20_480, 3_072]
    assert memory._sizes([str(tmp_path / "status")], [b"RssAnon", b"Rss"]) is None


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="an older kernel")
def test_what_forks_hold_together_counts_once():
    forker = subprocess.Popen(
        [sys.executable, "-c", FORKER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert forker.stdout is not None
        pids = [int(word) for word in forker.stdout.readline().split()]
        time.sleep(0.1)
        assert SHARED_BYTES < memory.held(pids) < 2 * SHARED_BYTES
        # Two of four: half of what all share is that of others.
        assert SHARED_BYTES < memory.held(pids[1:2]) <= memory.held(pids[1:3]) < 2 * SHARED_BYTES
    finally:
        os.killpg(forker.pid, signal.SIGKILL)
        forker.communicate()
    assert memory.held(pids[:1]) is None
    assert memory.held([os.getpid(), *pids]) is None
    assert memory.held([]) is None


FREES = """
import ctypes, sys, threading
from harness.kernel import memory
if sys.argv[1] == "gives back":
    memory.give_back_what_is_freed()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
ready, done = threading.Barrier(9), threading.Event()
def work():
    for _ in range(2):  # after the first of them is freed, glibc keeps such pieces
        piece = library.malloc(2_000_000)
        ctypes.memset(piece, 1, 2_000_000)
        library.free(piece)
    ready.wait()
    done.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
import os
before = memory.held([os.getpid()])
for one in threads:
    one.start()
ready.wait()
print(memory.held([os.getpid()]) - before)
done.set()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_threads_have_freed_is_given_back():
    """Eight threads, each of which has freed 2 MB twice."""

    def kept(how: str) -> int:
        said = subprocess.run(
            [sys.executable, "-c", FREES, how], capture_output=True, text=True, check=True
        )
        return int(said.stdout)

    assert kept("keeps") > 8_000_000
    assert kept("gives back") < 3_000_000


HOLDS = """
import ctypes, gc, os
from harness.kernel import memory
memory.give_back_what_is_freed()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
class Ring:
    def __init__(self):
        self.itself, self.pieces = self, [library.malloc(100_000) for _ in range(100)]
        for piece in self.pieces:
            ctypes.memset(piece, 1, 100_000)
    def __del__(self):
        for piece in self.pieces:
            library.free(piece)
gc.disable()
before = memory.held([os.getpid()])
Ring()
last = library.malloc(100_000)  # behind them all: what lies before it is kept
gc.collect()
print(memory.held([os.getpid()]) - before)
Ring()
memory.give_back_what_is_done_with()
print(memory.held([os.getpid()]) - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_done_with_is_given_back():
    """Pieces of 10 MB together, held by what only refers to itself, before one that stays:
    freed they are kept, and given back when somebody asks for it.
    """
    said = subprocess.run([sys.executable, "-c", HOLDS], capture_output=True, text=True, check=True)
    kept, left = map(int, said.stdout.split())
    assert kept > 8_000_000
    assert left < 3_000_000


LASTS = """
import gc
from harness.kernel import memory
rings = [[] for _ in range(50_000)]
for one in rings:
    one.append(one)
del rings, one
memory.take_as_lasting()
assert len(gc.get_objects()) < 1_000, len(gc.get_objects())
kept = [[] for _ in range(50_000)]
for one in kept:
    one.append(one)
assert len(gc.get_objects()) > 50_000
del kept, one
print(gc.collect())
"""


def test_what_lasts_is_not_looked_at_again():
    """What was done with before is freed first, and what comes later is found as ever."""
    said = subprocess.run([sys.executable, "-c", LASTS], capture_output=True, text=True, check=True)
    assert int(said.stdout) >= 50_000


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
