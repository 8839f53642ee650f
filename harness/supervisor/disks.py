"""Disks of nodes' own: each is a small file system in memory, mounted on the node's directory.

Such a disk is full where it is made as small as what is on it: every write that needs more gets
ENOSPC, also to a file that was open before. Nothing of ours stands on it, and the node's own files
are as it left them when it has its size again. The node's log is the harness's and stands beside.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HarnessError
from harness.faults.limits import Disk
from harness.kernel import mounts
from harness.network.proof.limits import Room
from harness.runtimes.processes import log_of
from harness.runtimes.runtime import Place


class Disks:
    """The disks of a cluster's nodes that have one. Its owner changes one node's alone."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = {place.node.name: place for place in places if place.node.disk_bytes}
        self._full: set[str] = set()

    def mount(self) -> None:
        """Mount them all, empty. Raises PermissionNeededError, HarnessError."""
        if self._places:
            mounts.require()
        for name, place in self._places.items():
            place.directory.mkdir(parents=True, exist_ok=True)
            mounts.make(place.directory, place.node.disk_bytes or 0)
            log_of(place).symlink_to(f"../{name}.log")

    def limit(self, node: str, disk: Disk | None) -> None:
        """Have a node's disk be full, or as large as it was made. Raises HarnessError."""
        place = self._places.get(node)
        if place is not None and disk is Disk.FULL:
            self._full.add(node)
            mounts.fill(place.directory)
        elif place is not None:
            self._full.discard(node)
            mounts.resize(place.directory, place.node.disk_bytes or 0)

    def wiped(self, node: str) -> None:
        """Have a disk that is full be so without what was wiped. Raises HarnessError."""
        if node in self._full:
            mounts.fill(self._places[node].directory)

    def look(self, node: str) -> Room:
        """Look at a node's disk, and write a page to it that nobody sees and is gone at once: where
        that takes place, the disk is not full, even if it was. Raises HarnessError.
        """
        directory, asked = self._places[node].directory, self._places[node].node.disk_bytes or 0
        try:
            size, free = mounts.room(directory)
            refused = _refused(directory, mounts.PAGE_BYTES)
        except OSError as error:
            raise HarnessError(
                f"the disk of node {node} cannot be looked at: {error.strerror}"
            ) from error
        return Room(made_bytes=asked, size_bytes=size, free_bytes=free, error=refused)


def _refused(directory: Path, wanted: int) -> str:
    """Write so many bytes to a file without a name; returns why not, empty where it was done."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        while wanted > 0:
            wanted -= os.write(descriptor, bytes(wanted))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    finally:
        os.close(descriptor)
    return ""
