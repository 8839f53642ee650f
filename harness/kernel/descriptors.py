"""Descriptors arrive over unix sockets (SCM_RIGHTS of unix(7)).

`socket.recv_fds` of Python 3.11 leaves its flags unused, so what it receives is inherited by every
program that is started meanwhile.
"""

from __future__ import annotations

import array
import socket


def receive(connection: socket.socket, most_bytes: int, most: int) -> tuple[bytes, list[int]]:
    """Return what arrives next, and up to `most` descriptors that no program inherits.

    Empty bytes: the other end is gone. Raises OSError.
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
