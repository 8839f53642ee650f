"""The asking side of a zygote, with the test at the other end of its socket."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import closing

from harness.runtimes.runtime import Image, Place, Process
from harness.runtimes.zygote import Zygote
from harness.topology.topology import Node


def test_no_program_inherits_the_pidfd_of_a_node(tmp_path):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = Zygote(ours, environment={}, last_words=lambda: "")
    place = Place(
        node=Node(name="a"),
        index=0,
        address="198.18.0.1",
        directory=tmp_path,
        namespace=os.open("/proc/self/ns/net", os.O_RDONLY),
    )
    with closing(theirs), closing(zygote):
        asked = zygote.ask(place, Process(argv=("/bin/true",), image=Image("none")))
        _, lent, *_ = socket.recv_fds(theirs, 1 << 16, 2)
        pidfd = os.pidfd_open(os.getpid())
        answer = {"op": "spawned", "name": "a", "pid": os.getpid()}
        socket.send_fds(theirs, [json.dumps(answer).encode()], [pidfd])
        running = asked.result(10)
        assert fcntl.fcntl(running.pidfd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    for descriptor in (*lent, pidfd, running.pidfd, place.namespace):
        os.close(descriptor)
