"""Pruning: which run folders go, and their removal. The history keeps the rows of those that went.

`choose` decides and is pure; `remove` acts. A folder first gets another name, in one step, and then
goes: whoever looks meanwhile, or after a kill, finds it whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError
from harness.history import entry, run_folders, store
from harness.history.entry import WINDOWS
from harness.history.run_folders import GOING, RunFolder

FAILED = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What becomes of a folder: `stays` is why, None: it goes."""

    folder: RunFolder
    stays: str | None


def choose(folders: Sequence[RunFolder], keep: int, keep_failures: int) -> list[Choice]:
    """Say of each folder whether it stays: the newest `keep`, the newest `keep_failures` of those
    that failed, what `latest` points to, and what is being written. `folders`: the oldest first.
    """
    newest = {one.name for one in folders[max(len(folders) - keep, 0) :]}
    failed = [one.name for one in folders if one.answer == FAILED]
    failures = set(failed[max(len(failed) - keep_failures, 0) :])

    def why(one: RunFolder) -> str | None:
        if one.busy:
            return one.busy
        if one.is_latest:
            return "latest points to it"
        if one.name in newest:
            return f"one of the newest {keep}"
        return f"one of the newest {keep_failures} failures" if one.name in failures else None

    return [Choice(folder=one, stays=why(one)) for one in folders]


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Wait until nobody else prunes this folder of runs, and let nobody meanwhile."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def remove(root: Path, folder: RunFolder) -> None:
    """Remove a folder and its parts, once the history has kept all their rows. Raises StorageError
    where that cannot be, and where the folder is being written after all.
    """
    root = root.resolve()
    paths = [_inside(root, name) for name in (*folder.parts, folder.name)]
    for path in (*paths, *(window for one in paths for window in _windows(one))):
        if run_folders.is_held(path):
            raise StorageError(f"{path}: it is being written; nothing of it was removed")
    store.keep_rows(root, [one for path in paths for one in (path, *_windows(path))])
    for path in paths:  # the folder itself last: what names its parts stays as long as they do
        going = path.with_name(f"{GOING}{path.name}")
        try:
            path.rename(going)
            shutil.rmtree(going)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise StorageError(f"{path}: cannot be removed: {error.strerror}") from error


def _inside(root: Path, name: str) -> Path:
    """Return a folder that lies two levels below the folder of runs, with no link on the way.
    Raises StorageError where it does not.
    """
    path = root / name
    steps = Path(name).parts
    is_plain = len(steps) == 2 and not set(steps) & {"..", "/"}
    if not is_plain or path.is_symlink() or path.parent.is_symlink() or not path.is_dir():
        raise StorageError(f"{path}: expected a folder in {root}/NAME/, and no link")
    return path


def _windows(folder: Path) -> list[Path]:
    if (folder / WINDOWS).is_symlink():
        return []
    return [one for one in entry.parts(folder) if one.parent.name == WINDOWS]


def remove_leftovers(root: Path) -> int:
    """Remove what a prune that was killed left half removed; return how many folders."""
    count = 0
    for name in sorted(root.resolve().iterdir()):
        if name.is_symlink() or not name.is_dir():
            continue
        for one in name.glob(f"{GOING}*"):
            if not one.is_symlink() and one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
                count += 1
        if not os.listdir(name):
            name.rmdir()
    return count
