"""The control socket: answers, errors of the right kind, descriptors, and only for its own user."""

from __future__ import annotations

import os
import socket
import stat

import pytest
from kit.leftovers import eventually

from harness.control import client as client_module
from harness.control import state
from harness.control.client import Client
from harness.errors import HarnessError, NameTakenError, UnavailableError, UsageError
from harness.supervisor.server import Server


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    (tmp_path / "main").mkdir()
    return tmp_path / "main"


def refuse(*_):
    raise NameTakenError("taken")


def write_through(params, descriptors, connection):
    os.write(descriptors[0], params["text"].encode())
    return len(descriptors)


def inheritable(params, descriptors, connection):
    return [os.get_inheritable(one) for one in descriptors]


@pytest.fixture
def client(folder):
    server = Server(
        folder / "control.sock",
        {
            "echo": lambda params, *_: params,
            "refuse": refuse,
            "crash": lambda *_: 1 / 0,
            "write": write_through,
            "inheritable": inheritable,
        },
    )
    with Client.connect("main") as connected:
        yield connected
    server.close()


def test_calls_and_large_answers(client):
    assert client.call("echo", {"a": 1}) == {"a": 1}
    text = "x" * 3_000_000
    assert client.call("echo", {"text": text}) == {"text": text}


def test_errors_cross_as_what_they_are(client):
    with pytest.raises(NameTakenError, match="taken"):
        client.call("refuse")
    with pytest.raises(UsageError, match="unknown method 'fly'; possible: crash, echo"):
        client.call("fly")
    with pytest.raises(HarnessError, match="ZeroDivisionError"):
        client.call("crash")
    assert client.call("echo", {"still": "alive"}) == {"still": "alive"}


def test_an_unknown_kind_of_error_is_ours():
    assert type(client_module.raised("SystemExit", "x")) is HarnessError
    assert type(client_module.raised("HarnessError", "x")) is HarnessError


def test_descriptors_ride_along_and_are_closed(client):
    read, write = os.pipe()
    client.call("echo")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert client.call("write", {"text": "hello"}, [write]) == 1
    assert os.read(read, 100) == b"hello" * 5
    eventually(lambda: len(os.listdir("/proc/self/fd")) == before)  # the server's thread closes
    os.close(read)
    os.close(write)


def test_the_socket_is_for_its_user_alone(client, folder):
    assert stat.S_IMODE((folder / "control.sock").stat().st_mode) == 0o600


@pytest.mark.root
def test_another_user_is_not_answered(client, folder, monkeypatch):
    """Even with the file's mode opened up, the peer's credentials decide."""
    folder.parent.parent.chmod(0o711)
    for one in (folder.parent, folder):
        one.chmod(0o755)
    (folder / "control.sock").chmod(0o777)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as other:
                other.settimeout(60)
                try:
                    other.connect(str(folder / "control.sock"))
                except PermissionError:
                    os._exit(0)  # a parent folder above tmp_path already kept it out
                try:
                    other.sendall(b'{"id": 1, "method": "echo", "params": {}}\n')
                    os._exit(0 if other.recv(100) == b"" else 1)
                except ConnectionError:
                    os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_cluster_is_one_sentence(folder):
    with pytest.raises(
        UnavailableError,
        match=r"no cluster 'other' is up: `make cluster-10` or `harness up` starts one",
    ):
        Client.connect("other")


def test_a_dead_supervisor_is_said_so(folder):
    with pytest.raises(
        UnavailableError, match="the supervisor of cluster 'main' is gone: `harness doctor`"
    ):
        Client.connect("main")


def test_a_supervisor_that_dies_while_it_is_asked(folder):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "control.sock"))
    listener.listen()
    with Client.connect("main") as client:
        accepted, _ = listener.accept()
        accepted.close()
        with pytest.raises(UnavailableError, match="ended while it was asked for status"):
            client.status()
    listener.close()


def test_a_name_is_held_by_a_living_process_only(folder):
    lock = state.Lock("main")
    assert state.is_alive("main")
    with pytest.raises(NameTakenError, match="'main' is up already"):
        state.Lock("main")
    lock.remove()
    assert not state.is_alive("main")
    assert not folder.exists()


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "x" * 25, "-a"])
def test_bad_cluster_names_are_refused(name, monkeypatch):
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    if name:
        with pytest.raises(UsageError, match="cluster name"):
            state.cluster_name(name)
    else:
        assert state.cluster_name(name) == "main"


def descriptors_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_descriptors_of_half_a_request_are_closed(client, folder):
    """The connection ends before the line does."""
    read, write = os.pipe()
    client.call("echo")
    before = descriptors_open()
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as half:
            half.connect(str(folder / "control.sock"))
            socket.send_fds(half, [b'{"id": 1, '], [write, write, write])
    eventually(lambda: descriptors_open() == before)
    os.close(write)
    assert os.read(read, 1) == b"", "nobody has the pipe's other end any more"
    os.close(read)


def test_more_descriptors_than_a_request_can_have_end_the_connection(client, folder):
    read, write = os.pipe()
    client.call("echo")
    before = descriptors_open()
    with socket.socket(socket.AF_UNIX) as greedy:
        greedy.connect(str(folder / "control.sock"))
        greedy.settimeout(60)
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                socket.send_fds(greedy, [b" "], [write, write, write])
            greedy.recv(1)
            raise AssertionError("a thousand of them were taken")
    eventually(lambda: descriptors_open() == before)
    os.close(read)
    os.close(write)


def test_descriptors_of_a_request_are_not_inherited(client):
    """What runs beside a node must not hold another command's pipes open."""
    read, write = os.pipe()
    assert client.call("inheritable", {}, [write]) == [False]
    os.close(read)
    os.close(write)
