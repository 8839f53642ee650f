"""What a test of namespaces must not leave behind, told from what other programs do on this host at
the same time.
"""

from __future__ import annotations

import gc
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process has as many open descriptors after the body as before.

    What earlier tests left to the collector is collected first: it must not end in the body.
    """
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


def inode(namespace: int) -> int:
    """The number by which lsns knows the namespace."""
    return os.fstat(namespace).st_ino


def output(*argv: str) -> str:
    """What a command prints; it must end with 0."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def in_namespace(namespace: int, *argv: str) -> str:
    """What a command prints in the namespace, entered by nsenter and not by our code."""
    return output("nsenter", f"--net=/proc/{os.getpid()}/fd/{namespace}", *argv)


def eventually(holds: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Poll until it holds; the kernel takes namespaces down in the background."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"did not hold within {within_s} s"
        time.sleep(0.02)
