"""A command beside a node: what it prints comes to who asked for it, without secrets."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
from fcntl import F_DUPFD_CLOEXEC, fcntl

import pytest

from harness import redaction
from harness.supervisor import execution, outlet

SECRET = "hunter-hunter"
SHOWN = b"[password: secret]"


class Here:
    """A runtime that runs a command in our own network."""

    def execute(self, node, argv, stdio):
        assert node == "node-1"
        copies = [fcntl(descriptor, F_DUPFD_CLOEXEC, 10) for descriptor in stdio]
        actions = [(os.POSIX_SPAWN_DUP2, copy, at) for at, copy in enumerate(copies)]
        try:
            return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        finally:
            for copy in copies:
                os.close(copy)


class Client:
    """Who asks: reads what the command prints, as a terminal or two pipes do."""

    def __init__(self, *, as_one: bool) -> None:
        self.out, out = os.pipe()
        self.err, err = (self.out, os.dup(out)) if as_one else os.pipe()
        self.given = [os.open(os.devnull, os.O_RDONLY), out, err]
        self.connection, self.far = socket.socketpair()
        self.code: int | None = None

    def ask(self, *argv: str) -> int:
        """Have a command run; its exit code. What was given is closed then, as a server does."""
        self.code = execution.run(Here(), "node-1", argv, self.given, self.far)
        self.close_given()
        return self.code

    def close_given(self) -> None:
        while self.given:
            os.close(self.given.pop())

    def read(self) -> tuple[bytes, bytes]:
        """What is there until now."""
        os.set_blocking(self.out, False)
        os.set_blocking(self.err, False)
        return _there(self.out), _there(self.err)


def _there(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    redaction.hide("password", SECRET)


@pytest.fixture(params=[False])
def client(request):
    made = Client(as_one=request.param)
    yield made
    made.close_given()
    for each in (made.connection, made.far):
        each.close()
    for descriptor in {made.out, made.err}:
        os.close(descriptor)
    for thread in threading.enumerate():
        if thread.name == outlet.THREAD:  # nobody reads any more
            thread.join(timeout=30)
            assert not thread.is_alive()


def test_no_secret_is_printed_not_even_in_parts(client):
    said = f"printf 'it is hunter-'; sleep 0.1; printf 'hunter.'; echo {SECRET} >&2; exit 7"
    assert client.ask("sh", "-c", said) == 7
    assert client.read() == (b"it is " + SHOWN + b".", SHOWN + b"\n")


def test_what_is_no_secret_comes_as_it_was(client):
    assert client.ask("printf", r"\377\000 hunter-") == 0
    assert client.read() == (b"\xff\0 hunter-", b"")


@pytest.mark.parametrize("client", [True], indirect=True)
def test_what_goes_to_one_file_keeps_its_order(client):
    lines = "for at in 1 2 3 4 5; do echo out $at; echo err $at >&2; done"
    client.ask("sh", "-c", lines)
    told = b"".join(b"out %d\nerr %d\n" % (at, at) for at in range(1, 6))
    assert client.read()[0] == told


def test_a_child_that_lives_on_is_not_waited_for_and_is_heard(client, tmp_path):
    os.mkfifo(tmp_path / "go")
    said = f"echo first; (cat {tmp_path}/go; echo later {SECRET}) & exit 3"
    assert client.ask("sh", "-c", said) == 3
    assert client.read() == (b"first\n", b"")
    (tmp_path / "go").write_bytes(b"")
    os.set_blocking(client.out, True)
    assert os.read(client.out, 100) == b"later " + SHOWN + b"\n"
    assert os.read(client.out, 100) == b""


def test_who_reads_no_more_ends_what_prints(client):
    os.close(client.out)
    client.out = client.err
    assert client.ask("yes") == 1
    assert b"Broken pipe" in b"".join(client.read())


def test_a_client_that_goes_ends_a_command_that_nobody_reads(client):
    asked = threading.Thread(target=client.ask, args=("yes",))
    asked.start()
    deadline = time.monotonic() + 30
    while not _is_full(client.given[1]) and time.monotonic() < deadline:
        time.sleep(0.01)
    client.connection.close()
    asked.join(timeout=30)
    assert client.code == -signal.SIGKILL


def _is_full(pipe: int) -> bool:
    look = select.poll()
    look.register(pipe, select.POLLOUT)
    return not look.poll(0)


def test_without_secrets_the_command_writes_there_itself(client, monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    pipe = f"pipe:[{os.fstat(client.out).st_ino}]\n".encode()
    client.ask("readlink", "/proc/self/fd/1")
    assert client.read() == (pipe, b"")


def test_a_program_that_is_not_there_leaves_no_descriptor(client):
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        execution.run(Here(), "node-1", ["no-such-program"], client.given, client.far)
    assert os.listdir("/proc/self/fd") == before
