"""The asking side of a zygote, with the test at the other end of its socket."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import closing

from harness.runtimes.runtime import Ending, Image, Place, Process
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


def test_the_end_of_an_earlier_life_is_not_that_of_the_next(tmp_path):
    """It may be told after the next one was asked for."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = Zygote(ours, environment={}, last_words=lambda: "")
    held = [os.open("/proc/self/ns/net", os.O_RDONLY)]
    place = Place(
        node=Node(name="a"),
        index=0,
        address="198.18.0.1",
        directory=tmp_path,
        namespace=held[0],
    )

    def say(lent=(), **answer):
        socket.send_fds(theirs, [json.dumps({"name": "a", **answer}).encode()], lent)

    with closing(theirs), closing(zygote):
        pidfd = os.pidfd_open(os.getpid())
        for pid in (101, 102):
            asked = zygote.ask(place, Process(argv=("/bin/true",), image=Image("none")))
            held += socket.recv_fds(theirs, 1 << 16, 2)[1]
            if pid == 102:
                say(op="exited", pid=101, code=3, signal=None)
            say([pidfd], op="spawned", pid=pid)
            held.append(asked.result(10).pidfd)
        assert zygote.ending("a") == Ending()
        say(op="exited", pid=102, code=4, signal=None)
        assert zygote.ending("a") == Ending(code=4)
    for descriptor in (*held, pidfd):
        os.close(descriptor)


def test_what_a_zygote_held_ends_with_it():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(Zygote(ours, environment={}, last_words=lambda: "")) as zygote:
        theirs.close()
        assert zygote.ending("a") == Ending(with_holder=True)
