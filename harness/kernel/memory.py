"""What processes have in memory together, where what they share counts once.

A forked process shares its parent's memory until one of them writes to it, and what one program is
made of is in memory once, however often it runs. Who adds up the resident memory of workers counts
both again for each.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

_FIELDS = (b"Pss_Anon", b"Pss_Shmem", b"RssAnon", b"RssShmem")


class _Parts(NamedTuple):
    """A process's memory: its share of what processes wrote, and what it has of files."""

    written: int
    of_files: int


def together(rss_bytes: Mapping[int, int]) -> int:
    """Return what processes have in memory together, by the resident memory of each.

    Of those that run one program it is what each wrote, what they share of that once, and the
    files of the one that has most of them. Where the kernel does not tell, each counts whole.
    """
    by_program: dict[object, list[int]] = {}
    for pid in rss_bytes:
        by_program.setdefault(_program(pid), []).append(pid)
    return sum(_of_one_program({pid: rss_bytes[pid] for pid in of}) for of in by_program.values())


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
    try:
        with (
            open(f"/proc/{pid}/smaps_rollup", "rb") as rollup,
            open(f"/proc/{pid}/status", "rb") as status,
        ):
            lines = [*rollup, *status]
    except OSError:
        return None
    found = {name: line for line in lines for name in _FIELDS if line.startswith(name + b":")}
    if len(found) < len(_FIELDS):
        return None
    anon, shared, own_anon, own_shared = (int(found[name].split()[1]) * 1024 for name in _FIELDS)
    return _Parts(anon + shared, max(0, rss_bytes - own_anon - own_shared))
