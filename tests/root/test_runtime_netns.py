"""The netns runtime against a zygote of ours that speaks meshnode PROTOCOL.md §3, in real
namespaces.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness import runtimes
from harness.errors import HarnessError, NodeStartError, UnavailableError, UsageError
from harness.faults.fault import Condition
from harness.kernel import accounts, namespaces
from harness.kernel.proc import is_readable
from harness.runtimes import processes, resident
from harness.runtimes.netns.runtime import NetnsRuntime
from harness.runtimes.runtime import Ending, Image, Place, Process, Running
from harness.topology.topology import Node

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SYS_ADMIN = 1 << 21
ZYGOTE = """
import ctypes, json, os, signal, socket, sys
s = socket.socket(fileno=int(sys.argv[2]))
libc = ctypes.CDLL(None, use_errno=True)
say = lambda answer, fds=(): socket.send_fds(s, [json.dumps(answer).encode()], list(fds))
while True:
    packet, fds, _, _ = socket.recv_fds(s, 65536, 2)
    if not packet:
        os._exit(0)
    asked = json.loads(packet)
    name, argv = asked["name"], asked["argv"]
    if argv == ["refuse"]:
        os.write(fds[1], b"no such luck\\n")
        say({"op": "failed", "name": name, "error": "refused"})
    elif argv == ["die"]:
        print("the zygote fell over", file=sys.stderr, flush=True)
        os._exit(3)
    else:
        ready, entered = os.pipe()
        pid = os.fork()
        if pid == 0:
            if libc.setns(fds[0], 0x40000000):
                os._exit(9)
            os.dup2(fds[1], 1); os.dup2(fds[1], 2)
            os.execvpe(argv[0], argv, asked["environment"])
        os.close(entered)
        os.read(ready, 1)              # end of file: the child has entered and executed, or died
        os.close(ready)
        pidfd = os.pidfd_open(pid)
        say({"op": "spawned", "name": name, "pid": pid}, [pidfd])
        os.close(pidfd)
    for fd in fds:
        os.close(fd)
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not pid:
            break
        say({"op": "exited", "name": "?", "pid": pid, "code": None, "signal": None})
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "zygote.py"
    script.write_text(ZYGOTE)
    return (sys.executable, str(script))


@pytest.fixture
def places(tmp_path):
    made = []

    def make(count):
        for index, descriptor in enumerate(namespaces.create_many(count)):
            directory = tmp_path / "nodes" / f"node-{index}"
            directory.mkdir(parents=True)
            made.append(
                Place(
                    node=Node(name=f"node-{index}"),
                    index=index,
                    address=f"198.18.0.{index % 250 + 1}",
                    directory=directory,
                    namespace=descriptor,
                )
            )
        return list(made)

    yield make
    for place in made:
        os.close(place.namespace)


@pytest.fixture
def netns(tmp_path):
    made = NetnsRuntime(label="t-netns", state=tmp_path)
    yield made
    made.close()
    made.close()


def process(command, *argv):
    return Process(
        argv=argv or ("sleep", "1000"),
        environment={"GREETING": "hello"},
        image=Image("none"),
        zygote=command,
    )


def start(netns, launches):
    found = {}
    netns.start(launches, lambda running: found.setdefault(running.node, running))
    return found


def inode(path):
    return os.stat(path).st_ino


def until(holds, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.01)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_the_table_knows_its_names():
    assert runtimes.named("netns") is NetnsRuntime
    known = ", ".join(runtimes.TABLE)
    with pytest.raises(
        UsageError,
        match=f"expected one of {known}, or module:attribute of your own; found 'podman'",
    ):
        runtimes.named("podman")


def test_every_node_stands_in_its_own_namespace(netns, places, command):
    """It has an environment and a log of its own."""
    shell = process(command, "sh", "-c", 'echo "$GREETING from $HARNESS_CLUSTER"; exec sleep 1000')
    made = places(3)
    found = start(netns, [(place, shell) for place in made])
    assert sorted(found) == ["node-0", "node-1", "node-2"]
    for place in made:
        running = found[place.node.name]
        assert (
            inode(f"/proc/{running.pid}/ns/net")
            == os.fstat(place.namespace).st_ino
            != inode("/proc/self/ns/net")
        )
        assert inode(f"/proc/{running.pid}/ns/pid") != inode("/proc/self/ns/pid")
        until(lambda place=place: processes.log_of(place).read_text() == "hello from t-netns\n")


def test_nodes_that_no_group_counts_are_named(netns, places, command, monkeypatch):
    executed, forked = places(2)
    monkeypatch.setattr(accounts, "make", lambda *_: None)  # as without root
    start(netns, [(executed, process(())), (forked, process(command))])
    assert netns.uncounted() == ["node-0"]


def test_conditions_are_true_of_the_process(netns, places, command):
    """A restart stays in the namespace."""
    (place,) = places(1)
    first = start(netns, [(place, process(command))])["node-0"]
    assert netns.set_condition("node-0", Condition.PAUSED) is None
    until(lambda: state_of(first.pid) == "T")
    assert netns.set_condition("node-0", Condition.RUNNING) is None
    until(lambda: state_of(first.pid) == "S")
    netns.set_condition("node-0", Condition.PAUSED)
    netns.set_condition("node-0", Condition.STOPPED)
    assert is_readable(first.pidfd)
    with pytest.raises(UnavailableError, match="node-0 has ended and cannot be paused"):
        netns.set_condition("node-0", Condition.PAUSED)
    again = netns.set_condition("node-0", Condition.RUNNING)
    assert again is not None
    assert again.pid != first.pid
    assert inode(f"/proc/{again.pid}/ns/net") == os.fstat(place.namespace).st_ino
    os.kill(again.pid, signal.SIGKILL)  # a crash, not a condition of ours
    assert is_readable(again.pidfd, 5)
    assert netns.set_condition("node-0", Condition.RUNNING) is not None


def test_a_node_that_is_restarted_for_hours_costs_no_descriptors(netns, places, command):
    """A soak with churn: one more of each life, and the supervisor's would be gone some day."""
    (place,) = places(1)
    start(netns, [(place, process(command))])

    def restart():
        netns.set_condition("node-0", Condition.KILLED)
        netns.set_condition("node-0", Condition.RUNNING)

    restart()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        restart()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_node_that_ignores_sigterm_is_killed_within_its_grace(netns, places, command):
    (place,) = places(1)
    deaf = process(command, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1000; done")
    running = start(netns, [(place, deaf)])["node-0"]
    until(lambda: processes.log_of(place).read_text() == "deaf\n")
    began = time.monotonic()
    netns.set_condition("node-0", Condition.STOPPED)
    assert is_readable(running.pidfd)
    assert resident.TERMINATE_GRACE_S <= time.monotonic() - began < resident.TERMINATE_GRACE_S + 3


def test_a_node_that_exits_at_sigterm_is_not_kept_waiting(netns, places, command):
    (place,) = places(1)
    polite = process(
        command, "sh", "-c", "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    )
    start(netns, [(place, polite)])
    until(lambda: "up" in processes.log_of(place).read_text())
    netns.set_condition("node-0", Condition.STOPPED)
    said = processes.log_of(place).read_text().splitlines()
    # The signal reaches its child too, and the shell may say so.
    assert [line for line in said if line != "Terminated"] == ["up", "saved"]


@pytest.mark.parametrize("zygote", [(), ("meshnode", "zygote")])
def test_how_a_node_ended_is_known(netns, places, zygote):
    """Also of the second of two lives; a program that is executed dies of a broken pipe, as from a
    shell.
    """
    made = places(2)
    quitter = process(zygote, "sh", "-c", "sleep 1; exit 3")
    piped = process(zygote, "sh", "-c", "sleep 1; kill -PIPE $$; sleep 1000")
    found = start(netns, [(made[0], quitter), (made[1], piped)])
    assert all(is_readable(running.pidfd, 10) for running in found.values())
    assert netns.ending("node-0") == Ending(code=3)
    assert netns.ending("node-1") == Ending(signal=13)
    assert netns.ending("node-1").words == "signal 13 (SIGPIPE)"
    again = netns.set_condition("node-0", Condition.RUNNING)
    assert is_readable(again.pidfd, 10)
    assert netns.ending("node-0") == Ending(code=3)


def test_a_refusal_carries_the_last_log_lines_of_the_node(netns, places, command):
    with pytest.raises(
        NodeStartError,
        match=r"(?s)node-0 could not be started: refused; its last log lines:\n    no such luck",
    ):
        start(netns, [(places(1)[0], process(command, "refuse"))])


def test_a_zygote_that_dies_takes_its_nodes_along(netns, places, command):
    """What is under way fails."""
    made = places(2)
    living = start(netns, [(made[0], process(command))])["node-0"]
    with pytest.raises(
        UnavailableError, match=r"(?s)node-1.*zygote has ended.*the zygote fell over"
    ):
        start(netns, [(made[1], process(command, "die"))])
    assert is_readable(living.pidfd, 5)
    with pytest.raises(UnavailableError, match="zygote has ended"):
        netns.set_condition("node-0", Condition.RUNNING)


def test_a_zygote_that_does_not_exist_is_named(netns, places):
    with pytest.raises(UnavailableError, match="'no-such-zygote' is needed and not installed"):
        start(netns, [(places(1)[0], process(("no-such-zygote",)))])


def test_start_refuses_a_helper_thread(netns, places, command):
    (place,), errors = places(1), []

    def run():
        try:
            start(netns, [(place, process(command))])
        except HarnessError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "PR_SET_PDEATHSIG" in errors[0]


def test_execute_runs_beside_the_node_with_the_descriptors_given(netns, places, command):
    (place,) = places(1)
    start(netns, [(place, process(command))])
    reader, writer = os.pipe()
    pid = netns.execute("node-0", ["readlink", "/proc/self/ns/net"], (0, writer, 2))
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    with os.fdopen(reader) as output:
        assert output.read() == f"net:[{os.fstat(place.namespace).st_ino}]\n"
    with pytest.raises(UsageError, match="'no-such-program' cannot be run beside node node-0"):
        netns.execute("node-0", ["no-such-program"], (0, 1, 2))
    with pytest.raises(UsageError, match="there is no node 'node-9'"):
        netns.execute("node-9", ["true"], (0, 1, 2))


def test_close_ends_every_process_and_closes_every_descriptor(tmp_path, places, command):
    made = places(5)
    before = len(os.listdir("/proc/self/fd"))
    netns = NetnsRuntime(label="t-close", state=tmp_path)
    found = start(netns, [(place, process(command)) for place in made])
    netns.close()
    for running in found.values():
        assert not Path(f"/proc/{running.pid}").exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_zygote_of_meshnode_does_the_same(netns, places):
    made = places(3)
    shell = process(
        ("meshnode", "zygote"),
        "sh",
        "-c",
        'echo "$GREETING from $HARNESS_CLUSTER"; exec sleep 1000',
    )
    found = start(netns, [(place, shell) for place in made])
    for place in made:
        running = found[place.node.name]
        assert inode(f"/proc/{running.pid}/ns/net") == os.fstat(place.namespace).st_ino
        until(lambda place=place: processes.log_of(place).read_text() == "hello from t-netns\n")
        masks = [
            line.split()[1]
            for line in Path(f"/proc/{running.pid}/status").read_text().splitlines()
            if line.startswith("Cap")
        ]
        assert len(masks) == 5
        assert not any(int(mask, 16) & SYS_ADMIN for mask in masks)
    netns.set_condition("node-1", Condition.STOPPED)
    again = netns.set_condition("node-1", Condition.RUNNING)
    assert inode(f"/proc/{again.pid}/ns/net") == os.fstat(made[1].namespace).st_ino
    with pytest.raises(NodeStartError, match=r"node-2.*no-such-program"):
        netns.set_condition("node-2", Condition.STOPPED)
        start(netns, [(made[2], process(("meshnode", "zygote"), "no-such-program"))])


SUPERVISOR = """
import json, os, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from harness.kernel import namespaces
from harness.runtimes.runtime import Image, Place, Process
from harness.runtimes.netns.runtime import NetnsRuntime
from harness.topology.topology import Node
state = Path({state!r})
places = [Place(node=Node(name=f"n{{i}}"), index=i, address="198.18.0.1", directory=state,
                namespace=d)
          for i, d in enumerate(namespaces.create_many(3))]
pids = []
NetnsRuntime(label="t-kill", state=state).start(
    [(place, Process(argv=("sleep", "1000"), image=Image("none"), zygote={zygote!r}))
     for place in places],
    lambda running: pids.append(running.pid))
print(json.dumps(pids), flush=True)
time.sleep(1000)
"""


def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path, command):
    script = SUPERVISOR.format(
        tests=str(Path(__file__).parent), state=str(tmp_path), zygote=command
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as supervisor:
        pids = json.loads(supervisor.stdout.readline())
        assert len(pids) == 3
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        supervisor.kill()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


@pytest.mark.slow
def test_a_thousand_nodes_are_started_and_each_is_told_of_once(netns, places):
    found: list[Running] = []
    netns.start([(place, process(("meshnode", "zygote"))) for place in places(1000)], found.append)
    assert (
        len({running.pid for running in found})
        == len({running.node for running in found})
        == len(found)
        == 1000
    )
