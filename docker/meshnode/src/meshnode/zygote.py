"""The zygote: imports everything once, then forks a node a request (PROTOCOL.md §3). One thread, no
event loop.
"""

import array
import functools
import gc
import json
import logging
import os
import random
import select
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from meshnode.heap import fill_holes
from meshnode.rehearsal import rehearse, rehearse_start
from meshnode.sandbox import SandboxError, drop_sys_admin, enter_network_namespace

MAX_PACKET_BYTES = 128 << 10
# In the environment of a zygote that is to fork many: a folder in which to rehearse a whole start.
REHEARSAL = "ZYGOTE_REHEARSAL"
DESCRIPTORS = 2  # of a spawn request: network namespace, log
# What every Python ignores: a node whose peer hangs up hears EPIPE, and does not die of it. A
# program that is executed gets the defaults, as from a shell.
IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})

BURST_S = 0.03  # without a request for so long, nodes that are not held begin

log = logging.getLogger("meshnode.zygote")


@dataclass(slots=True)
class _Child:
    name: str
    pid: int
    pidfd: int
    # The pipe on which it reports a failed start; closed at exec or when it is on its way.
    status: int | None


class _Ends(NamedTuple):
    """What a child keeps of the zygote's descriptors until it runs."""

    status: int  # of the pipe on which it reports a failed start
    gate: int


class _Gate:
    """Where new nodes wait until no more are asked for: a fork waits for locks of the kernel that
    earlier children hold, and they wait for a core.
    """

    def __init__(self) -> None:
        self.is_awaited = False
        self.is_held = False  # more are to come, however long that takes
        self.reading, self._writing = os.pipe2(os.O_CLOEXEC)

    def open(self) -> None:
        """Let all go."""
        os.close(self._writing)
        os.close(self.reading)
        self.is_awaited = self.is_held = False
        self.reading, self._writing = os.pipe2(os.O_CLOEXEC)


class _RequestError(Exception):
    """A request that is not PROTOCOL.md §3."""


def connect(path: str) -> socket.socket:
    """Connect to a unix SOCK_SEQPACKET socket. Raises OSError."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream.connect(path)
    return stream


def inherited(descriptor: int) -> socket.socket:
    """The socket that whoever started this process left open. Raises OSError."""
    return socket.socket(fileno=descriptor)


def serve(requests: socket.socket, main: Callable[[list[str]], int]) -> None:
    """Fork on request until the socket closes; then kill the children. `main` is what the command
    `meshnode` runs.
    """
    requests.set_inheritable(False)
    rehearse()
    place = os.environ.pop(REHEARSAL, "")
    if place:
        rehearse_start(Path(place))
    _handled()
    gc.collect()
    if place:
        fill_holes()
    gc.freeze()
    _Zygote(requests, main).serve()


class _Zygote:
    def __init__(self, requests: socket.socket, main: Callable[[list[str]], int]) -> None:
        self._requests = requests
        self._main = main
        self._poll = select.epoll()
        self._poll.register(requests, select.EPOLLIN)
        self._is_writing = False  # whether it is polled for a place to write to
        self._by_descriptor: dict[int, _Child] = {}
        self._answers: deque[tuple[bytes, int | None]] = deque()
        self._is_over = False
        self._gate = _Gate()

    def serve(self) -> None:
        while not self._is_over:
            is_timed = self._gate.is_awaited and not self._gate.is_held
            events = self._poll.poll(BURST_S if is_timed else None)
            if not events and not self._is_starting():
                self._gate.open()
            for descriptor, event in events:
                child = self._by_descriptor.get(descriptor)
                if descriptor == self._requests.fileno():
                    self._flush()
                    if event & ~select.EPOLLOUT:
                        self._take()
                elif child is None:
                    continue  # dealt with earlier in this round
                elif descriptor == child.status:
                    self._started(child)
                else:
                    self._ended(child)
        self._kill_all()

    def _is_starting(self) -> bool:
        """Whether somebody waits for an answer, and may ask for more once it comes."""
        return any(child.status is not None for child in self._by_descriptor.values())

    def _take(self) -> None:
        try:
            data, ancillary, _, _ = self._requests.recvmsg(
                MAX_PACKET_BYTES, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionError:
            data, ancillary = b"", []
        if not data:
            self._is_over = True
            return
        descriptors: list[int] = []
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += array.array("i", payload[: len(payload) // 4 * 4])
        name = ""
        try:
            request = _read(data, descriptors)
            name = request["name"]
            self._spawn(request, descriptors)
        except (_RequestError, OSError) as error:
            self._send({"op": "failed", "name": name, "error": str(error)})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _spawn(self, request: dict[str, Any], descriptors: list[int]) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            _become(request, descriptors, _Ends(writing, self._gate.reading), self._main)
        self._gate.is_awaited = True
        self._gate.is_held = request.get("held", False)
        os.close(writing)
        child = _Child(request["name"], pid, os.pidfd_open(pid), reading)
        for descriptor in (reading, child.pidfd):
            self._by_descriptor[descriptor] = child
            self._poll.register(descriptor, select.EPOLLIN)

    def _started(self, child: _Child) -> None:
        """The status pipe has ended: without a word the child is on its way."""
        assert child.status is not None
        error = os.read(child.status, 4096).decode(errors="replace")
        self._forget(child.status)
        child.status = None
        if error:
            os.waitpid(child.pid, 0)
            self._forget(child.pidfd)
            self._send({"op": "failed", "name": child.name, "error": error})
        else:
            self._send({"op": "spawned", "name": child.name, "pid": child.pid}, child.pidfd)

    def _ended(self, child: _Child) -> None:
        if child.status is not None:
            self._started(child)  # spawned, or failed, is said before exited
            if child.pidfd not in self._by_descriptor:
                return
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._forget(child.pidfd)
        ending = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
        self._send({"op": "exited", "name": child.name, "pid": child.pid, **ending})

    def _forget(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        os.close(descriptor)

    def _send(self, answer: dict[str, Any], pidfd: int | None = None) -> None:
        """Queue an answer: whoever sends many requests before reading must not block the zygote,
        and so itself.
        """
        self._answers.append(
            (json.dumps(answer).encode(), os.dup(pidfd) if pidfd is not None else None)
        )
        self._flush()

    def _flush(self) -> None:
        while self._answers:
            data, descriptor = self._answers[0]
            rights = (
                []
                if descriptor is None
                else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
            )
            try:
                self._requests.sendmsg([data], rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                if not self._is_over:
                    log.warning("nobody listens any more: %s", error)
                self._is_over = True
            self._answers.popleft()
            if descriptor is not None:
                os.close(descriptor)
        if bool(self._answers) != self._is_writing:
            self._is_writing = bool(self._answers)
            wanted = select.EPOLLIN | (select.EPOLLOUT if self._is_writing else 0)
            self._poll.modify(self._requests, wanted)

    def _kill_all(self) -> None:
        children = {child.pid: child for child in self._by_descriptor.values()}
        for child in children.values():
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        for child in children.values():
            os.waitpid(child.pid, 0)


def _read(data: bytes, descriptors: list[int]) -> dict[str, Any]:
    try:
        request = json.loads(data)
    except ValueError as error:
        raise _RequestError(f"not JSON: {error}") from error
    match request:
        case {
            "op": "spawn",
            "name": str(),
            "argv": [str(), *_],
            "environment": dict(),
            "directory": str(),
        }:
            pass
        case _:
            raise _RequestError("expected op spawn with name, argv, environment and directory")
    texts = (*request["argv"], *request["environment"].values())
    if not isinstance(request.get("held", False), bool):
        raise _RequestError("held is true or false")
    if not all(isinstance(text, str) for text in texts):
        raise _RequestError("argv and environment hold strings")
    if len(descriptors) != DESCRIPTORS:
        raise _RequestError(
            f"expected {DESCRIPTORS} descriptors (network namespace, log), found {len(descriptors)}"
        )
    return dict(request)


def _become(
    request: dict[str, Any],
    descriptors: list[int],
    ends: _Ends,
    main: Callable[[list[str]], int],
) -> NoReturn:
    """In the child: take on the request's surroundings, run, never return."""
    code = 1
    try:
        try:
            _surround(request, descriptors, ends)
        except (SandboxError, OSError) as error:
            os.write(ends.status, str(error).encode())
            os._exit(127)
        code = _run(request["argv"], ends, main)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (
        BaseException
    ):  # this process must end here, whatever happens: above it lies the zygote's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)


def _surround(request: dict[str, Any], descriptors: list[int], ends: _Ends) -> None:
    namespace, output = descriptors
    enter_network_namespace(namespace)
    drop_sys_admin()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    first, second = sorted(ends)
    os.closerange(3, first)
    os.closerange(first + 1, second)
    os.closerange(second + 1, 1 << 20)
    for number in _handled():
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["directory"])
    _take_on(request["environment"])
    random.seed()
    # A signal for the zygote's terminal is not for its nodes; and until here the child had the
    # zygote's turn, which may go before that of the nodes.
    os.setsid()
    # A session is scheduled as one: as nice as the zygote is.
    with suppress(OSError), open("/proc/self/autogroup", "wb", buffering=0) as session:
        session.write(b"%d" % os.getpriority(os.PRIO_PROCESS, 0))


@functools.cache  # the zygote asks, and its children find it answered
def _handled() -> tuple[int, ...]:
    """The signals that do not do in this process what they do by default."""
    changeable = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} - IGNORED_BY_PYTHON
    return tuple(
        number for number in changeable if signal.getsignal(number) not in {signal.SIG_DFL, None}
    )


def _take_on(environment: dict[str, str]) -> None:
    """Make this the environment of the process; what is so already is not touched."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _run(argv: list[str], ends: _Ends, main: Callable[[list[str]], int]) -> int:
    if argv[0] != "meshnode":
        try:
            for number in IGNORED_BY_PYTHON:
                signal.signal(number, signal.SIG_DFL)
            os.execvp(argv[0], argv)  # noqa: S606 - the pipe closes at exec: that is the success
        except OSError as error:
            os.write(ends.status, f"{argv[0]}: {error.strerror}".encode())
            return 127
    os.close(ends.status)
    os.read(ends.gate, 1)  # ends, without a byte, once the gate is open
    os.close(ends.gate)
    logging.getLogger().handlers.clear()
    return main(argv[1:])
