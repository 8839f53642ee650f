"""The entry helper fails closed: whatever is wrong, the command does not run, and the exit code is
125.
"""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from harness.errors import UnavailableError
from harness.kernel import namespaces
from harness.runtimes.docker import entry

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
REFUSED = 125


@pytest.fixture
def listener(state):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.bind(str(state / "door"))
        made.listen(1)
        made.settimeout(20)
        yield made


@pytest.fixture
def namespace():
    made = namespaces.create()
    yield made
    os.close(made)


def run(state, listener, descriptors, prefix=()):
    """Run the helper on this host, hand it `descriptors`, return its exit code, stderr, and what it
    said on the socket.
    """
    argv = [*prefix, str(entry.helper()), str(state / "door"), "touch", str(state / "ran")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as helper:
        connection, _ = listener.accept()
        with connection:
            if descriptors:
                socket.send_fds(connection, [b"e"], descriptors)
            else:
                connection.send(b"e")
            said = connection.recv(512).decode()
        stderr = helper.stderr.read()
    return helper.returncode, stderr, said


def test_it_runs_the_command_when_all_is_well(state, listener, namespace):
    code, stderr, said = run(state, listener, [namespace, 2])
    assert (code, stderr, said) == (0, "", "")
    assert (state / "ran").exists()


def test_a_namespace_that_is_the_callers_own_is_refused(state, listener):
    with open("/proc/self/ns/net") as own:
        code, stderr, said = run(state, listener, [own.fileno(), 2])
    assert code == REFUSED
    assert "is the one the container started in" in stderr
    assert said in stderr
    assert not (state / "ran").exists()


@pytest.mark.parametrize(
    "kind", ["none", "one", "three", "no namespace", "another kind of namespace"]
)
def test_other_descriptors_are_refused(state, listener, namespace, kind):
    with open("/dev/null") as null, open("/proc/self/ns/uts") as uts:
        descriptors = {
            "none": [],
            "one": [namespace],
            "three": [namespace, 2, 2],
            "no namespace": [null.fileno(), 2],
            "another kind of namespace": [uts.fileno(), 2],
        }[kind]
        code, stderr, said = run(state, listener, descriptors)
    assert code == REFUSED
    assert said in stderr
    assert said
    assert not (state / "ran").exists()


def test_without_sys_admin_it_is_refused(state, listener, namespace):
    code, stderr, _ = run(
        state, listener, [namespace, 2], ["setpriv", "--bounding-set", "-sys_admin"]
    )
    assert (code, stderr) == (REFUSED, "enter: setns: Operation not permitted\n")
    assert not (state / "ran").exists()


def test_without_setpcap_it_cannot_drop_and_is_refused(state, listener, namespace):
    code, stderr, _ = run(
        state, listener, [namespace, 2], ["setpriv", "--bounding-set", "-setpcap"]
    )
    assert code == REFUSED
    assert "bounding set" in stderr
    assert not (state / "ran").exists()


def test_without_a_supervisor_it_is_refused(state):
    result = subprocess.run(
        [entry.helper(), state / "nobody", "touch", state / "ran"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == REFUSED
    assert (
        result.stderr == "enter: no supervisor answers on the socket: No such file or directory\n"
    )
    assert not (state / "ran").exists()


def test_a_command_that_does_not_exist_is_said_on_the_socket(state, listener, namespace):
    with subprocess.Popen(
        [entry.helper(), state / "door", "no-such-command"], stderr=subprocess.DEVNULL
    ) as helper:
        connection, _ = listener.accept()
        with connection:
            socket.send_fds(connection, [b"e"], [namespace, 2])
            assert connection.recv(512) == b"enter: no-such-command: No such file or directory"
    assert helper.returncode == REFUSED


def test_a_container_without_sys_admin_fails_closed(testcontainer, state, listener, namespace):
    """Docker's default capabilities, as with an engine that ignores cap_add."""
    container = testcontainer(
        command=[str(state / "door"), "python3", "-c", f"open('{state}/ran', 'w')"],
        entrypoint=["/enter"],
        network_mode="host",
        volumes=[(str(entry.helper()), "/enter", "ro"), (str(state), str(state), "rw")],
    )
    connection, _ = listener.accept()
    with connection:
        socket.send_fds(connection, [b"e"], [namespace, 2])
        assert connection.recv(512) == b"enter: setns: Operation not permitted"
    assert container.get_wrapped_container().wait(timeout=20)["StatusCode"] == REFUSED
    assert container.get_logs()[1] == b"enter: setns: Operation not permitted\n"
    assert not (state / "ran").exists()


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnavailableError, match="install gcc and libc6-dev"):
        entry.helper()


def test_the_helper_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = entry.helper()
    made = first.stat().st_mtime_ns
    assert entry.helper() == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "p2p-harness").iterdir()] == [first.name]
