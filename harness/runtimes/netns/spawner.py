"""A zygote with nothing to inherit: it starts plain programs on request, as PID 1 of a PID
namespace (meshnode PROTOCOL.md, section 3).

It runs by its path in an isolated interpreter, so it imports the standard library alone and is up
in 20 ms. When its socket closes it ends, and the kernel kills every program that it started.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import json
import os
import select
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
    """Start one program for each request and tell how each ended, until the socket closes."""
    died, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # the signal's byte in the pipe is what counts
    poll = select.poll()
    for descriptor in (requests.fileno(), died):
        poll.register(descriptor, select.POLLIN)
    names: dict[int, str] = {}  # pid → node
    with contextlib.suppress(ConnectionError):
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if died in ready:
                os.read(died, PACKET_BYTES_MAX)
                _reap(requests, names)
            if requests.fileno() in ready and not _take(requests, names):
                return


def receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """Return a request and its descriptors, which no program inherits; `socket.recv_fds` of Python
    3.11 leaves that out.
    """
    size = array.array("i").itemsize
    packet, ancillary, _, _ = requests.recvmsg(
        PACKET_BYTES_MAX, socket.CMSG_LEN(DESCRIPTORS * size), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for _, _, content in ancillary:  # of a unix socket, SCM_RIGHTS alone was asked for
        descriptors.frombytes(content[: len(content) - len(content) % size])
    return packet, list(descriptors)


def _take(requests: socket.socket, names: dict[int, str]) -> bool:
    """Carry out one request; whether there was one: else the socket has closed."""
    packet, descriptors = receive(requests)
    if not packet:
        return False
    request = json.loads(packet)
    try:
        try:
            error, pid, pidfd = _spawn(request, descriptors)
        except OSError as refusal:  # of a host that has no room: all the others live on
            error, pid, pidfd = f"{request['argv'][0]}: {refusal.strerror}", 0, -1
        answer = {"op": "spawned", "name": request["name"], "pid": pid}
        if error:
            answer = {"op": "failed", "name": request["name"], "error": error}
        else:
            names[pid] = request["name"]
        socket.send_fds(requests, [json.dumps(answer).encode()], [] if error else [pidfd])
        if pidfd >= 0:
            os.close(pidfd)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True


def _reap(requests: socket.socket, names: dict[int, str]) -> None:
    """Wait for all that have ended, orphans too: this is PID 1. Tell how each program did."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, code = ended[0], os.waitstatus_to_exitcode(ended[1])
            if pid in names:
                how = (
                    {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
                )
                answer = {"op": "exited", "name": names.pop(pid), "pid": pid, **how}
                requests.send(json.dumps(answer).encode())


def _spawn(request: dict[str, Any], descriptors: list[int]) -> tuple[str, int, int]:
    """Start a program; returns why it could not be started (empty: it runs), its pid and its
    pidfd. Raises OSError where there is no process or no descriptor to be had.
    """
    if len(descriptors) != DESCRIPTORS:  # the kernel had no room to give them
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as status:  # ends without a word at the exec
        try:
            pid = os.fork()
            if pid == 0:
                _become(request, descriptors, writing)
        finally:
            os.close(writing)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            raise
        return status.read().decode("utf-8", "replace"), pid, pidfd


def _become(request: dict[str, Any], descriptors: list[int], status: int) -> NoReturn:
    """Enter the namespace, take on the request's surroundings, execute; in the child. Ends the
    child where any of it fails.
    """
    try:
        namespace, output = descriptors
        if request.get("group"):
            with contextlib.suppress(OSError), open(request["group"], "w") as group:
                group.write("0")
        os.setsid()  # a signal for the terminal is not for nodes
        # A session is scheduled as one: as nice as we are.
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as session:
            session.write(str(os.getpriority(os.PRIO_PROCESS, 0)))
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
