"""What a zygote is lent stays its own."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import closing

from harness.runtimes.netns import spawner


def test_no_program_inherits_what_came_with_a_request():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(ours), closing(theirs), open(os.devnull) as lent:
        socket.send_fds(theirs, [b"{}"], [lent.fileno(), lent.fileno()])
        packet, received = spawner.receive(ours)
        assert (packet, len(received)) == (b"{}", 2)
        for descriptor in received:
            assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            os.close(descriptor)
