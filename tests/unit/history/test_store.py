"""The history is one row a finding of each run, whatever becomes of its database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from kit import judged_folders as folders

from harness.errors import BadFileError, StorageError
from harness.history import store
from harness.history.database import FILE, Database
from harness.reports.history_export import as_json


@pytest.fixture
def root(tmp_path):
    """A folder of five runs."""
    for number in range(5):
        folders.run(tmp_path, number, [folders.row(10.0 + number), folders.row(None, "UNKNOWN")])
    return tmp_path


def known(root):
    with store.opened(root) as database:
        return database.entries()


def values(root):
    return [one.rows[0].value for one in known(root)]


def test_all_judged_runs_are_in_it_the_oldest_first(root):
    assert values(root) == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_it_is_the_same_however_often_it_is_read_and_rebuilt(root):
    first = known(root)
    assert known(root) == first
    assert store.rebuild(root).added == 5
    assert store.rebuild(root).added == 5
    assert known(root) == first
    (root / FILE).unlink()
    assert known(root) == first


def test_a_new_judgement_replaces_the_older_one(root):
    path = root / "small" / "2026-03-03T02-00-00"
    known(root)
    folders.judge(path, [folders.row(99.0, "FAIL")], "FAIL", folders.FIRST + timedelta(days=9))
    assert values(root) == [10.0, 11.0, 99.0, 13.0, 14.0]
    assert [len(one.rows) for one in known(root)] == [2, 2, 1, 2, 2]


def test_a_judge_tells_it_at_once(root):
    path = folders.run(root, 7, [folders.row(17.0)])
    store.note(path)
    with Database(root) as database:  # as it is: nothing is looked for
        assert [one.rows[0].value for one in database.entries()] == [17.0]


def test_a_run_by_itself_has_no_history(tmp_path):
    path = folders.run(tmp_path, 0, [folders.row(1.0)], latest=False)
    store.note(path)
    assert not (tmp_path / FILE).exists()


def test_a_trial_of_a_search_is_no_run_of_the_history(root):
    search = root / "small-saturate" / "2026-03-09T02-00-00"
    trial = folders.run(search, 9, [folders.row(1.0)])
    store.note(trial)
    assert not (search / FILE).exists()
    assert len(known(root)) == 5


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "torn", "other", "folder"])
def test_a_database_that_is_lost_is_made_again(root, damage):
    before, said = known(root), []
    file = root / FILE
    data = file.read_bytes()
    file.unlink()
    if damage == "empty":
        file.touch()
    elif damage == "text":
        file.write_text("no database\n" * 1000)
    elif damage == "torn":
        file.write_bytes(data[:5000] + os.urandom(len(data) - 5000))
    elif damage == "other":
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE notes (text)")
            other.execute("PRAGMA user_version = 1")
        other.close()
    elif damage == "folder":
        file.mkdir()
        with pytest.raises(StorageError, match=FILE):
            known(root)
        return
    with store.opened(root, said.append) as database:
        assert database.entries() == before
    is_broken = damage in ("text", "torn", "other")
    assert [FILE in one for one in said] == [True] * is_broken
    assert len([*root.glob(f"{FILE}.broken-*")]) == is_broken


def test_a_judge_does_not_fail_for_a_database_that_is_broken(root):
    (root / FILE).write_text("no database\n" * 100)
    store.note(root / "small" / "2026-03-03T02-00-00")
    assert len(known(root)) == 5


def test_a_database_of_a_newer_version_is_left_alone(root):
    known(root)
    with sqlite3.connect(root / FILE) as other:
        other.execute("PRAGMA user_version = 9")
    other.close()
    with pytest.raises(BadFileError, match="version 1, found 9"):
        known(root)


def test_a_folder_that_was_removed_by_hand_stays_in_it(root):
    known(root)
    shutil.rmtree(root / "small" / "2026-03-03T02-00-00")
    assert len(known(root)) == 5
    store.rebuild(root)
    (root / FILE).unlink()
    assert values(root) == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_a_verdict_that_cannot_be_read_is_said_and_the_others_are_there(root):
    (root / "small" / "2026-03-03T02-00-00" / "verdict.json").write_text("{")
    said = []
    with store.opened(root, said.append) as database:
        assert len(database.entries()) == 4
    assert len(said) == 1
    assert "2026-03-03" in said[0]


def test_a_torn_line_of_what_is_kept_loses_that_line_alone(root):
    entries = known(root)
    store.keep(root, entries[:2])
    file = root / store.KEPT
    file.write_bytes(file.read_bytes()[:-40])
    store.keep(root, entries[2:3])
    lost = []
    kept = [*store.kept_entries(root, lost)]
    assert kept == [entries[0], entries[2]]
    assert len(lost) == 1


def test_another_history_is_taken_in(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for number in range(3, 8):
        folders.run(other, number, [folders.row(10.0 + number), folders.row(None, "UNKNOWN")])
    known(other)
    brought = store.merge(root, other / FILE)
    assert (brought.added, brought.replaced, brought.same) == (3, 0, 2)
    assert values(root) == [10.0 + number for number in range(8)]
    brought = store.merge(root, other / FILE)
    assert (brought.added, brought.same) == (0, 5)
    (root / FILE).unlink()
    assert values(root) == [10.0 + number for number in range(8)]


def test_of_two_judgements_the_newest_is_taken(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    path = folders.run(other, 2, [folders.row(1.0)])
    folders.judge(path, [folders.row(77.0)], "PASS", folders.FIRST + timedelta(days=30))
    assert store.merge(root, written(other)).replaced == 1
    assert values(root) == [10.0, 11.0, 77.0, 13.0, 14.0]
    store.rebuild(root)
    assert values(root) == [10.0, 11.0, 77.0, 13.0, 14.0]
    assert store.merge(other, written(root)).replaced == 0


def written(root):
    file = root / "export.json"
    file.write_text(as_json(known(root)))
    return file


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "runs": []}',
        '{"version": 1}',
        '{"version": 1, "runs": [1]}',
        "SQLite format 3\0 and no more",
    ],
)
def test_what_is_no_history_is_not_taken_in(root, text):
    before = known(root)
    file = root / "other.json"
    file.write_text(text)
    with pytest.raises(BadFileError, match=r"other\.json"):
        store.merge(root, file)
    assert known(root) == before


WRITER = """
import sys
from pathlib import Path
from harness.history import store
root = Path(sys.argv[1])
print("begun", flush=True)
while True:
    for one in sorted((root / "small").iterdir()):
        store.note(one)
    store.rebuild(root)
"""


def test_a_kill_in_the_middle_loses_nothing(root):
    before = known(root)
    for pause_s in (0.02, 0.05, 0.11, 0.17):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            time.sleep(pause_s)
            writer.send_signal(signal.SIGKILL)
        assert known(root) == before
        assert not [*root.glob("*.broken-*")]


def test_several_at_once_wait_for_each_other(root):
    program = WRITER.replace("while True:", "for _ in range(15):") + "print('over')"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [writer.communicate(timeout=120)[0] for writer in writers]
    assert said == ["begun\nover\n"] * 3
    assert values(root) == [10.0, 11.0, 12.0, 13.0, 14.0]


def test_an_export_has_all_of_it(root):
    found = json.loads(as_json(known(root)))
    assert found["version"] == 1
    assert store.read(written(root)) == known(root)
