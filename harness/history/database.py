"""The database of the history: every verdict row of every run, in one SQLite file.

The rollback journal (SQLite's default) keeps it one file, which may be copied; a writer waits for
the other, whose transaction takes milliseconds, and a kill leaves all of a transaction or nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from harness.errors import BadFileError, StorageError
from harness.history.entry import Entry, Row

FILE = "history.db"
VERSION = 1
WAIT_S = 30.0  # for another writer
MAGIC = b"SQLite format 3\0"
_RUN = (
    "id",
    "run",
    "kind",
    "scenario",
    "started",
    "judged_ns",
    "answer",
    "environment",
    "versions",
)
_ROW = tuple(one.name for one in fields(Row))
# Of our own columns' names alone: no value comes into a statement but as a parameter.
_PUT_RUN = f"INSERT INTO runs VALUES ({', '.join('?' * len(_RUN))})"  # noqa: S608 - the same
_PUT_ROW = f"INSERT INTO rows VALUES (?, ?, {', '.join('?' * len(_ROW))})"  # noqa: S608 - the same
_RUNS = f"SELECT {', '.join(_RUN)} FROM runs ORDER BY started, id"  # noqa: S608 - the same
_ROWS = f"SELECT id, {', '.join(_ROW)} FROM rows ORDER BY id, position"  # noqa: S608 - the same
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, run TEXT, kind TEXT, scenario TEXT, started TEXT, judged_ns INTEGER,
    answer TEXT, environment TEXT, versions TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, position INTEGER NOT NULL,
    name TEXT, answer TEXT, phase TEXT, cause TEXT, promised TEXT, measured TEXT, sentence TEXT,
    value REAL, metric TEXT, statistic TEXT, unit TEXT, bound REAL, source TEXT,
    PRIMARY KEY (id, position)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a rebuild or a merge brought: how many entries were new, and how many replaced an older
    judgement or stayed; `unread` are sentences about what could not be read.
    """

    added: int = 0
    replaced: int = 0
    same: int = 0
    unread: tuple[str, ...] = ()


class Database:
    """The history of one folder of runs, open."""

    def __init__(self, root: Path) -> None:
        """Open it, and make it where there is none. Raises StorageError, and sqlite3.DatabaseError
        where the file is no database of ours.
        """
        self.file = root / FILE
        with _told(self.file):
            self._db = sqlite3.connect(self.file, timeout=WAIT_S, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        with _told(self.file):
            self._db.execute("PRAGMA foreign_keys = ON")
            [version] = self._db.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise BadFileError(
                    f"{self.file}: expected version {VERSION}, found {version}: a newer harness "
                    "made it"
                )
            if version < VERSION:
                with self._writing():
                    for statement in _SCHEMA.split(";")[:-1]:
                        self._db.execute(statement)

    def close(self) -> None:
        """Close it; may be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: all of it, or nothing."""
        with _told(self.file):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def put(self, entry: Entry) -> None:
        """Write an entry in place of what was known of its run. Raises StorageError."""
        with self._writing():
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        said = {**asdict(entry), "environment": dict(entry.environment)}
        line = [
            json.dumps(said[key], sort_keys=True) if isinstance(said[key], dict) else said[key]
            for key in _RUN
        ]
        self._db.execute("DELETE FROM runs WHERE id = ?", (entry.id,))
        self._db.execute(_PUT_RUN, line)
        self._db.executemany(
            _PUT_ROW,
            [
                (entry.id, position, *(getattr(row, key) for key in _ROW))
                for position, row in enumerate(entry.rows)
            ],
        )

    def judged(self) -> dict[str, int]:
        """When each run was judged, by its id."""
        with _told(self.file):
            return dict(self._db.execute("SELECT id, judged_ns FROM runs"))

    def judged_folders(self) -> dict[str, int]:
        """When each run was judged, by its folder."""
        with _told(self.file):
            return dict(self._db.execute("SELECT run, judged_ns FROM runs"))

    def require_whole(self) -> None:
        """Raise sqlite3.DatabaseError where pages of the file are torn."""
        with _told(self.file):
            said = [one for (one,) in self._db.execute("PRAGMA quick_check(1)")]
            self._db.execute("SELECT id, run, judged_ns FROM runs").fetchone()
            self._db.execute("SELECT id, position, value FROM rows").fetchone()
        if said != ["ok"]:
            raise sqlite3.DatabaseError("; ".join(said)[:200])

    def entries(self) -> list[Entry]:
        """All entries, the oldest first."""
        with _told(self.file):
            self._db.execute("BEGIN")  # one state of both tables
            try:
                return self._entries()
            finally:
                self._db.execute("COMMIT")

    def _entries(self) -> list[Entry]:
        found = self._db.execute(_RUNS).fetchall()
        rows: dict[str, list[Row]] = {}
        for id_, *cells in self._db.execute(_ROWS):
            rows.setdefault(id_, []).append(Row(**dict(zip(_ROW, cells, strict=True))))
        return [_entry(run, tuple(rows.get(run[0], ()))) for run in found]

    def bring(self, brought: Iterable[Entry]) -> Brought:
        """Write those entries that are new or newer than what is known; one transaction."""
        counts = Counter[str]()
        with self._writing():
            known = dict(self._db.execute("SELECT id, judged_ns FROM runs"))
            for entry in brought:
                before = known.get(entry.id)
                how = "added" if before is None else "replaced"
                if before is not None and entry.judged_ns <= before:
                    how = "same"
                else:
                    self._put(entry)
                    known[entry.id] = entry.judged_ns
                counts[how] += 1
        return Brought(added=counts["added"], replaced=counts["replaced"], same=counts["same"])

    def replace_all(self, anew: Callable[[list[Entry]], Iterable[Entry]]) -> Brought:
        """Write what `anew` makes of all entries in their place; of one run the newest judgement.
        Nobody else writes meanwhile.
        """
        with self._writing():
            newest: dict[str, Entry] = {}
            for one in anew(self._entries()):
                if one.id not in newest or newest[one.id].judged_ns <= one.judged_ns:
                    newest[one.id] = one
            self._db.execute("DELETE FROM rows")
            self._db.execute("DELETE FROM runs")
            for one in newest.values():
                self._put(one)
        return Brought(added=len(newest))


def other_entries(file: Path) -> list[Entry]:
    """Read a database as it is: another machine's, perhaps one that cannot be written. Raises
    BadFileError.
    """
    other = Database.__new__(Database)
    other.file = file
    try:
        other._db = sqlite3.connect(
            f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_S, isolation_level=None
        )
        try:
            [version] = other._db.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise BadFileError(f"{file}: expected version {VERSION}, found {version}")
            return other.entries()
        finally:
            other._db.close()
    except (sqlite3.Error, StorageError, TypeError, ValueError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None


def _entry(run: tuple[Any, ...], rows: tuple[Row, ...]) -> Entry:
    said = dict(zip(_RUN, run, strict=True))
    said |= {key: json.loads(said[key]) for key in ("environment", "versions")}
    return Entry(**said, rows=rows)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Say of what the disk or a lock refuses which file it is; a file that is no database of ours
    stays sqlite3.DatabaseError, which `opened` mends.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such"):  # a table: the file is another program's
            raise sqlite3.DatabaseError(str(error)) from error
        raise StorageError(f"{file}: {error}") from error
