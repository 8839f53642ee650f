"""Clocks of nodes' own: a library that is preloaded into a node's program adds an offset to the
wall clock that the program reads (docker/clock/clock.c).

The offset stands in a page that the node's processes and this one share, and so does what the
library told the program. No time passes otherwise: CLOCK_MONOTONIC is everybody's.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UnavailableError
from harness.network.proof.limits import Told
from harness.runtimes import compiled
from harness.runtimes.runtime import Place, Process

FOLDER, LIBRARY, PAGE = ".clock", "clock.so", "page"
PAGE_BYTES = mmap.PAGESIZE
FIELDS = struct.Struct("=4q")  # struct page of clock.c: offset, told_ns, told, loaded
OFFSET, TOLD = slice(0, 8), slice(16, 24)
FLAGS = ("-shared", "-fPIC", "-O2", "-pthread")


class Clocks:
    """The clocks of a cluster's nodes that have one."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._folders = {
            place.node.name: place.directory / FOLDER for place in places if place.node.own_clock
        }
        self._pages: dict[str, mmap.mmap] = {}

    @property
    def paths(self) -> list[Path]:
        """What stands in the nodes' directories for it."""
        parts = ("", LIBRARY, PAGE)
        return [folder / part for folder in self._folders.values() for part in parts]

    def give(self, launches: Sequence[tuple[Place, Process]]) -> list[tuple[Place, Process]]:
        """Put a clock into the directory of each node that is to have one, and return what nodes
        start as. Raises UnavailableError where the library cannot be compiled.
        """
        found = list[tuple[Place, Process]]()
        for place, process in launches:
            folder = self._folders.get(place.node.name)
            if folder is not None:
                self._pages[place.node.name] = _made(folder)
            found.append((place, process if folder is None else _with_clock(process, folder)))
        return found

    def require(self, node: str) -> None:
        """Raise UnavailableError where a node's program has never loaded the library."""
        if not self._told(node).loaded:
            raise UnavailableError(
                f"clock: the program of {node} has not loaded {LIBRARY}, and so asks the kernel "
                "itself for the time: a static program, or one of another C library"
            )

    def limit(self, node: str, offset_s: float | None) -> None:
        """Have a node's clock be so far ahead."""
        if (page := self._pages.get(node)) is not None:
            page[OFFSET] = struct.pack("=q", round((offset_s or 0.0) * 1e9))
            page[TOLD] = bytes(8)

    def starts(self, node: str) -> None:
        """Forget what a node's program was told: another process is about to be it."""
        if (page := self._pages.get(node)) is not None:
            page[TOLD] = bytes(8)

    def look(self, node: str) -> Told:
        """Tell what a node's program was told of the time since it started, and its clock was last
        set.
        """
        return self._told(node)

    def close(self) -> None:
        """Let go of them."""
        while self._pages:
            self._pages.popitem()[1].close()

    def _told(self, node: str) -> Told:
        offset_ns, told_ns, told, loaded = FIELDS.unpack_from(self._pages[node])
        return Told(offset_ns=offset_ns, told_ns=told_ns, told=told, loaded=loaded)


def _made(folder: Path) -> mmap.mmap:
    need = "clock: a node's own clock needs a C compiler once, for a library that it preloads"
    library = compiled.built("docker/clock/clock.c", FLAGS, need)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(library, folder / LIBRARY)
    (folder / PAGE).write_bytes(bytes(PAGE_BYTES))
    descriptor = os.open(folder / PAGE, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, PAGE_BYTES)
    finally:
        os.close(descriptor)


def _with_clock(process: Process, folder: Path) -> Process:
    """Return a process that preloads the library. It is executed: whom a zygote forks has what the
    zygote has loaded.
    """
    before: Mapping[str, str] = process.environment
    preloaded = f"{folder / LIBRARY}:{before.get('LD_PRELOAD', '')}".removesuffix(":")
    environment = {**before, "LD_PRELOAD": preloaded, "HARNESS_CLOCK": str(folder / PAGE)}
    return replace(process, environment=environment, zygote=())
