"""What this host is, for a run's metadata."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "not installed"
