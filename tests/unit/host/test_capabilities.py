"""Whether a cluster fits, decided without a kernel; and the answers of a fake engine on a real unix
socket.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from harness import runtimes
from harness.errors import PreflightError, UsageError
from harness.host import capabilities
from harness.host import preflight as preflight_module
from harness.host.capabilities import Capabilities, Capability, probe
from harness.host.preflight import Limits, preflight, read_limits
from harness.runtimes.runtime import Cost

ROOMY = Limits(
    open_files=1_000_000,
    pids=4_194_304,
    threads=4_000_000,
    tasks_now=200,
    network_namespaces=1_000_000,
    cgroup_tasks=None,
    memory_available_bytes=10**12,
)


def cost(name: str, nodes: int, **settings: int) -> Cost:
    """What a runtime says that so many nodes take."""
    return runtimes.named(name)(label="t", state=Path("t"), **settings).cost(nodes)


def limits(**changed: int | None) -> Limits:
    values = {name: getattr(ROOMY, name) for name in Limits.__slots__}
    return Limits(**{**values, **changed})


@pytest.mark.parametrize(
    ("name", "enough", "says"),
    [
        (
            "open_files",
            9_200,
            (
                r"open files \(hard limit\): found 9,199, needed 9,200: `ulimit -Hn 9200` as root, "
                r"or LimitNOFILE=9200"
            ),
        ),
        (
            "pids",
            1_200,
            r"kernel.pid_max: found 1,199, needed 1,200: `sysctl -w kernel.pid_max=1200`",
        ),
        (
            "threads",
            1_200,
            r"kernel.threads-max: found 1,199, needed 1,200: `sysctl -w kernel.threads-max=1200`",
        ),
        (
            "network_namespaces",
            1_001,
            (
                r"user.max_net_namespaces: found 1,000, needed 1,001: `sysctl -w "
                r"user.max_net_namespaces=1001`"
            ),
        ),
        (
            "cgroup_tasks",
            1_000,
            r"tasks left in this cgroup \(pids.max\): found 999, needed 1,000: raise pids.max",
        ),
        (
            "memory_available_bytes",
            5_000_000_000,
            r"memory available in MB: found 4,999, needed 5,000: fewer nodes \(999 fit\)",
        ),
    ],
)
def test_a_thousand_nodes_fit_to_the_last_one(name, enough, says):
    preflight(1000, "netns", cost("netns", 1000), limits(**{name: enough}))
    with pytest.raises(PreflightError, match=says) as error:
        preflight(1000, "netns", cost("netns", 1000), limits(**{name: enough - 1}))
    assert str(error.value).count("found") == 1


@pytest.mark.parametrize(
    ("settings", "tasks", "memory_bytes"),
    [
        ({"packed_above": 1000}, 14 * 1000, 20 * 10**9),
        ({}, 14 * 100 + 1000, 8 * 10**9),
        ({"nodes_a_container": 300}, 14 * 4 + 1000, 8 * 10**9),
    ],
)
def test_containers_cost_more_and_packing_saves(settings, tasks, memory_bytes):
    takes = cost("docker", 1000, **settings)
    enough = limits(cgroup_tasks=tasks, memory_available_bytes=memory_bytes)
    preflight(1000, "docker", takes, enough)
    for short in ({"cgroup_tasks": tasks - 1}, {"memory_available_bytes": memory_bytes - 10**6}):
        with pytest.raises(PreflightError):
            preflight(1000, "docker", takes, limits(**short))


@pytest.mark.parametrize("runtime", ["netns", "docker"])
def test_a_hundred_thousand_nodes_are_refused(runtime):
    """The error names every limit of a common machine that is too small."""
    common = limits(
        open_files=524_288,
        pids=32_768,
        network_namespaces=96_365,
        memory_available_bytes=24 * 10**9,
    )
    with pytest.raises(PreflightError, match="this host cannot hold 100,000 nodes") as error:
        preflight(100_000, runtime, cost(runtime, 100_000), common)
    for what in ("open files", "kernel.pid_max", "user.max_net_namespaces", "memory"):
        assert what in str(error.value)


def test_what_no_sysctl_can_give_is_said():
    with pytest.raises(PreflightError, match="no kernel allows so many"):
        preflight(1_000_000, "docker", cost("docker", 1_000_000, packed_above=10**6), ROOMY)


def test_an_unknown_runtime_is_the_callers_fault():
    known = ", ".join(runtimes.TABLE)
    with pytest.raises(UsageError, match=f"expected one of {known}.*found 'vm'"):
        runtimes.choose("vm")


def test_the_limits_of_this_host_are_read():
    found = read_limits()
    assert 0 < found.tasks_now < found.threads
    assert (
        0 < found.memory_available_bytes < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    with open("/proc/sys/kernel/pid_max") as file:
        assert found.pids == int(file.read())
    preflight(1, "netns", cost("netns", 1), found)


def test_cgroup_limits_are_numbers_or_none(tmp_path):
    for folder, limit, usage in (("", "max", "5"), ("a", "100", "40"), ("a/b", "1000", "10")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "pids.max").write_text(limit)
        (tmp_path / folder / "pids.current").write_text(usage)
    left = [
        preflight_module._number(f"{tmp_path}/{folder}", ("no-such", "pids.max"))
        for folder in ("", "a", "a/b")
    ]
    assert left == [None, 100, 1000]


def test_json_has_a_version_and_everything():
    one = Capability(name="veth", available=True, detail="made", needed_for="links", get="a kernel")
    data = json.loads(Capabilities(capabilities=(one,), limits=ROOMY).as_json())
    assert data["version"] == 1
    assert data["capabilities"] == [
        {
            "name": "veth",
            "available": True,
            "detail": "made",
            "needed_for": "links",
            "get": "a kernel",
        }
    ]
    assert data["limits"]["pids"] == 4_194_304


@pytest.mark.parametrize(
    ("change", "available", "says"),
    [
        ({}, os.geteuid() == 0, "on this host"),
        (
            {"KernelVersion": "6.6.0-linuxkit"},
            False,
            "on another machine: its kernel is 6.6.0-linuxkit",
        ),
        ({"MemTotal": 8_000_000_000}, False, "with 8000000000 bytes"),
    ],
)
def test_only_an_engine_on_this_kernel_counts(tmp_path, monkeypatch, change, available, says):
    ours = {
        "KernelVersion": os.uname().release,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    }
    body = json.dumps({"Name": "other", "ServerVersion": "20.10", **ours, **change}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()

        def answer() -> None:
            with server.accept()[0] as connection:
                assert connection.recv(4096).startswith(b"GET /info HTTP/1.1\r\n")
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        found, detail = capabilities._docker()
        thread.join()
    assert found is available
    assert says in detail


def test_a_remote_engine_and_none_at_all_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert capabilities._docker() == (
        False,
        (
            "DOCKER_HOST is tcp://192.0.2.1:2375: only an engine on this host, on a unix socket, "
            "can be used"
        ),
    )
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    found, detail = capabilities._docker()
    assert not found
    assert detail.startswith(f"no engine answers at unix://{tmp_path}/none: ")


@pytest.mark.root
def test_everything_is_probed_and_nothing_is_left_open():
    before = sorted(os.listdir("/proc/self/fd"))
    found = probe()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert [capability.name for capability in found.capabilities] == list(capabilities._NEEDED_FOR)
    for name in ("network namespaces", "veth", "routed hub", "nftables", "tbf"):
        assert found.named(name).available, found.named(name)
    assert all(capability.detail for capability in found.capabilities)
