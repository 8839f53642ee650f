"""The history of a folder of runs: the database, and what it is made of.

What is true stands elsewhere: in the run folders, and, of runs whose folder is pruned or never was
here, in `history-kept.jsonl`, to which is only appended. So the database may be lost, torn or
killed at any moment: `rebuild` makes the same one again. The newest judgement of a run replaces
the older ones.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import BadFileError, HarnessError, StorageError
from harness.history import entry as entries
from harness.history import run_folders
from harness.history.database import (
    FILE,
    MAGIC,
    VERSION,
    Brought,
    Database,
    other_entries,
)
from harness.history.entry import VERDICT, Entry

KEPT = "history-kept.jsonl"
Say = Callable[[str], None]


def opened(root: Path, say: Say = lambda _: None) -> Database:
    """Open the history of a folder of runs with all in it that is judged. One that is missing is
    made; one that cannot be read is put aside, and made anew of the folders; `say` hears of it.

    Raises StorageError where the folder is not there or nothing can be written.
    """
    if not root.is_dir():
        raise StorageError(f"{root}: expected a folder of runs (--runs, HARNESS_RUNS), found none")
    try:
        database = Database(root)
        database.require_whole()
    except sqlite3.DatabaseError as error:
        aside = _aside(root / FILE)
        say(f"{root / FILE} cannot be read ({error}): it is {aside.name} now, and made anew")
        database = Database(root)
    try:
        for sentence in refresh(database, root).unread:
            say(sentence)
    except BaseException:
        database.close()
        raise
    return database


def _aside(file: Path) -> Path:
    """Put a file aside; what SQLite keeps beside it goes. Raises StorageError."""
    number = 1
    while (aside := file.with_name(f"{file.name}.broken-{number}")).exists():
        number += 1
    try:
        file.replace(aside)
        file.with_name(f"{file.name}-journal").unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{file}: cannot be put aside: {error.strerror}") from error
    return aside


def refresh(database: Database, root: Path) -> Brought:
    """Bring in what was judged since, and what is kept of runs without a folder."""
    unread: list[str] = []
    known = database.judged_folders()
    fresh = (
        one
        for one in run_folders.judged(root)
        if known.get(one.relative_to(root).as_posix()) != _judged_ns(one)
    )
    found = [*kept_entries(root, unread), *_read_folders(root, fresh, unread)]
    brought = database.bring(found) if found else Brought()
    return replace(brought, unread=tuple(unread))


def _judged_ns(folder: Path) -> int | None:
    try:
        return (folder / VERDICT).stat().st_mtime_ns
    except OSError:
        return None


def rebuild(root: Path, say: Say = lambda _: None) -> Brought:
    """Make the history anew of the run folders and of what is kept. What only the old database
    knew (of a folder that was removed by hand) is kept from now on. Raises StorageError.
    """
    unread: list[str] = []
    with opened(root, lambda _: None) as database:

        def anew(before: Iterable[Entry]) -> Iterable[Entry]:
            """Read everything while nobody else can write: what is judged meanwhile comes after."""
            kept = [*kept_entries(root, unread)]
            found = [*_read_folders(root, run_folders.judged(root), unread)]
            there = {one.id for one in (*kept, *found)}
            lost = [one for one in before if one.id not in there]
            keep(root, lost)
            return (*kept, *lost, *found)

        brought = database.replace_all(anew)
    for sentence in unread:
        say(sentence)
    return replace(brought, unread=tuple(unread))


def _read_folders(root: Path, folders: Iterable[Path], unread: list[str]) -> Iterator[Entry]:
    """The entries of judged folders."""
    for folder in folders:
        try:
            yield entries.of_folder(folder, root)
        except BadFileError as error:
            unread.append(str(error))


def kept_entries(root: Path, unread: list[str]) -> Iterator[Entry]:
    """The entries that are kept of runs without a folder; a torn line is none."""
    try:
        lines = (root / KEPT).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        unread.append(f"{root / KEPT}: cannot be read: {error.strerror}")
        return
    for number, line in enumerate(lines, 1):
        try:
            if line:
                yield entries.from_json(json.loads(line))
        except (ValueError, RecursionError, BadFileError) as error:
            unread.append(f"{root / KEPT}: line {number}: {error}")


def keep(root: Path, those: Iterable[Entry]) -> None:
    """Keep entries for good, on the disk before this returns. Raises StorageError."""
    data = b"".join(json.dumps(one.as_json()).encode() + b"\n" for one in those)
    if not data:
        return
    file = root / KEPT
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                data = b"\n" + data  # what a kill tore ends here
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StorageError(f"{file}: cannot be written: {error.strerror}") from error


def keep_rows(root: Path, folders: Iterable[Path]) -> None:
    """Keep the rows of folders that are about to go, those that are judged. Raises StorageError."""
    paths = [*folders]
    those = _read_folders(root, (one for one in paths if (one / VERDICT).is_file()), [])
    names = {one.relative_to(root).as_posix() for one in paths}
    with opened(root) as database:
        known = {one.id: one for one in database.entries()}
    # What the database knows of a folder whose verdict cannot be read any more is kept too.
    kept = {one.id: one for one in known.values() if one.run in names}
    keep(root, (kept | {one.id: known.get(one.id, one) for one in those}).values())


def note(folder: Path) -> None:
    """Bring one judged folder into the history that it belongs to, if it does to any.

    Nothing that goes wrong here is told: the verdict stands in the folder, and whoever reads the
    history next finds it there and brings it in.
    """
    with suppress(sqlite3.Error, HarnessError, OSError):
        root = run_folders.root_of(folder)
        if root is not None:
            with Database(root) as database:
                database.put(entries.of_folder(folder.absolute(), root))


def merge(root: Path, file: Path, say: Say = lambda _: None) -> Brought:
    """Take another history in: a database, or what `harness history export --format json` wrote.

    An entry that is newer than what is known replaces it. What is taken in is kept for good. Raises
    BadFileError where the file is neither, StorageError.
    """
    others = read(file)
    with opened(root, say) as database:
        known = database.judged()
        keep(root, [one for one in others if one.judged_ns > known.get(one.id, -1)])
        return database.bring(others)


def read(file: Path) -> list[Entry]:
    """Read all entries of another history, and change nothing of it. Raises BadFileError."""
    try:
        with file.open("rb") as source:
            is_database = source.read(len(MAGIC)) == MAGIC
        if is_database:
            return [entries.from_json(one.as_json()) for one in other_entries(file)]
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(
            f"{file}: expected a {FILE}, or what `harness history export --format json` wrote: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
    runs = found.get("runs") if isinstance(found, dict) else None
    if not isinstance(runs, list) or found.get("version") != VERSION:
        raise BadFileError(f"{file}: expected version {VERSION} of a history, with runs")
    try:
        return [entries.from_json(one) for one in runs]
    except BadFileError as error:
        raise BadFileError(f"{file}: {error}") from None
