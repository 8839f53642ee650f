"""The folders below a folder of runs: which there are, and what may be said of each without reading
its record.

``runs/NAME/TIME/`` is one: a run, a suite, a soak, a gate, a search. A suite's parts lie beside it
and belong to it; a soak's windows lie in it. No symlink is ever followed below the folder of runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.errors import BadFileError
from harness.history import entry
from harness.history.entry import VERDICT, WINDOWS

LATEST, DATABASE, SOAK_LOCK = "latest", "history.db", "soak.lock"
GATE = "gate"  # its runs lie beside it, and are their own
# Names of what else lies in a folder of runs, or in a soak's: no scenario is called so.
TAKEN = frozenset({LATEST, WINDOWS, "baselines"})
# By one of these files a folder is known to be ours: a run's, a suite's, a soak's, a search's.
MARKS = {
    "metadata.json": "run",
    "suite.json": "suite",
    entry.SOAK: "soak",
    "gate.json": GATE,
    "saturation.json": "saturate",
    "shrink.json": "shrink",
    "trials.jsonl": "shrink",
    "events.jsonl": "run",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?$")  # names of run folders
UNJUDGED_S = 3600.0  # for which a folder without a verdict is held to be written yet
FLOCK = struct.Struct("hhqqi4x")  # struct flock of fcntl(2)
WRITE_LOCK = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
GOING = ".pruned-"  # before the name of a folder that is being removed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder below the folder of runs, with those that belong to it.

    `name` is relative to the folder of runs; `begun_s` and `changed_s` are seconds of
    CLOCK_REALTIME; `parts` are the names of a suite's parts, whose bytes count here; `answer` None:
    it has no verdict; `busy`: why it may be being written, None: it is not.
    """

    name: str
    kind: str
    answer: str | None
    begun_s: float
    changed_s: float
    size_bytes: int
    parts: tuple[str, ...] = ()
    is_latest: bool = False
    busy: str | None = None


def require_name(name: str, what: str) -> None:
    """Raise BadFileError for a name that no folder in a folder of runs can have: it is taken, or
    leads elsewhere.
    """
    if name in TAKEN:
        raise BadFileError(f"{what} {name!r}: the folder of runs has one of its own by this name")
    if not name or name != Path(name).name or name.startswith("."):
        raise BadFileError(f"{what} {name!r}: expected the name of a folder in the folder of runs")


def is_root(folder: Path) -> bool:
    """Whether it is a folder of runs."""
    return (folder / LATEST).is_symlink() or (folder / DATABASE).is_file()


def root_of(folder: Path) -> Path | None:
    """Find the folder of runs whose history a run belongs to; None where it belongs to none: it
    lies by itself, or is a trial of a search or the run of a window of a soak.
    """
    folder = folder.absolute()
    up = 4 if folder.parent.name == WINDOWS else 2
    above = folder.parents
    if len(above) < up or not is_root(above[up - 1]):
        return None
    root = above[up - 1]
    is_trial = TIME.match(root.name) is not None and is_root(root.parents[1])
    is_of_window = root.parent.name == WINDOWS  # its run: the soak's folder tells of it
    return None if is_trial or is_of_window else root


def folders(root: Path) -> Iterator[Path]:
    """All folders of runs' own, two levels below the folder of runs."""
    for name in _subfolders(root):
        for one in _subfolders(name):
            if _kind(one) is not None:
                yield one


def judged(root: Path) -> Iterator[Path]:
    """All folders that have a verdict for the history, with the windows of soaks; of a gate its
    runs have it.
    """
    for folder in folders(root):
        if _kind(folder) == GATE:
            continue
        inside = _subfolders(folder / WINDOWS)
        yield from (one for one in (folder, *inside) if (one / VERDICT).is_file())


def _subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, without hidden ones and links; none where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            names = [
                one.name
                for one in found
                if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _kind(folder: Path) -> str | None:
    return next((kind for mark, kind in MARKS.items() if (folder / mark).is_file()), None)


def listed(root: Path, now_s: float | None = None) -> list[RunFolder]:
    """List the folders, the oldest first; a suite's parts are in it and not beside it."""
    now_s = time.time() if now_s is None else now_s
    there = list(folders(root))
    parts = {one: _parts(one, there) for one in there if _is_suite(one)}
    owned = {part for of in parts.values() for part in of}
    latest = _latest(root)
    found = [
        _folder(root, one, parts.get(one, []), latest, now_s) for one in there if one not in owned
    ]
    return sorted(found, key=lambda one: (one.begun_s, one.name))


def _parts(suite: Path, there: Sequence[Path]) -> list[Path]:
    """The parts of a suite: folders of runs that were begun after it."""
    since_s = _begun_s(suite) - 1
    named = [one for one in entry.parts(suite) if one in there and not _is_suite(one)]
    return [one for one in named if _begun_s(one) >= since_s]


def _is_suite(folder: Path) -> bool:
    return (folder / entry.SUITE).is_file()


def _latest(root: Path) -> Path | None:
    try:
        return (root / LATEST).resolve(strict=True)
    except OSError:
        return None


def _folder(
    root: Path, folder: Path, parts: list[Path], latest: Path | None, now_s: float
) -> RunFolder:
    every = [folder, *parts]
    sizes = [_measured(one) for one in every]
    changed_s = max(at_s for _, at_s in sizes)
    answer = _answer(folder)
    inside = [window for one in every for window in _subfolders(one / WINDOWS)]
    writing = (one for one in (*every, *inside) if is_held(one))
    busy = next((f"{one.relative_to(root)} is being written" for one in writing), None)
    if busy is None and answer is None and now_s - changed_s < UNJUDGED_S:
        busy = f"it is not judged, and was written less than {UNJUDGED_S / 60:.0f} min ago"
    # `latest` may point at a part of a suite while it is played, or at what lies in a soak.
    is_latest = latest is not None and any(latest == one or one in latest.parents for one in every)
    return RunFolder(
        name=folder.relative_to(root).as_posix(),
        kind=_kind(folder) or "run",
        answer=answer,
        begun_s=_begun_s(folder),
        changed_s=changed_s,
        size_bytes=sum(size for size, _ in sizes),
        parts=tuple(one.relative_to(root).as_posix() for one in parts),
        is_latest=is_latest,
        busy=busy,
    )


def _measured(folder: Path) -> tuple[int, float]:
    """Bytes on the disk, and when something in it was changed last; what vanishes meanwhile counts
    nothing.
    """
    size, changed_s = 0, 0.0
    for at, _, names in os.walk(folder):
        for path in (at, *(os.path.join(at, name) for name in names)):
            with suppress(OSError):
                found = os.lstat(path)
                size += found.st_blocks * 512
                if not stat.S_ISDIR(found.st_mode):
                    changed_s = max(changed_s, found.st_mtime)
    return size, changed_s or _begun_s(folder)


def _begun_s(folder: Path) -> float:
    """When a folder was begun: as its name says, else when it was made or its mark was written."""
    with suppress(ValueError):
        return datetime.strptime(f"{folder.name[:19]}+0000", "%Y-%m-%dT%H-%M-%S%z").timestamp()
    times = []
    for name in ("", *MARKS):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return min(times, default=0.0)


def _answer(folder: Path) -> str | None:
    try:
        found = json.loads((folder / VERDICT).read_text())["answer"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and found in entry.ANSWERS else None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder while it is written: nobody prunes it meanwhile. The lock is the kernel's, and
    ends with this process.
    """
    handle = hold(folder)
    try:
        yield
    finally:
        let_go(handle)


def hold(folder: Path) -> int | None:
    """Take the lock that says that a folder is being written; None where it cannot be taken."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)  # whoever asks `is_held` has it for a moment only
    except OSError:
        os.close(handle)
        return None
    return handle


def let_go(handle: int | None) -> None:
    """Give the lock back, also where processes that were forked meanwhile have the descriptor."""
    if handle is not None:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether somebody writes into it now, or plays the soak that it is."""
    handle = _opened(folder, os.O_RDONLY | os.O_DIRECTORY)
    if handle is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return _is_played(folder / SOAK_LOCK)


def _is_played(lock: Path) -> bool:
    """Whether somebody has a soak's lock, which is one of the open file (control/state.py)."""
    handle = _opened(lock, os.O_RDWR)
    if handle is None:
        return False
    try:
        kind, *_ = FLOCK.unpack(fcntl.fcntl(handle, fcntl.F_OFD_GETLK, WRITE_LOCK))
    except OSError:
        return True  # nobody knows
    finally:
        os.close(handle)
    return bool(kind != fcntl.F_UNLCK)


def _opened(path: Path, how: int) -> int | None:
    try:
        return os.open(path, how | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def require_root(root: Path) -> Path:
    """Return where a folder of runs really is. Raises BadFileError where there is none."""
    if not root.is_dir():
        raise BadFileError(f"{root}: expected a folder of runs (--runs, HARNESS_RUNS), found none")
    return root.resolve()
