"""The state folder of a cluster keeps what outlives a process; its path is short, for unix sockets.

The supervisor holds the lock in it as long as it lives; a folder whose lock is free belongs to a
dead one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.errors import NameTakenError, StorageError, UsageError

CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
LOCK_FILE = "lock"
# struct flock of fcntl(2): type, whence, start, length (0: to the end), pid. The lock is one of the
# open file (F_OFD_…), which the kernel gives back with its last descriptor, and which can be asked
# about without being taken.
FLOCK = struct.Struct("hhqqi4x")
WRITE_LOCK = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # one holder, and no other
READ_LOCK = FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)  # several, and no writer
SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7), less the final zero


def root() -> Path:
    """Return the folder of all clusters of this user: /run/harness for root, else below
    $XDG_RUNTIME_DIR or /tmp.

    The outer user decides, not the one that a user namespace shows: HARNESS_STATE carries the
    answer inside.
    """
    if named := os.environ.get("HARNESS_STATE"):
        return Path(named)
    if os.getuid() == 0:
        return Path("/run/harness")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "harness"
    return Path(f"/tmp/harness-{os.getuid()}")  # noqa: S108 - mode 0700 and ours, see `make`


def cluster_name(given: str | None) -> str:
    """Return the cluster that is meant: the argument, else $HARNESS_CLUSTER, else ``main``.

    Raises UsageError.
    """
    name = given or os.environ.get("HARNESS_CLUSTER") or "main"
    if not CLUSTER_NAME.fullmatch(name):
        raise UsageError(
            f"cluster name {name!r}: expected 1 to 24 of a-z, 0-9 and '-', beginning with a "
            "letter or digit"
        )
    return name


def folder(cluster: str) -> Path:
    """Return the state folder of a cluster, which need not exist."""
    return root() / cluster


def make_root() -> None:
    """Make the folder of all clusters where it is not there. Raises OSError, and StorageError where
    it is another user's.
    """
    root().mkdir(mode=0o700, parents=True, exist_ok=True)
    if root().stat().st_uid != os.getuid():
        raise StorageError(
            f"{root()} belongs to another user; expected a folder of ours (set HARNESS_STATE)"
        )


def lock_file(file: Path, kind: bytes = WRITE_LOCK, *, make: bool = True) -> int | None:
    """Lock a file and return its descriptor, which holds the lock until it is closed; None where
    the file is not there, or was removed meanwhile. `make`: whether it is made.

    Raises BlockingIOError where somebody else holds it, OSError.
    """
    try:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
        descriptor = os.open(file, flags, 0o600)
    except FileNotFoundError:  # or the folder went away since
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, kind)
        # Its last holder may have removed the file before we had the lock: nobody else sees this
        # one any more.
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


class Lock:
    """The right to be the supervisor of a cluster.

    The kernel gives it back when the process ends, however it ends.
    """

    def __init__(self, cluster: str) -> None:
        """Take the lock.

        Raises NameTakenError where a supervisor lives, StorageError where the folder cannot be
        made.
        """
        self.path = folder(cluster)
        try:
            make_root()
            while (descriptor := self._take()) is None:
                pass
        except BlockingIOError:
            raise NameTakenError(
                f"a cluster named {cluster!r} is up already: `harness down --cluster {cluster}` "
                "ends it, "
                f"or choose another name (HARNESS_CLUSTER, --cluster)"
            ) from None
        except OSError as error:
            raise StorageError(
                f"the state folder {self.path} cannot be made: {error.strerror}"
            ) from error
        self._descriptor = descriptor

    def _take(self) -> int | None:
        """Lock the file and return its descriptor; None where it was removed meanwhile.

        Raises BlockingIOError where somebody else holds it.
        """
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        if not _is_a_clusters(self.path):
            raise StorageError(
                f"{self.path} was not made by a cluster and would be removed with it; choose "
                "another name (--cluster) or state folder (HARNESS_STATE)"
            )
        return lock_file(self.path / LOCK_FILE)

    def remove(self) -> None:
        """Remove the folder and give the lock back.

        The lock's file goes last: whoever finds it gone may make the folder anew.
        """
        with suppress(OSError):
            for entry in list(self.path.iterdir()):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                elif entry.name != LOCK_FILE:
                    entry.unlink(missing_ok=True)
            (self.path / LOCK_FILE).unlink(missing_ok=True)
            self.path.rmdir()
        with suppress(OSError):
            os.close(self._descriptor)


def is_alive(cluster: str) -> bool:
    """Whether a supervisor holds the cluster's lock now. Asking takes nothing."""
    return is_locked(folder(cluster) / LOCK_FILE)


def is_locked(file: Path) -> bool:
    """Whether somebody holds the lock of a file now. Asking takes nothing."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        kind: int
        kind, *_ = FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, WRITE_LOCK))
        return kind != fcntl.F_UNLCK
    finally:
        os.close(descriptor)


def clusters() -> Iterator[str]:
    """Return the names of all clusters of this user that have a folder, living or dead."""
    with suppress(OSError):
        yield from sorted(
            entry.name
            for entry in root().iterdir()
            if CLUSTER_NAME.fullmatch(entry.name) and _is_a_clusters(entry)
        )


def _is_a_clusters(path: Path) -> bool:
    """Whether a cluster made this folder: its lock comes first and goes last. An empty one may be
    the rest of one; a folder with anything else is somebody's.
    """
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:  # it went away since
        return True
    except NotADirectoryError:
        return False
    return not names or LOCK_FILE in names
