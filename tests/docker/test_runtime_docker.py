"""The docker runtime on the engine of this host; `docker inspect` and /proc are the oracles."""

from __future__ import annotations

import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from harness import runtimes
from harness.errors import HarnessError, NodeStartError, PermissionNeededError, UnavailableError
from harness.faults.fault import Condition
from harness.kernel.proc import is_readable
from harness.runtimes import processes, resident
from harness.runtimes.docker import engine as engine_module
from harness.runtimes.docker import labels, runtime
from harness.runtimes.runtime import Ending, Image

SYS_ADMIN = 1 << 21


def until(holds, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.01)


def named(label, state, *names):
    return labels.container_name(label, state.parent, *names)


def start(made, launches):
    found = {}
    made.start(launches, lambda running: found.setdefault(running.node, running))
    return found


def network_of(pid):
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def capabilities_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")
    }


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_twenty_containers_stand_in_their_own_namespaces(
    make_runtime, places, sleeper, sdk, label, state
):
    made, where = make_runtime(), places(20)
    began = time.monotonic()
    found = start(made, [(place, sleeper()) for place in where])
    print(f"20 containers: {time.monotonic() - began:.2f} s")
    assert len(found) == 20
    host = network_of("self")
    for place in where:
        running = found[place.node.name]
        assert network_of(running.pid) == os.fstat(place.namespace).st_ino != host
        assert all(not mask & SYS_ADMIN for mask in capabilities_of(running.pid).values())
        assert len(capabilities_of(running.pid)) == 5
        inspected = sdk.api.inspect_container(running.container)
        assert inspected["State"]["Pid"] == running.pid
        assert inspected["Name"] == f"/{named(label, state, place.node.name)}"
        assert inspected["Config"]["Labels"] == {
            labels.LABEL: label,
            labels.STATE_LABEL: str(state.parent),
        }
        assert f"HARNESS_CLUSTER={label}" in inspected["Config"]["Env"]
        assert inspected["HostConfig"]["CapAdd"] == ["SYS_ADMIN"]
        assert inspected["HostConfig"]["Privileged"] is False
        until(lambda place=place: processes.log_of(place).read_text() == "up\n")
    facts = made.facts()
    assert facts["nodes_per_container"] == "1"
    assert facts["image_id"] == sdk.images.get(facts["image"]).id


def test_conditions_act_on_the_process(make_runtime, places, sleeper, sdk):
    """A restart enters the same namespace."""
    made, (place,) = make_runtime(), places(1)
    polite = sleeper(
        "import signal, time, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', "
        "flush=True); time.sleep(1000)"
    )
    first = start(made, [(place, polite)])["node-0"]
    until(lambda: processes.log_of(place).read_text() == "up\n")
    made.set_condition("node-0", Condition.PAUSED)
    until(lambda: state_of(first.pid) == "T")
    made.set_condition("node-0", Condition.RUNNING)
    until(lambda: state_of(first.pid) == "S")
    began = time.monotonic()
    made.set_condition("node-0", Condition.STOPPED)
    assert time.monotonic() - began < resident.TERMINATE_GRACE_S
    again = made.set_condition("node-0", Condition.RUNNING)
    assert again.pid != first.pid
    assert again.container == first.container
    assert network_of(again.pid) == os.fstat(place.namespace).st_ino
    assert all(not mask & SYS_ADMIN for mask in capabilities_of(again.pid).values())
    until(lambda: processes.log_of(place).read_text() == "up\nup\n")
    os.kill(again.pid, signal.SIGKILL)  # a crash that the engine has not noticed yet
    assert is_readable(again.pidfd, 5)
    assert made.ending("node-0") == Ending(code=137)  # of a signal the engine says no more
    assert (
        network_of(made.set_condition("node-0", Condition.RUNNING).pid)
        == os.fstat(place.namespace).st_ino
    )
    assert sdk.api.inspect_container(again.container)["State"]["Running"]


def test_only_the_nodes_own_parts_of_the_state_folder_are_inside(
    make_runtime, places, sleeper, state
):
    (state / "secret").write_text("of the supervisor")
    (state / "notify").mkdir()
    where = places(2)
    code = (
        f"import os, time; print(sorted(os.listdir('{state}')), "
        f"sorted(os.listdir('{state}/nodes')), flush=True); time.sleep(1000)"
    )
    start(
        make_runtime(),
        [
            (place, sleeper(code, environment={"NOTIFY_SOCKET": f"{state}/notify/socket"}))
            for place in where
        ],
    )
    for place in where:
        until(
            lambda place=place: (
                processes.log_of(place).read_text()
                == f"['enter', 'nodes', 'notify'] ['{place.node.name}']\n"
            )
        )


def test_execute_runs_a_program_of_the_host_in_the_nodes_network(make_runtime, places, sleeper):
    made, (place,) = make_runtime(), places(1)
    start(made, [(place, sleeper())])
    reader, writer = os.pipe()
    pid = made.execute("node-0", ["readlink", "/proc/self/ns/net"], (0, writer, 2))
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    with os.fdopen(reader) as output:
        assert output.read() == f"net:[{os.fstat(place.namespace).st_ino}]\n"


def test_above_the_bound_nodes_share_containers(make_runtime, places, sleeper):
    """Each keeps a namespace of its own."""
    made, where = make_runtime(packed_above=4, nodes_a_container=3), places(7)
    found = start(made, [(place, sleeper()) for place in where])
    assert len({running.container for running in found.values()}) == 3
    assert made.facts()["nodes_per_container"] == "3"
    for place in where:
        running = found[place.node.name]
        assert network_of(running.pid) == os.fstat(place.namespace).st_ino
        assert all(not mask & SYS_ADMIN for mask in capabilities_of(running.pid).values())
        until(lambda place=place: processes.log_of(place).read_text() == "up\n")
    made.set_condition("node-3", Condition.STOPPED)
    assert not is_readable(found["node-4"].pidfd)
    os.kill(found["node-5"].pid, signal.SIGPIPE)  # it is Python, and hears nothing of it
    os.kill(found["node-5"].pid, signal.SIGKILL)
    assert is_readable(found["node-5"].pidfd, 5)
    assert made.ending("node-5") == Ending(signal=9)
    again = made.set_condition("node-3", Condition.RUNNING)
    assert again.container == found["node-3"].container
    assert network_of(again.pid) == os.fstat(where[3].namespace).st_ino
    made.close()
    assert not any(Path(f"/proc/{running.pid}").exists() for running in found.values())


def test_a_program_that_does_not_exist_is_an_error(make_runtime, places, sleeper, leftovers, state):
    """Nothing is left of it."""
    wrong = replace(sleeper(), argv=("no-such-program",))
    where = places(3)
    with pytest.raises(
        NodeStartError,
        match="node-1 could not be started: enter: no-such-program: No such file or directory",
    ):
        make_runtime().start(
            [(where[0], sleeper()), (where[1], wrong), (where[2], sleeper())], lambda _: None
        )
    assert leftovers() == []
    assert not (state / "enter").exists()


def test_an_engine_that_starts_no_container_is_quoted(
    make_runtime, places, sleeper, leftovers, monkeypatch
):
    """Nothing is left of the container."""
    # Above fs.nr_open: no kernel grants it to anybody.
    monkeypatch.setattr(engine_module, "NOFILE_MAX", 2**31 - 1)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**31 - 1, 2**31 - 1))
    with pytest.raises(
        UnavailableError, match=r"the Docker engine could not start the container node-0: .*rlimit"
    ):
        start(make_runtime(), [(places(1)[0], sleeper())])
    assert leftovers() == []


def test_sweep_removes_exactly_ours_and_close_may_follow(
    make_runtime, places, sleeper, sdk, label, state, leftovers
):
    image = runtime.image.tag(Image("meshnode"))
    foreign = sdk.containers.create(
        image, ["python3"], labels={labels.LABEL: f"{label}-other"}, network_mode="none"
    )
    bystander = sdk.containers.create(image, ["python3"], network_mode="none")
    try:
        made = make_runtime()
        found = start(made, [(place, sleeper()) for place in places(3)])
        names = [named(label, state, f"node-{index}") for index in range(3)]
        assert leftovers() == names
        # The foreign one stands in no state folder of ours.
        assert runtimes.orphans(state.parent) == [label]
        assert runtimes.sweep(label, state.parent) == [f"container {name}" for name in names]
        assert not any(Path(f"/proc/{running.pid}").exists() for running in found.values())
        assert leftovers() == []
        assert runtimes.sweep(label, state.parent) == []
        made.close()
        for other in (foreign, bystander):
            other.reload()
    finally:
        foreign.remove(force=True)
        bystander.remove(force=True)


def test_a_namesake_in_another_state_folder_lives_on(
    make_runtime, places, sleeper, label, state, leftovers
):
    """It starts beside ours, and outlives a sweep and a close of ours."""
    theirs, other = state / "theirs", state / "theirs" / label
    other.mkdir(parents=True)
    namesake = runtime.DockerRuntime(label=label, state=other)
    try:
        first, second = places(2)
        found = start(namesake, [(first, sleeper())])["node-0"]
        ours = make_runtime()
        start(ours, [(replace(second, node=first.node), sleeper())])
        assert len(leftovers()) == 2
        assert runtimes.sweep(label, state.parent) == [f"container {named(label, state, 'node-0')}"]
        ours.close()
        assert leftovers() == [labels.container_name(label, theirs, "node-0")]
        assert not is_readable(found.pidfd)
    finally:
        namesake.close()


def test_output_that_cannot_be_copied_is_said_in_the_log_and_to_the_caller(engine, tmp_path):
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with pytest.raises(UnavailableError, match="No such container"):
        engine.copy_output("nobody-s-container", log, 1.0)
    assert (tmp_path / "log").read_text().startswith("harness: the Docker engine could not follow")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(log)


def test_close_removes_all_and_closes_every_descriptor(make_runtime, places, sleeper, leftovers):
    where = places(2)
    before = len(os.listdir("/proc/self/fd"))
    made = make_runtime()
    start(made, [(place, sleeper()) for place in where])
    made.close()
    made.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert leftovers() == []
    with pytest.raises(HarnessError):
        made.set_condition("node-0", Condition.RUNNING)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://somewhere"])
def test_a_remote_engine_is_refused(monkeypatch, host):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(
        UnavailableError, match=f"DOCKER_HOST is {host}: expected an engine on this host"
    ):
        runtime.connect()


def test_an_engine_on_another_machine_is_refused(engine, monkeypatch):
    """Its socket may be on this one."""
    told = docker.APIClient.info
    monkeypatch.setattr(
        docker.APIClient,
        "info",
        lambda self: {**told(self), "Name": "docker-desktop", "OperatingSystem": "Docker Desktop"},
    )
    with pytest.raises(
        UnavailableError,
        match=r"runs on docker-desktop \(Docker Desktop, .*expected one of root on this very host",
    ):
        runtime.connect()


def test_no_engine_is_one_sentence_and_auto_is_netns(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(
        UnavailableError,
        match=r"no Docker engine answers at unix://.*nobody\.sock: No such file or directory",
    ):
        runtime.connect()
    assert runtimes.choose("auto") == "netns"
    assert runtimes.sweep("any", tmp_path) == []


def test_auto_is_docker_where_an_engine_answers(engine):
    assert runtimes.choose("auto") == "docker"
    assert runtimes.named("docker") is runtime.DockerRuntime


def test_without_root_the_error_says_so(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PermissionNeededError, match="needs root"):
        runtime.connect()
