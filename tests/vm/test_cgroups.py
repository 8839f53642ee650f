"""CPU quotas by control groups of version 2, which this kernel alone has: the same limiter as
everywhere.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.faults.limits import UNLIMITED, Limits
from harness.kernel import cgroups
from harness.runtimes.limiting import Limiter

pytestmark = [pytest.mark.vm, pytest.mark.timeout(0)]
MOUNT = Path("/sys/fs/cgroup")


@pytest.fixture
def busy():
    if os.environ.get("HARNESS_IN_MACHINE") != "1":
        pytest.skip("mounts what the machine alone may")
    if not MOUNT.exists():
        pytest.fail(f"{MOUNT}: this kernel has no control groups")
    ctypes.CDLL(None).mount(b"cgroup2", bytes(MOUNT), b"cgroup2", 0, None)
    cgroups.hierarchy.cache_clear()
    cgroups.are_ours.cache_clear()
    endless = "print(flush=True)\nwhile True: pass"
    command = [sys.executable, "-IS", "-c", endless]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # while it is read from the disk, the machine skips time
        yield process
        process.kill()


def test_a_quota_of_version_2_is_kept_and_taken_back(busy):
    there = cgroups.hierarchy()
    assert there is not None
    assert there.version == 2
    assert cgroups.are_ours()
    limiter = Limiter("test", "a", lambda: [busy.pid], lambda _: busy.send_signal(signal.SIGCONT))
    limiter.limit(Limits(cpu=0.2))
    assert limiter.throttle is None  # the kernel does it
    first = limiter.reading()
    assert first.quota == 0.2
    time.sleep(5)
    second = limiter.reading()
    share = (second.cpu_ns - first.cpu_ns) / (second.at_ns - first.at_ns)
    assert share == pytest.approx(0.2, abs=0.05)
    assert second.throttled > first.throttled
    stats = cgroups.open_stats(busy.pid)
    own, *_, root = [cgroups.throttled_us(os.pread(one, 4096, 0)) for one in stats]
    for one in stats:
        os.close(one)
    assert own > 1_000_000, "of five seconds in which it may have a fifth of a core"
    assert not root, "which has no quota"
    limiter.limit(UNLIMITED)
    assert cgroups.found(busy.pid).path == MOUNT
    cgroups.remove_all("test")
    assert cgroups.owners() == []
