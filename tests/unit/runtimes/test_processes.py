"""Nodes as processes of this host: real ones, in no namespace of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import HarnessError
from harness.faults.fault import Condition
from harness.faults.limits import UNLIMITED
from harness.kernel.proc import is_readable
from harness.runtimes.limiting import Limiter
from harness.runtimes.processes import HostProcesses, Resident
from harness.runtimes.runtime import Image, Place, Process, Running
from harness.topology.topology import Node


class Sleepers(HostProcesses):
    """A runtime of processes that sleep."""

    def _spawn(self, place: Place, process: Process) -> Running:
        made = self.made = subprocess.Popen(process.argv)
        return Running(node=place.node.name, pid=made.pid, pidfd=os.pidfd_open(made.pid))

    ending: Any = None


def test_a_node_that_cannot_be_limited_as_it_starts_does_not_run(tmp_path: Path) -> None:
    """It ran on, and was down for everybody."""
    runtime = cast("Any", Sleepers)(label="sleepers", state=tmp_path)
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    place = Place(
        node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=namespace
    )

    def refused(_: object) -> None:
        raise HarnessError("no group is to be had")

    limiter = cast("Limiter", SimpleNamespace(limit=refused, limits=UNLIMITED, throttle=None))
    process = Process(argv=("sleep", "600"), image=Image("sleep"))
    runtime._residents["a"] = Resident(place, process, runtime._census, limiter=limiter)
    with pytest.raises(HarnessError, match="no group"):
        runtime.set_condition("a", Condition.RUNNING)
    [pidfd] = runtime._pidfds
    assert is_readable(pidfd, 60.0)
    runtime.made.wait()
    os.close(namespace)
