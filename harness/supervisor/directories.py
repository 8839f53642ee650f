"""What a node wrote in its directory is wiped, and what was prepared for it there stays.

Prepared is all that stood in the directory before the node first started: keys, certificates,
configuration, a system's own files. Its log is the harness's, and so is the gateway's socket.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError, UnavailableError
from harness.runtimes.processes import log_of
from harness.runtimes.runtime import Place, Runtime

# Path below the directory → what tells whether it is as it was: mode, size, when it was written.
Prepared = Mapping[Path, tuple[int, int, int]]
FOLDER = (0, 0, 0)
SAID = 3


class Directories:
    """The directories of a cluster's nodes, as they were prepared."""

    def __init__(
        self, places: Iterable[Place], ours: Iterable[str] = (), *, wipes: bool = False
    ) -> None:
        """Note what stands in each node's directory now. `ours`: paths that are never wiped.
        `wipes`: the system's nodes are wiped whenever they start anew.
        """
        self._wipes = wipes
        self._ours = frozenset(map(Path, ours))
        self._prepared = {place.node.name: self._found(place) for place in places}

    def require(self, place: Place) -> None:
        """Raise UnavailableError where a wipe would not give the node what it first found."""
        found, prepared = self._found(place), self._prepared[place.node.name]
        changed = sorted(str(path) for path, was in prepared.items() if found.get(path) != was)
        if changed:
            raise UnavailableError(
                f"node {place.node.name} cannot be wiped: it has changed what was prepared for it "
                f"({', '.join(changed[:SAID])}), and the harness has no copy; possible: state keep"
            )

    def starts(self, place: Place, runtime: Runtime) -> bool:
        """Wipe a node that is about to start anew, where the system wants that; return whether it
        does. Raises HarnessError.
        """
        if not self._wipes:
            return False
        if outside := runtime.outside(place.node.name):
            raise UnavailableError(
                f"node {place.node.name} cannot be wiped: it wrote outside of its directory too "
                f"({', '.join(outside[:SAID])}); possible: start.state keep"
            )
        self.require(place)
        runtime.clear(place.node.name)
        self.wipe(place)
        return True

    def left(self, place: Place) -> list[str]:
        """List what the node wrote in its directory and is there, by paths below it."""
        prepared = self._prepared[place.node.name]
        return sorted(str(path) for path in self._found(place) if path not in prepared)

    def wipe(self, place: Place) -> None:
        """Remove what the node wrote; it must have no process. Raises HarnessError."""
        try:
            for name in self.left(place):
                path = place.directory / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    with suppress(FileNotFoundError):  # it went with its folder
                        path.unlink()
        except OSError as error:
            raise HarnessError(
                f"node {place.node.name} could not be wiped: {error.filename}: {error.strerror}"
            ) from error

    def _found(self, place: Place) -> Prepared:
        """Look at all that is in a directory; of a folder only that it is there."""
        found: dict[Path, tuple[int, int, int]] = {}
        for path in place.directory.rglob("*"):
            if path in self._ours or path == log_of(place):
                continue
            with suppress(FileNotFoundError):
                about = path.lstat()
                is_folder = stat.S_ISDIR(about.st_mode)
                kept = (about.st_mode, about.st_size, about.st_mtime_ns)
                found[path.relative_to(place.directory)] = FOLDER if is_folder else kept
        return found
