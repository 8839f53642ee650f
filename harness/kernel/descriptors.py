"""Descriptors: how they arrive over unix sockets, who is behind one, and a table of its own for a
thread.
"""

from __future__ import annotations

import array
import ctypes
import os
import socket
import struct
from collections.abc import Iterable

_CLONE_FILES = 0x400
_FIRST = 3  # after stdin, stdout and stderr

_libc = ctypes.CDLL(None, use_errno=True)


def receive(connection: socket.socket, most_bytes: int, most: int) -> tuple[bytes, list[int]]:
    """Return what arrives next, and up to `most` descriptors (SCM_RIGHTS of unix(7)) that no
    program inherits.

    `socket.recv_fds` of Python 3.11 leaves its flags unused, so what it receives is inherited by
    every program that is started meanwhile. Empty bytes: the other end is gone. Raises OSError.
    """
    size = array.array("i").itemsize
    data, ancillary, _, _ = connection.recvmsg(
        most_bytes, socket.CMSG_LEN(most * size), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % size])
    return data, list(descriptors)


def renew(numbers: Iterable[int]) -> None:
    """Have descriptors that our parent process has under the same numbers be what they are there
    now. Raises OSError.
    """
    for number in numbers:
        found = os.open(f"/proc/{os.getppid()}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.dup2(found, number, inheritable=False)
        finally:
            os.close(found)


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user behind a unix socket (SO_PEERCRED of unix(7)), as our
    namespaces see them; the process is 0 where it is of another PID namespace.
    """
    size = struct.calcsize("iII")
    pid, uid, _ = struct.unpack(
        "iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return int(pid), int(uid)


def leave_table() -> None:
    """Give the calling thread a table of descriptors of its own, with 0, 1 and 2 alone, for good.

    What it opens is then low and nobody else's, and no number of the process is one of its own. Its
    copies of what others hold are gone at once, so nothing is held longer. Raises OSError.
    """
    if _libc.unshare(_CLONE_FILES):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    os.closerange(_FIRST, os.sysconf("SC_OPEN_MAX"))
