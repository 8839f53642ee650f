"""What disks do, and what processes have read from them and written to them: pure functions of what
/proc says, but for the names of the disks.
"""

from __future__ import annotations

import os
from collections.abc import Collection

SECTOR_BYTES = 512  # of /proc/diskstats, whatever the disk's own is
_NAME, _READ, _WRITTEN, _BUSY_MS = 2, 5, 9, 12  # columns of it


def names() -> frozenset[str]:
    """Return the names of all disks: of devices, not of partitions, nor of what is made of others
    or of memory (loop, dm, md, ram). Empty where sysfs tells of none.
    """
    root = "/sys/block"
    try:
        found = os.listdir(root)
    except OSError:
        return frozenset()
    return frozenset(name for name in found if os.path.exists(f"{root}/{name}/device"))


def use(diskstats: bytes, disks: Collection[str]) -> tuple[int, dict[str, int]] | None:
    """Read from /proc/diskstats how many bytes all of these disks have read and written together,
    and how long each had something to do, ms (the kernel's Documentation/admin-guide/iostats.rst).
    None where it tells of none of them.
    """
    total, busy_ms = 0, dict[str, int]()
    for line in diskstats.decode().splitlines():
        fields = line.split()
        if len(fields) > _BUSY_MS and fields[_NAME] in disks:
            total += (int(fields[_READ]) + int(fields[_WRITTEN])) * SECTOR_BYTES
            busy_ms[fields[_NAME]] = int(fields[_BUSY_MS])
    return (total, busy_ms) if busy_ms else None


def used_by(io: bytes) -> int | None:
    """Read from /proc/PID/io how many bytes a process has read from disks and written to them, the
    latter when it wrote them to memory (proc(5)). None where it does not tell.
    """
    said = dict(line.split(b": ", 1) for line in io.splitlines() if b": " in line)
    if not {b"read_bytes", b"write_bytes"} <= said.keys():
        return None
    return int(said[b"read_bytes"]) + int(said[b"write_bytes"])
