"""A zygote with nothing to inherit: it starts plain programs on request, as PID 1 of a PID
namespace (meshnode PROTOCOL.md, section 3).

It runs by its path in an isolated interpreter, so it imports the standard library alone and is up
in 20 ms. When its socket closes it ends, and the kernel kills every program that it started.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from typing import Any, NoReturn

CLONE_NEWNET = 0x40000000
PR_CAPBSET_DROP = 24
CAP_SYS_ADMIN = 21
PACKET_BYTES_MAX = 128 << 10
DESCRIPTORS = 2  # of a request: network namespace, log
CANNOT_START = 127

_libc = ctypes.CDLL(None, use_errno=True)


def serve(requests: socket.socket) -> None:
    """Start one program for each request, until the socket closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps: who waits has a pidfd
    while True:
        try:
            packet, descriptors, _, _ = socket.recv_fds(requests, PACKET_BYTES_MAX, DESCRIPTORS)
        except ConnectionError:
            return
        if not packet:
            return
        request = json.loads(packet)
        try:
            error, pidfd = _spawn(request, descriptors)
            answer = (
                {"op": "failed", "name": request["name"], "error": error}
                if error
                else {"op": "spawned", "name": request["name"]}
            )
            socket.send_fds(requests, [json.dumps(answer).encode()], [] if error else [pidfd])
            os.close(pidfd)
        except ConnectionError:
            return
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _spawn(request: dict[str, Any], descriptors: list[int]) -> tuple[str, int]:
    """Start a program; returns why it could not be started (empty: it runs), and its pidfd."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(request, descriptors, writing)
    os.close(writing)
    pidfd = os.pidfd_open(pid)
    with open(reading, "rb") as status:  # ends without a word at the exec
        return status.read().decode("utf-8", "replace"), pidfd


def _become(request: dict[str, Any], descriptors: list[int], status: int) -> NoReturn:
    """Enter the namespace, take on the request's surroundings, execute; in the child. Ends the
    child where any of it fails.
    """
    try:
        namespace, output = descriptors
        os.setsid()  # a signal for the terminal is not for nodes
        for number in (
            signal.SIGCHLD,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):  # ignored: by `serve`, and by every Python
            signal.signal(number, signal.SIG_DFL)
        _check(_libc.setns(namespace, CLONE_NEWNET), "setns")
        # The exec takes it from all sets: no way out.
        _check(_libc.prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0), "prctl")
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        os.closerange(3, status)
        os.closerange(status + 1, 1 << 20)
        os.chdir(request["directory"])
        os.execvpe(request["argv"][0], request["argv"], request["environment"])  # noqa: S606 - a shell is what it must not have
    except OSError as error:
        os.write(status, f"{request['argv'][0]}: {error.strerror}".encode())
    finally:
        os._exit(CANNOT_START)


def _check(result: int, call: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[sys.argv.index("--socket-fd") + 1])))
