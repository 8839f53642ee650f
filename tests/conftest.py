"""What every test may rely on: a capability that is missing is a skip with a reason, or an error
where all are required.
"""

from __future__ import annotations

import os
import shutil
import signal
from functools import partial
from typing import Any

import pytest

# A shell has SIGINT ignored in what it runs by `&`, and so would everything that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_ALL = os.environ.get("HARNESS_REQUIRE_ALL") == "1"


def pytest_configure(config: pytest.Config) -> None:
    """No test asserts a time that a busy host can stretch, and those of Hypothesis least of all."""
    if config.pluginmanager.hasplugin("hypothesispytest"):  # in the machine its import takes long
        from hypothesis import HealthCheck, settings

        slow = [HealthCheck.too_slow]
        settings.register_profile("busy host", deadline=None, suppress_health_check=slow)
        settings.load_profile("busy host")


def _root() -> str | None:
    return None if os.geteuid() == 0 else "needs root (or run in a user namespace)"


def _docker() -> str | None:
    from harness.errors import HarnessError
    from harness.runtimes.docker import runtime

    try:
        runtime.connect().close()
    except HarnessError as error:
        return f"needs a Docker engine: {error}"
    return None


def _browser() -> str | None:
    return None if shutil.which("chromium") else "needs Chromium (Debian: apt-get install chromium)"


def _prometheus() -> str | None:
    lacking = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
    return f"needs {', '.join(lacking)} (Debian: apt-get install prometheus)" if lacking else None


def _profiler(name: str) -> str | None:
    from harness import profiles
    from harness.errors import HarnessError

    try:
        profiles.named(name).require()
    except HarnessError as error:
        return str(error)
    return None


def _registry() -> str | None:
    return (
        None
        if shutil.which("docker-registry")
        else "needs a registry server (Debian: apt-get install docker-registry)"
    )


def _systems() -> str | None:
    lacking = [program for program in ("dhtnode", "serf", "curl") if shutil.which(program) is None]
    return f"needs {', '.join(lacking)} (Debian packages of those names)" if lacking else None


def _redis() -> str | None:
    found = shutil.which("redis-server")
    return None if found else "needs Redis (Debian: apt-get install redis-server)"


def _netem() -> str | None:
    from harness.kernel import trials
    from harness.kernel.namespaces import create

    if _root():
        return _root()
    namespace = create()
    try:
        trials.qdisc(namespace, 1, "netem")
    except Exception as error:  # whatever it is: there is none to be had
        return (
            f"needs netem in the kernel ({error}); `make test-vm` runs these in a machine "
            "that has it"
        )
    finally:
        os.close(namespace)
    return None


def _toxiproxy() -> str | None:
    from harness.errors import HarnessError
    from harness.network.injectors import toxiproxy_server

    try:
        toxiproxy_server.server()
    except HarnessError as error:
        return str(error)
    return None


def _go() -> str | None:
    return None if shutil.which("go") else "needs Go (Debian: apt-get install golang-go)"


def _cargo() -> str | None:
    return None if shutil.which("cargo") else "needs cargo (rustup, or Debian's where new enough)"


def _nats() -> str | None:
    is_here = shutil.which("nats-server") or shutil.which("go")
    return None if is_here else "needs nats-server (Debian's, or Go to build it)"


def _machine() -> str | None:
    from harness.errors import HarnessError
    from harness.runtimes.machine import image

    try:
        image()
    except HarnessError as error:
        return str(error)
    return None


NEEDS = {
    "machine": _machine,
    "go": _go,
    "cargo": _cargo,
    "nats": _nats,
    "toxiproxy": _toxiproxy,
    "vm": _netem,
    "root": _root,
    "systems": _systems,
    "redis": _redis,
    "docker": _docker,
    "browser": _browser,
    "prometheus": _prometheus,
    "py_spy": partial(_profiler, "py-spy"),
    "perf": partial(_profiler, "perf"),
    "memray": partial(_profiler, "memray"),
    "heaptrack": partial(_profiler, "heaptrack"),
    "registry": _registry,
}


@pytest.fixture(scope="session")
def missing() -> dict[str, str | None]:
    """Marker → what is missing for it here, found by trying, once."""
    return {}


@pytest.fixture(autouse=True)
def _capable(request: pytest.FixtureRequest, missing: dict[str, str | None]) -> None:
    for marker, probe in NEEDS.items():
        if request.node.get_closest_marker(marker) is None:
            continue
        if marker not in missing:
            missing[marker] = probe()
        reason = missing[marker]
        if reason is not None:
            if REQUIRE_ALL:
                pytest.fail(f"HARNESS_REQUIRE_ALL=1 and {reason}")
            pytest.skip(reason)


@pytest.fixture
def net():
    """Makes a fabric with its network (kit.network.Net); closed afterwards."""
    from kit.network import Net

    made: list[Net] = []

    def make(count: int = 4, **settings: Any) -> Net:
        made.append(Net(count, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
