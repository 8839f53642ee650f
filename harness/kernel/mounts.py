"""File systems in memory (tmpfs), of a size that can be changed while files are open in them.

A mount is seen below its path until it is taken away, whoever made it: what a killed owner left is
found by the folder that it stands in.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from harness.errors import HarnessError, PermissionNeededError

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MS_REMOUNT, _MNT_DETACH = 32, 2
_EVERYBODY = "4294967295"  # uids that are mapped where nothing is
_TRIES = 50  # of a size that is too small once it is set: somebody writes meanwhile

_libc = ctypes.CDLL(None, use_errno=True)


def require() -> None:
    """Raise PermissionNeededError where what is mounted here is not seen by all of this host."""
    mapped = Path("/proc/self/uid_map").read_text().split()
    if os.geteuid() != 0 or mapped[2] != _EVERYBODY:
        raise PermissionNeededError(
            "disk: a node's own disk needs root: in a user namespace nobody else of this host "
            "would see what is on it"
        )


def make(path: Path, size_bytes: int) -> None:
    """Mount an empty file system of so many bytes. Raises HarnessError."""
    _mount(path, f"size={size_bytes},mode=0755", 0)


def resize(path: Path, size_bytes: int) -> None:
    """Give a file system another size. Raises HarnessError, also where more is used."""
    _mount(path, f"size={size_bytes}", _MS_REMOUNT)


def fill(path: Path) -> None:
    """Make a file system as small as what is used of it. Raises HarnessError."""
    for tried in range(1, _TRIES + 1):
        about = os.statvfs(path)
        used = (about.f_blocks - about.f_bfree) * about.f_frsize
        try:
            resize(path, max(used, PAGE_BYTES))
        except HarnessError:
            if tried == _TRIES:
                raise
        else:
            return


def room(path: Path) -> tuple[int, int]:
    """Return the size of a file system and what is free of it, in bytes. Raises OSError."""
    about = os.statvfs(path)
    return about.f_blocks * about.f_frsize, about.f_bfree * about.f_frsize


def below(folder: Path) -> list[Path]:
    """List the mounts below a folder, the deepest first."""
    inside = f"{folder.resolve()}/"
    with open("/proc/self/mountinfo", "rb") as file:
        escaped = (line.split()[4] for line in file)  # blanks and the like; other bytes are as is
        points = [os.fsdecode(one.decode("unicode_escape").encode("latin-1")) for one in escaped]
    return [Path(one) for one in sorted(points, reverse=True) if one.startswith(inside)]


def remove_below(folder: Path) -> list[str]:
    """Take away every mount below a folder, at once for whoever looks; returns their paths."""
    found = below(folder)
    for path in found:
        _libc.umount2(os.fsencode(path), _MNT_DETACH)
    left = below(folder)
    return [str(path) for path in found if path not in left]


def _mount(path: Path, options: str, flags: int) -> None:
    if _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options.encode()):
        why = os.strerror(ctypes.get_errno())
        raise HarnessError(f"disk: {path}: {options}: {why}")
