"""What processes have in memory together, where what they share counts once.

A forked process shares its parent's memory until one of them writes to it, and what one program is
made of is in memory once, however often it runs. Who adds up the resident memory of workers counts
both again for each.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

_FIELDS = (b"Pss_Anon", b"Pss_Shmem", b"RssAnon", b"RssShmem")
# What no file holds, of a process by itself, and its share of what processes hold together.
_HELD, _HELD_SHARE = (b"RssAnon", b"RssShmem", b"VmSwap"), (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")


_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of glibc's malloc.h
_PIECE_BYTES, _POOLS = 256 << 10, 2  # what is larger is mapped by itself, and unmapped


class _Parts(NamedTuple):
    """A process's memory: its share of what processes wrote, and what it has of files."""

    written: int
    of_files: int


def give_back_what_is_freed() -> None:
    """Have the C library give back what this process frees, where that is glibc.

    It keeps a pool for each of eight threads a core, and of each as much as the largest piece that
    was ever freed, twice: of a process of many threads that is tens of megabytes, which come one
    after the other for an hour and look as a leak does.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_THRESHOLD, _PIECE_BYTES)  # and it does not rise by itself any more
        library.mallopt(_M_ARENA_MAX, _POOLS)


def take_as_lasting() -> None:
    """Take all that this process is made of now as lasting: no later look goes over it.

    Python looks for what nothing refers to any more once a quarter as much has been made as there
    is. Of a process that has much, what is done with waits long, and the look stops all threads.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # by this one, which finds nothing, there is little: the next quarter comes soon


def give_back_what_is_done_with() -> None:
    """Free what only refers to itself, and have the C library give back all that is free.

    By itself glibc gives back what is free at the end of a pool alone, and one small piece that
    stays keeps all that lies before it.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def together(rss_bytes: Mapping[int, int]) -> int:
    """Return what processes have in memory together, by the resident memory of each.

    Of those that run one program it is what each wrote, what they share of that once, and the
    files of the one that has most of them. Where the kernel does not tell, each counts whole.
    """
    by_program: dict[object, list[int]] = {}
    for pid in rss_bytes:
        by_program.setdefault(_program(pid), []).append(pid)
    return sum(_of_one_program({pid: rss_bytes[pid] for pid in of}) for of in by_program.values())


def held(pids: Collection[int]) -> int | None:
    """Return what processes hold together that no file does, in memory or swapped out; None where
    nobody tells, or one has ended.

    Only they can give it back: a kernel that is short of memory, or takes back what is idle, drops
    pages of files from resident memory and swaps others out, and this stays as it is. It is never
    less than what one of them holds, of which others, such as who forked it, may have a share.
    """
    alone, shares = [], []
    for pid in pids:
        own = _sizes((f"/proc/{pid}/status",), _HELD)
        share = _sizes((f"/proc/{pid}/smaps_rollup",), _HELD_SHARE) if len(pids) > 1 else own
        if own is None or share is None:
            return None
        alone.append(sum(own))
        shares.append(sum(share))
    return max(sum(shares), *alone) if alone else None


def _of_one_program(rss_bytes: Mapping[int, int]) -> int:
    if len(rss_bytes) == 1:
        return sum(rss_bytes.values())
    parts = [_parts(pid, rss) for pid, rss in rss_bytes.items()]
    known = [one for one in parts if one is not None]
    if len(known) < len(parts):
        return sum(rss_bytes.values())
    counted = sum(one.written for one in known) + max(one.of_files for one in known)
    return max(counted, *rss_bytes.values())


def _program(pid: int) -> object:
    """What tells a program from others; the process itself where that is not to be seen."""
    with suppress(OSError):
        found = os.stat(f"/proc/{pid}/exe")
        return found.st_dev, found.st_ino
    return pid


def _parts(pid: int, rss_bytes: int) -> _Parts | None:
    """Read the parts of a process's memory; None where nobody tells."""
    found = _sizes((f"/proc/{pid}/smaps_rollup", f"/proc/{pid}/status"), _FIELDS)
    if found is None:
        return None
    anon, shared, own_anon, own_shared = found
    return _Parts(anon + shared, max(0, rss_bytes - own_anon - own_shared))


def _sizes(files: Iterable[str], names: Sequence[bytes]) -> list[int] | None:
    """Read these sizes, in bytes, of files of the kernel; None where one is not told."""
    text, found = b"", []
    try:
        for path in files:
            with open(path, "rb", buffering=0) as file:
                text += b"\n" + file.read()
    except OSError:
        return None
    for name in names:
        begin = text.find(b"\n%b:" % name)
        if begin < 0:
            return None
        found.append(int(text[begin + len(name) + 2 : text.index(b"kB", begin)]) * 1024)
    return found
