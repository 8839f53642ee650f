"""A thread with a table of descriptors of its own, for libraries that want low numbers."""

from __future__ import annotations

import ctypes
import os

_CLONE_FILES = 0x400
_FIRST = 3  # after stdin, stdout and stderr

_libc = ctypes.CDLL(None, use_errno=True)


def leave_table() -> None:
    """Give the calling thread a table of descriptors of its own, with 0, 1 and 2 alone, for good.

    What it opens is then low and nobody else's, and no number of the process is one of its own. Its
    copies of what others hold are gone at once, so nothing is held longer. Raises OSError.
    """
    if _libc.unshare(_CLONE_FILES):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    os.closerange(_FIRST, os.sysconf("SC_OPEN_MAX"))
