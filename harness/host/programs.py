"""Programs that the harness starts or builds with: what each is for, and how to get it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from harness.network.injectors import toxiproxy_server
from harness.runtimes import builds, compiled
from harness.runtimes.machine.image import PROGRAMS as OF_THE_MACHINE
from harness.systems import adapters
from harness.systems.adapters import command_file

Found = tuple[bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program by any of its names, what it is needed for, and how to get it."""

    names: tuple[str, ...]
    needed_for: str
    get: str

    def find(self) -> Found:
        """Say whether it is here, and where, or under which names it was looked for."""
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        for name in self.names:
            if (found := shutil.which(name, path=path)) is not None:
                return True, found
        return False, f"no {' or '.join(self.names)} on PATH"


def _debian(package: str) -> str:
    return f"apt-get install {package} (Debian)"


def _machine(program: str) -> Program:
    return Program(
        names=(program,),
        needed_for="the machine: netem on a kernel without it (`harness machine`, make test-vm)",
        get=_debian(OF_THE_MACHINE[program]),
    )


TOXIPROXY = "Toxiproxy"
NATS = "nats-server"
PROGRAMS: dict[str, Program] = {
    TOXIPROXY: Program(
        names=("toxiproxy-server",),
        needed_for="faults of streams (--toxic)",
        get="make setup: found on PATH, built with Go, or taken out of its published image",
    ),
    "go": Program(
        names=("go",),
        needed_for="building Toxiproxy's server, and the system nats, where they are not on PATH",
        get=_debian("golang-go"),
    ),
    "iptables": Program(
        names=("iptables-legacy", "iptables-nft", "iptables"),
        needed_for="the rule of nfqueue: delay, jitter, reordering where the kernel has no netem",
        get=_debian("iptables"),
    ),
    "iperf3": Program(
        names=("iperf3",),
        needed_for="phases of scenarios that measure goodput with it",
        get=_debian("iperf3"),
    ),
    "dhtnode": Program(names=("dhtnode",), needed_for="the system opendht", get=_debian("dhtnode")),
    "serf": Program(names=("serf",), needed_for="the system serf", get=_debian("serf")),
    "redis-server": Program(
        names=("redis-server",), needed_for="the system redis", get=_debian("redis-server")
    ),
    "cargo": Program(
        names=("cargo",),
        needed_for="building the system libp2p, once (`harness run libp2p`)",
        get="rustup, or apt-get install cargo where Debian's is 1.88 or newer",
    ),
    NATS: Program(
        names=(NATS,),
        needed_for="the system nats (`harness run nats`)",
        get=f"Go 1.25 or newer, which builds it on first use, or {_debian(NATS)}",
    ),
    "curl": Program(names=("curl",), needed_for="the tests of other systems", get=_debian("curl")),
    "QEMU": _machine("qemu-system-x86_64"),
    "busybox": _machine("busybox"),
    "kmod": _machine("depmod"),
    "Chromium": Program(
        names=("chromium",),
        needed_for="the tests of pages in a real browser (make test-browser)",
        get=_debian("chromium"),
    ),
    "Prometheus": Program(
        names=("prometheus",),
        needed_for="the tests of `harness metrics`, and dashboards without Docker",
        get=_debian("prometheus"),
    ),
}


def found() -> dict[str, Found]:
    """Look for every program: name → whether it is here, and where. Starts and makes nothing."""
    here = {name: one.find() for name, one in PROGRAMS.items()}
    return {**here, TOXIPROXY: _toxiproxy(), NATS: _built("nats")}


def _toxiproxy() -> Found:
    """Toxiproxy's server may be in our cache too."""
    here = toxiproxy_server.find()
    return (True, here) if here else (False, "no toxiproxy-server on PATH or in our cache")


def _built(system: str) -> Found:
    """What a shipped command file has built may be in our cache too."""
    build = command_file.read(compiled.shipped(adapters.TABLE[system])).start.build
    assert build is not None
    here = builds.find(build)
    return (True, str(here)) if here else (False, f"no {build.program} on PATH or in our cache")
