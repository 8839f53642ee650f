"""The zygote for real: forked nodes in fresh network namespaces, without CAP_SYS_ADMIN, and its
errors.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.nodes import OK, PRIVATE, Zygote, make_nodes, wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="setns(2) needs CAP_SYS_ADMIN: run as root"),
]
SHOW = (
    "import os, json, sys; status = open('/proc/self/status').read(); "
    "caps = {line.split(':')[0]: int(line.split()[1], 16) >> 21 & 1 for line in "
    "status.splitlines() if line.startswith('Cap')}; "
    "print(json.dumps({'caps': caps, 'net': os.readlink('/proc/self/ns/net'), 'fds': "
    "sorted(map(int, os.listdir('/proc/self/fd')))[:-1], "
    "'cwd': os.getcwd(), 'env': os.environ.get('WHO'), 'vars': len(os.environ)}))"
)


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    assert zygote.close() == 0


@pytest.fixture
def namespace() -> Iterator[str]:
    """A fresh network namespace with loopback up, held by a process."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    yield f"/proc/{holder.pid}/ns/net"
    holder.communicate()


def ignored(pid: int | str) -> set[int]:
    """The signals that a process ignores, as the kernel says."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.split("SigIgn:")[1].split()[0], 16)
    return {number + 1 for number in range(64) if mask >> number & 1}


def test_nodes_run_in_their_namespace_and_end_with_the_zygote(
    zygote: Zygote, namespace: str, tmp_path: Path
) -> None:
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    pidfds, pids = [], []
    for node in nodes:
        zygote.spawn(
            node.name,
            ["meshnode", "run", "--config", str(node.write_config())],
            node.directory,
            namespace,
        )
        answer, descriptors = zygote.receive()
        assert (answer["op"], answer["name"]) == ("spawned", node.name)
        pidfds += descriptors
        pids.append(answer["pid"])
    for node in nodes:
        wait_until(node.is_ready, "ready")
    for pid in pids:
        assert ignored(pid) >= {13, 25}  # SIGPIPE, SIGXFSZ: as in every Python
        assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(namespace)
        assert len(os.listdir(f"/proc/{pid}/task")) == 1
    assert nodes[0].control.do(PRIVATE, nodes[2].id, b"hello")[0] == OK
    nodes[0].disconnect()
    os.kill(pids[0], 9)
    answer, _ = zygote.receive()
    assert answer == {"op": "exited", "name": "n0", "pid": pids[0], "code": None, "signal": 9}
    os.kill(pids[1], 15)
    assert zygote.receive()[0] == {
        "op": "exited",
        "name": "n1",
        "pid": pids[1],
        "code": 0,
        "signal": None,
    }
    assert zygote.close() == 0
    poll = select.poll()
    for descriptor in pidfds:
        poll.register(descriptor, select.POLLIN)
    assert len(poll.poll(5000)) == 3
    for descriptor in pidfds:
        os.close(descriptor)


def test_what_is_held_begins_after_the_last_request(zygote: Zygote, tmp_path: Path) -> None:
    """Not when no more are asked for a while: the network may still be in the making."""
    one, other = make_nodes(tmp_path, 2, [(0, 1)])
    for node in (one, other):
        argv = ["meshnode", "run", "--config", str(node.write_config())]
        zygote.spawn(node.name, argv, node.directory, held=True)
        answer, (pidfd,) = zygote.receive()
        assert answer["op"] == "spawned"
        os.close(pidfd)
    # A program that is executed was never held, and takes longer than a burst.
    zygote.spawn("later", ["sleep", "0.2"], tmp_path, held=True)
    os.close(zygote.receive()[1][0])
    assert zygote.receive()[0]["op"] == "exited"
    assert not any((node.directory / "control.sock").exists() for node in (one, other))
    zygote.spawn("last", ["true"], tmp_path)
    os.close(zygote.receive()[1][0])
    assert zygote.receive()[0]["op"] == "exited"
    for node in (one, other):
        wait_until(node.is_ready, "ready")


def test_many_requests_may_come_before_an_answer_is_read(zygote: Zygote, tmp_path: Path) -> None:
    count = 300
    for number in range(count):
        zygote.spawn(str(number), ["true"], tmp_path)
    events: dict[str, list[str]] = {}
    while sum(map(len, events.values())) < 2 * count:
        answer, descriptors = zygote.receive()
        events.setdefault(answer["name"], []).append(answer["op"])
        for descriptor in descriptors:
            os.close(descriptor)
    assert events == {str(number): ["spawned", "exited"] for number in range(count)}


def test_a_foreign_program_gets_a_clean_process(
    zygote: Zygote, namespace: str, tmp_path: Path
) -> None:
    zygote.spawn("show", [sys.executable, "-c", SHOW], tmp_path, namespace, WHO="me")
    answer, descriptors = zygote.receive()
    assert answer["op"] == "spawned"
    os.close(descriptors[0])
    assert zygote.receive()[0]["code"] == 0
    shown = json.loads((tmp_path / "log").read_text())
    assert shown["caps"] == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}
    assert shown["net"] == os.readlink(namespace) != os.readlink("/proc/self/ns/net")
    assert shown["fds"] == [0, 1, 2]
    zygote.spawn("sleep", ["sleep", "1000"], tmp_path, namespace)
    answer, descriptors = zygote.receive()
    # No Python: the defaults, as from a shell. 32 and 33 are glibc's own, which nobody can reset.
    assert ignored(answer["pid"]) == ignored("self") & {32, 33}
    os.close(descriptors[0])
    assert (shown["cwd"], shown["env"]) == (str(tmp_path), "me")


@pytest.mark.parametrize(
    ("argv", "where", "words"),
    [
        (["/no/such/program"], "/proc/self/ns/net", "No such file"),
        (["true"], "/proc/self/ns/uts", "setns: Invalid argument"),
        ([], "/proc/self/ns/net", "expected op spawn"),
        ([7], "/proc/self/ns/net", "expected op spawn"),
    ],
)
def test_what_cannot_start_has_failed_and_the_next_one_starts(
    zygote: Zygote, tmp_path: Path, argv: list[str], where: str, words: str
) -> None:
    zygote.spawn("bad", argv, tmp_path, where)
    answer, descriptors = zygote.receive()
    assert (answer["op"], descriptors) == ("failed", [])
    assert words in answer["error"]
    zygote.socket.send(b"not json")
    assert "not JSON" in zygote.receive()[0]["error"]
    zygote.spawn("good", ["true"], tmp_path)
    answer, descriptors = zygote.receive()
    assert answer["op"] == "spawned"
    os.close(descriptors[0])
    assert zygote.receive()[0] == {
        "op": "exited",
        "name": "good",
        "pid": answer["pid"],
        "code": 0,
        "signal": None,
    }
