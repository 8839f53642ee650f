"""What a zygote is lent stays its own."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

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


def test_a_host_without_room_for_one_more_ends_none_of_the_others(tmp_path):
    """The spawner left, and with it, PID 1 of their namespace, went all nodes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(60)
    with closing(ours), theirs, open(os.devnull) as log, open("/proc/self/ns/net") as namespace:
        argv = [sys.executable, "-IS", spawner.__file__, "--socket-fd", str(theirs.fileno())]
        process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        theirs.close()

        def asked(name):
            request = {
                "name": name,
                "argv": ["/bin/true"],
                "directory": str(tmp_path),
                "environment": {},
            }
            lent = [namespace.fileno(), log.fileno()]
            socket.send_fds(ours, [json.dumps(request).encode()], lent)
            while (answer := json.loads(ours.recv(1 << 16)))["name"] != name:
                pass  # how an earlier one ended
            return answer

        asked("a")
        assert json.loads(ours.recv(1 << 16))["op"] == "exited"  # it waits for more by then
        limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        taken = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
        free = (number for number in range(1 << 10) if number not in taken)
        two = [next(free), next(free)]  # for what is lent, and none for a pipe
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (two[-1] + 1, limit[1]))
        assert asked("b") == {
            "op": "failed",
            "name": "b",
            "error": "/bin/true: Too many open files",
        }
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limit)
        assert "Too many open files" not in json.dumps(asked("c"))
        ours.shutdown(socket.SHUT_RDWR)
        assert process.wait(60) == 0
