"""The asking side of a zygote, with the test at the other end of its socket."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from contextlib import closing, nullcontext

import pytest

from harness.errors import HarnessError
from harness.runtimes.runtime import Ending, Image, Place, Process
from harness.runtimes.zygote import Zygote, start_all
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


class Answering:
    """The other end: answers each request at once with this process, and keeps all that came."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.came = []
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self):
        while True:
            packet, lent, *_ = socket.recv_fds(self.theirs, 1 << 16, 2)
            if not packet:
                return
            for descriptor in lent:
                os.close(descriptor)
            self.came.append(request := json.loads(packet))
            pidfd = os.pidfd_open(os.getpid())
            answer = {"op": "spawned", "name": request["name"], "pid": os.getpid()}
            socket.send_fds(self.theirs, [json.dumps(answer).encode()], [pidfd])
            os.close(pidfd)

    def close(self):
        self.thread.join(10)
        self.theirs.close()


@pytest.mark.parametrize("fails", [False, True])
def test_many_are_held_until_all_have_started_and_for_ever_where_one_has_not(tmp_path, fails):
    """What is asked for may still be in the making, as its network is, and may fail."""
    namespace, started = os.open("/proc/self/ns/net", os.O_RDONLY), []
    process = Process(argv=("/bin/true",), image=Image("none"))

    def asks(zygote):
        for index in range(100):
            if fails and index == 70:
                raise HarnessError("not wired")
            node = Node(name=f"n{index}")
            place = Place(
                node=node,
                index=index,
                address="198.18.0.1",
                directory=tmp_path,
                namespace=namespace,
            )
            yield zygote, place, process

    with closing(Answering()) as other:
        zygote = Zygote(other.ours, environment={}, last_words=lambda: "")
        with pytest.raises(HarnessError, match="not wired") if fails else nullcontext():
            start_all(asks(zygote), lambda *told: started.append(told[-1]))
        zygote.close()
        other.thread.join(10)
        spawned = [f"n{index}" for index in range(69 if fails else 100)]
        assert [running.node for running in started] == spawned  # also where it failed: in order
        assert [request["name"] for request in other.came] == spawned
        held = [request["held"] for request in other.came]
        assert held == [True] * len(spawned) if fails else [True] * 99 + [False]
    for descriptor in (namespace, *(running.pidfd for running in started)):
        os.close(descriptor)
