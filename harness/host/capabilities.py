"""What this machine and this user can do, found by doing it in a scratch namespace.

The trials run in a child process: it may have to enter a user namespace, which only a process with
one thread can, and whatever it leaves (namespaces, rules, links) ends with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network
from typing import Any

from harness.errors import HarnessError
from harness.host import profilers, programs
from harness.host.preflight import Limits, read_limits
from harness.kernel import trials
from harness.kernel.namespaces import create, enter_user_namespace
from harness.network import injectors
from harness.network.fabric import Fabric, Wire
from harness.network.injectors import BACKENDS, NONE
from harness.topology.topology import Node

_TRIALS_TIMEOUT_S = 60.0
_DOCKER_TIMEOUT_S = 5.0
_SCRATCH_BLOCK = IPv4Network("198.18.0.0/29")

# name → what it is needed for, and how to get it; the order is that of the tables that are printed.
_ROOT = "run as root; in a container started with --cap-add {}"
_MODULE = "a kernel with it: Debian's linux-image-amd64; modprobe {} where it is a module"
_NEEDED_FOR: dict[str, tuple[str, str]] = {
    "user namespaces": (
        "the netns runtime without root",
        "sysctl -w user.max_user_namespaces=10000; a container or AppArmor may forbid them too",
    ),
    "network namespaces": (
        "every runtime: a namespace holds each node",
        "run as root, or allow user namespaces",
    ),
    "veth": ("every runtime: the link between node and hub", _MODULE.format("veth")),
    "routed hub": ("every runtime: traffic between nodes", _MODULE.format("veth")),
    "nftables": (
        "cuts, partitions and loss",
        "apt-get install libnftables1 (Debian), and a kernel with nf_tables",
    ),
    "htb": ("the rate of a path and of a node's download", _MODULE.format("sch_htb")),
    "tbf": ("the rate of a node's upload", _MODULE.format("sch_tbf")),
    "ifb": ("the rate of a node's upload", _MODULE.format("ifb")),
    "netem": (
        "delay, jitter and reordering in the kernel; duplicated and corrupted packets",
        f"{_MODULE.format('sch_netem')}; `harness machine` runs a command where it is",
    ),
    "nfqueue": (
        "delay, jitter and reordering where the kernel has no netem",
        "apt-get install iptables (Debian), and a kernel with nfnetlink_queue",
    ),
    "cgroups": ("pausing and limiting nodes in containers", "run as root, cgroups mounted"),
    "docker": ("the docker runtime", "a Docker engine on this host (Debian: docker.io), and root"),
    "C compiler": (
        "building the helper that enters a prepared namespace, for the docker runtime",
        "apt-get install gcc libc6-dev (Debian)",
    ),
    "CAP_SYS_ADMIN": ("network namespaces without a user namespace", _ROOT.format("SYS_ADMIN")),
    "CAP_NET_ADMIN": (
        "links, rules and qdiscs without a user namespace",
        _ROOT.format("NET_ADMIN"),
    ),
    "CAP_SYS_PTRACE": (
        "counting the descriptors of other users' processes",
        _ROOT.format("SYS_PTRACE"),
    ),
    "CAP_SYS_NICE": ("a delay engine that is on time on a busy host", _ROOT.format("SYS_NICE")),
    "CAP_SYS_RESOURCE": ("raising the hard limit of open files", _ROOT.format("SYS_RESOURCE")),
    **{name: (one.needed_for, one.get) for name, one in programs.PROGRAMS.items()},
    **profilers.needed_for(),
}
# Nfqueue last: its rule stays.
_ON_A_HUB = (
    "routed hub",
    "nftables",
    "htb",
    "tbf",
    "netem",
    "ifb",
    "nfqueue",
)
# Linux/capability.h.
_CAPABILITY_BITS = {
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24,
}

Found = tuple[bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One thing that this machine and user can do, or not; `detail` says how it was seen, or what
    forbids it; `get` how to get it.
    """

    name: str
    available: bool
    detail: str
    needed_for: str
    get: str = ""  # how to get it


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What `probe` found."""

    capabilities: tuple[Capability, ...]
    limits: Limits

    def named(self, name: str) -> Capability:
        """Pick one capability. Raises KeyError for a name that is not probed."""
        return {capability.name: capability for capability in self.capabilities}[name]

    @property
    def backends(self) -> dict[str, str]:
        """Name what serves each impairment here (docs/faults.md); "none" where nothing does."""
        here = {one.name for one in self.capabilities if one.available}
        can = [name for name, row in BACKENDS.items() if row.needs and here.issuperset(row.needs)]
        tried = [
            what
            for what in injectors.impairments()
            if any(BACKENDS[name].needs for name in injectors.candidates(what))
        ]
        return {
            what: next((name for name in injectors.candidates(what) if name in can), NONE)
            for what in tried
        }

    def as_json(self) -> str:
        """Write one JSON object: version 1, ``capabilities`` (list), ``limits`` and
        ``backends``.
        """
        return json.dumps(
            {"version": 1, **dataclasses.asdict(self), "backends": self.backends}, indent=2
        )


def probe() -> Capabilities:
    """Try everything; takes about half a second. Leaves nothing behind but kernel modules that a
    trial caused to load.
    """
    found = {
        **_in_child(),
        "cgroups": _cgroups(),
        "docker": _docker(),
        "C compiler": _compiler(),
        **_process_capabilities(),
        **programs.found(),
        **profilers.found(),
    }
    return Capabilities(
        capabilities=tuple(
            Capability(
                name=name,
                available=found[name][0],
                detail=found[name][1],
                needed_for=needed_for,
                get=get,
            )
            for name, (needed_for, get) in _NEEDED_FOR.items()
        ),
        limits=read_limits(),
    )


# ---- trials in a child process -------------------------------------------------------------------


def _in_child() -> dict[str, Found]:
    command = [
        sys.executable,
        "-c",
        "from harness.host.capabilities import try_kernel; try_kernel()",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TRIALS_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        raise HarnessError(
            f"the trials of this kernel ended with {error.returncode}: "
            f"{error.stderr.strip()[-500:]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError(
            f"the trials of this kernel took more than {_TRIALS_TIMEOUT_S:.0f} s"
        ) from error
    return {
        name: (available, detail) for name, (available, detail) in json.loads(done.stdout).items()
    }


def try_kernel() -> None:
    """Run the trials and print what they found as JSON: the child's part of `probe`."""
    with contextlib.closing(Fabric("capabilities", _SCRATCH_BLOCK)) as fabric:
        print(json.dumps(dict(_kernel(fabric))))


def _kernel(fabric: Fabric) -> Iterator[tuple[str, Found]]:
    yield "user namespaces", _user_namespaces()
    namespaces = _tried(_network_namespaces)
    yield "network namespaces", namespaces
    wires: list[Wire] = []

    def wire() -> str:
        wires.extend(fabric.wire([Node(name="a"), Node(name="b")]))
        return "two nodes were wired to a hub"

    yield "veth", _tried(wire) if namespaces[0] else (False, "needs network namespaces")
    if not wires:
        yield from ((name, (False, "needs veth")) for name in _ON_A_HUB)
        return
    a, b = wires
    tries: dict[str, Callable[[], str]] = {
        "routed hub": partial(trials.forward, a.namespace, b.namespace, b.address),
        "nftables": partial(trials.nftables, fabric.hub),
        **{
            kind: partial(trials.qdisc, fabric.hub, a.ifindex, kind)
            for kind in ("htb", "tbf", "netem")
        },
        "ifb": partial(trials.ifb, fabric.hub),
        "nfqueue": partial(trials.nfqueue, fabric.hub, a.namespace, b.address),
    }
    yield from ((name, _tried(tries[name])) for name in _ON_A_HUB)


def _network_namespaces() -> str:
    where = "made and closed"
    if not _process_capabilities()["CAP_SYS_ADMIN"][0]:
        enter_user_namespace()
        where = "made and closed in a user namespace"
    os.close(create())
    return where


def _user_namespaces() -> Found:
    """Enter a user namespace in a fork, for there is no way back out of one."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        available, detail = _tried(_user_namespace)
        os.write(writer, json.dumps([available, detail]).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    available, detail = json.loads(text)
    return available, detail


def _user_namespace() -> str:
    enter_user_namespace()
    return "entered, with its capabilities"


def _tried(trial: Callable[[], str]) -> Found:
    try:
        return True, trial()
    except (HarnessError, OSError) as error:
        return False, str(error)


# ---- what can be asked directly ------------------------------------------------------------------


def _cgroups() -> Found:
    root = "/sys/fs/cgroup"
    version = 2 if os.path.exists(f"{root}/cgroup.controllers") else 1
    folder = f"{root if version == 2 else root + '/freezer'}/harness-scratch-{os.getpid()}"
    try:
        os.mkdir(folder)
        os.rmdir(folder)
    except OSError as error:
        return False, f"version {version}; a group could not be made: {error.strerror}"
    return True, f"version {version}"


def _compiler() -> Found:
    program = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if program is None:
        return False, "no cc, gcc or clang (Debian package gcc)"
    command = [program, "-static", "-x", "c", "-o", "/dev/null", "-"]
    done = subprocess.run(
        command, input="int main(void) { return 0; }", text=True, capture_output=True, check=False
    )
    if done.returncode:
        return (
            False,
            (
                f"{program} cannot link a static program: "
                f"{(done.stderr.strip().splitlines() or ['no reason'])[-1]}"
            ),
        )
    return True, f"{program} linked a static program"


def _process_capabilities() -> dict[str, Found]:
    with open("/proc/self/status", encoding="utf-8") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return {
        name: (True, "held by this process")
        if effective >> bit & 1
        else (False, "not held by this process")
        for name, bit in _CAPABILITY_BITS.items()
    }


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_DOCKER_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _docker() -> Found:
    """Ask for an engine on a unix socket that runs on this very kernel: remote and desktop engines
    do not.
    """
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        return (
            False,
            f"DOCKER_HOST is {host}: only an engine on this host, on a unix socket, can be used",
        )
    connection = _UnixConnection(host.removeprefix("unix://"))
    try:
        connection.request("GET", "/info")
        response = connection.getresponse()
        info = json.loads(response.read())
        if response.status != http.HTTPStatus.OK:
            return (
                False,
                f"the engine at {host} answered {response.status}: {info.get('message', '')}",
            )
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, f"no engine answers at {host}: {error}"
    finally:
        connection.close()
    return _same_host(info)


def _same_host(info: dict[str, Any]) -> Found:
    """Compare kernels: the engine's is ours where release and memory are the same, the memory to
    the byte. A virtual machine's differ.
    """
    ours = os.uname().release, _meminfo_total_bytes()
    theirs = info.get("KernelVersion"), info.get("MemTotal")
    if theirs != ours:
        return False, (
            f"the engine {info.get('Name')} is on another machine: its kernel is {theirs[0]} "
            f"with {theirs[1]} bytes "
            f"of memory, this one is {ours[0]} with {ours[1]}"
        )
    if os.geteuid():
        return (
            False,
            (
                f"engine {info.get('ServerVersion')} on this host, but entering its containers' "
                "namespaces needs root"
            ),
        )
    return (
        True,
        (
            f"engine {info.get('ServerVersion')} on this host, cgroup version "
            f"{info.get('CgroupVersion', '1')}"
        ),
    )


def _meminfo_total_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
