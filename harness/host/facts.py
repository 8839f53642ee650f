"""What this host is, for a run's metadata."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.host import calibration

VERSIONS = ("p2p-harness", "meshnode", "locust", "pyroute2", "docker", "numpy", "pyarrow", "gevent")


def host_facts() -> dict[str, Any]:
    """Describe this host: kernel, CPU, memory, versions. Two runs are compared only where these
    agree.
    """
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "?",
    )
    kernel, cores = platform.release(), len(os.sched_getaffinity(0))
    found = calibration.read(kernel, model, cores)
    return {
        "kernel": kernel,
        "machine": platform.machine(),
        "cpu": model,
        "cores": cores,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
        **({} if found is None else {"calibration": found}),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "not installed"
