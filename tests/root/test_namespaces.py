"""Namespaces without names, threads that enter them, user namespaces, and netlink's errors.
Oracles: ip, lsns, sysctl by nsenter.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.leftovers import eventually, in_namespace, inode, no_descriptor_left

from harness.errors import HarnessError, PermissionNeededError, UsageError
from harness.kernel import namespaces, netlink
from harness.kernel.nft import Nft

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def namespace():
    with no_descriptor_left():
        descriptor = namespaces.create()
        yield descriptor
        os.close(descriptor)


def own() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_a_namespace_is_new_and_has_no_name_and_no_ipv6(namespace):
    assert inode(namespace) != own()
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    assert inode(namespace) not in {os.stat(f"/run/netns/{name}").st_ino for name in names}
    for which in ("all", "default"):
        assert (
            in_namespace(namespace, "sysctl", "-n", f"net.ipv6.conf.{which}.disable_ipv6").strip()
            == "1"
        )


def test_only_the_calling_thread_is_inside(namespace):
    outside = own()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(own).result() == outside  # the thread exists from here on
        with namespaces.inside(namespace):
            assert own() == inode(namespace)
            assert other.submit(own).result() == outside
    assert own() == outside


def test_the_thread_comes_back_after_an_error(namespace):
    outside = own()
    with contextlib.suppress(KeyError), namespaces.inside(namespace):
        raise KeyError
    assert own() == outside


def test_a_descriptor_that_is_no_namespace_is_refused_by_name(tmp_path):
    with open(tmp_path / "file", "w") as file:
        expected = pytest.raises(HarnessError, match=f"descriptor {file.fileno()}: ")
        with expected, namespaces.inside(file.fileno()):
            pass


def test_a_socket_stays_in_its_namespace(namespace):
    with contextlib.closing(netlink.Netlink(namespace)) as kernel:
        kernel.do([netlink.set_up(1)], where="scratch")
    with namespaces.open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert f"127.0.0.1:{port}" in in_namespace(namespace, "ss", "-Htln")
        assert (
            f"127.0.0.1:{port} "
            not in subprocess.run(
                ["ss", "-Htln"], capture_output=True, text=True, check=True
            ).stdout
        )


def test_commands_from_many_threads_run_in_the_namespace(namespace, tmp_path):
    wrong = []

    def run(index: int) -> None:
        with open(os.devnull) as nothing, open(tmp_path / str(index), "w+") as answer:
            stdio = (nothing.fileno(), answer.fileno(), answer.fileno())
            child = namespaces.spawn_in(
                namespace,
                ["readlink", "/proc/self/ns/net"],
                stdio=stdio,
                environment={"PATH": os.environ["PATH"]},
            )
            child.wait()
            answer.seek(0)
            text = answer.read().strip()
            if text != f"net:[{inode(namespace)}]":
                wrong.append(text)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_command_that_is_not_there_is_the_users_fault(namespace):
    with pytest.raises(UsageError, match="no-such-program"):
        namespaces.spawn_in(namespace, ["no-such-program"], stdio=(0, 1, 2))


def test_a_namespace_ends_with_its_last_descriptor(namespace):
    with no_descriptor_left():
        descriptor = namespaces.create()
        in_namespace(
            descriptor,
            "ip",
            "link",
            "add",
            "here",
            "type",
            "veth",
            "peer",
            "name",
            "there",
            "netns",
            f"/proc/{os.getpid()}/fd/{namespace}",
        )
        child = namespaces.spawn_in(descriptor, ["sleep", "60"], stdio=(0, 1, 2))
        os.close(descriptor)
        assert "there" in in_namespace(namespace, "ip", "link")
        child.kill()
        child.wait()
        # Its numbers return at once, to whoever asks.
        eventually(lambda: "there" not in in_namespace(namespace, "ip", "link"))


def test_none_is_left_where_descriptors_run_out():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with no_descriptor_left():
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
        try:
            with pytest.raises(HarnessError, match="ulimit -n"):
                namespaces.create_many(100)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_netlink_names_what_was_refused_and_where(namespace):
    with contextlib.closing(netlink.Netlink(namespace)) as kernel:
        messages = [
            netlink.address(1, "198.18.0.1"),
            netlink.address(1, "198.18.0.1"),
            netlink.address(77, "198.18.0.2"),
        ]
        with pytest.raises(
            HarnessError,
            match=r"the namespace of node-7: address 198\.18\.0\.1 on link 1: .*2 of 3 were "
            r"refused",
        ):
            kernel.do(messages, where="the namespace of node-7")
    assert "198.18.0.1/32" in in_namespace(namespace, "ip", "-o", "address")


def test_more_messages_than_one_batch(namespace):
    with contextlib.closing(netlink.Netlink(namespace)) as kernel:
        kernel.do(
            [netlink.address(1, f"198.18.{i // 250}.{i % 250 + 1}") for i in range(1500)],
            where="scratch",
        )
    assert in_namespace(namespace, "ip", "-o", "-4", "address").count("198.18.") == 1500


def test_an_nft_transaction_is_all_or_nothing(namespace):
    with contextlib.closing(Nft(namespace)) as nft:
        nft.run("add table ip kept")
        with pytest.raises(HarnessError, match="nftables refused"):
            nft.run("add table ip lost\nadd rule ip lost nowhere drop")
        assert "kept" in in_namespace(namespace, "nft", "list", "tables")
        assert "lost" not in nft.run("list tables")


def test_a_process_with_threads_cannot_enter_a_user_namespace():
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(HarnessError, match="one thread"):
            namespaces.enter_user_namespace()
    finally:
        release.set()
        thread.join()


def test_a_refusal_says_which_sysctl(monkeypatch):
    values = {"user/max_user_namespaces": "0"}

    def read(name: str) -> str:
        if name not in values:
            raise FileNotFoundError(errno.ENOENT, name)
        return values[name]

    monkeypatch.setattr(namespaces, "read_sysctl", read)
    said = namespaces._why_no_user_namespace(OSError(errno.ENOSPC, "No space left on device"))
    assert (
        said == "Root is needed, or a user namespace, which user.max_user_namespaces = 0 "
        "forbids: `sysctl -w user.max_user_namespaces=10000`."
    )


def test_without_privileges_there_is_no_namespace():
    """A child that has dropped every capability tries to make one."""
    code = (
        "from harness.kernel.namespaces import create\ntry: create()\nexcept Exception as e: "
        "print(type(e).__name__, e)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=REPOSITORY,
    )
    assert done.stdout.startswith(
        f"{PermissionNeededError.__name__} network namespace 1 of 1 could not be made"
    )
    assert "CAP_SYS_ADMIN" in done.stdout
