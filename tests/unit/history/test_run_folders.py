"""Run folders are listed, and the oldest go: never one that is written, pointed at, kept or of
somebody else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from kit import judged_folders as folders

from harness.control import state
from harness.errors import StorageError
from harness.history import pruning, run_folders, store
from harness.history.database import Database
from harness.history.folder import RunFolder


@pytest.fixture
def root(tmp_path):
    """A folder of eight runs, of which the second failed."""
    runs = tmp_path / "runs"
    for number in range(8):
        answer = "FAIL" if number == 1 else "PASS"
        folders.run(runs, number, [folders.row(10.0 + number)], answer=answer)
    return runs


def names(root):
    return [one.name for one in run_folders.listed(root)]


def prune(root, keep, keep_failures=0):
    """Remove what is chosen; return the names that stay with why."""
    choices = pruning.choose(run_folders.listed(root), keep, keep_failures)
    for one in choices:
        if one.stays is None:
            pruning.remove(root, one.folder)
    return {one.folder.name[-20:]: one.stays for one in choices if one.stays is not None}


def day(number):
    return f"small/2026-03-{number + 1:02}T02-00-00"


def test_they_are_listed_the_oldest_first(root):
    assert names(root) == [day(number) for number in range(8)]
    last = run_folders.listed(root)[-1]
    assert (last.answer, last.is_latest, last.busy, last.kind) == ("PASS", True, None, "run")
    assert last.size_bytes > 4096


def test_the_newest_stay_and_the_history_keeps_the_rows_of_the_others(root):
    prune(root, 3)
    assert names(root) == [day(5), day(6), day(7)]
    for _ in range(2):
        with store.opened(root) as database:
            assert [one.rows[0].value for one in database.entries()] == [
                10.0 + number for number in range(8)
            ]
        (root / "history.db").unlink()


def test_what_is_known_of_a_verdict_that_was_torn_is_kept(root):
    store.opened(root).close()
    (root / day(0) / "verdict.json").write_text("{")
    old = folders.FIRST.timestamp()
    os.utime(root / day(0) / "verdict.json", (old, old))
    prune(root, 3)
    assert len(names(root)) == 3
    (root / "history.db").unlink()
    with store.opened(root) as database:
        assert len(database.entries()) == 8


def test_failures_stay(root):
    stays = prune(root, 2, keep_failures=1)
    assert names(root) == [day(1), day(6), day(7)]
    assert "newest 1 failures" in stays[day(1)[-20:]]


def test_what_latest_points_to_stays(root):
    folders.point(root, root / day(0))
    prune(root, 1)
    assert names(root) == [day(0), day(7)]


def test_keep_none_keeps_latest_alone(root):
    prune(root, 0)
    assert names(root) == [day(7)]


def test_what_is_written_stays(root):
    writing = RunFolder(root, "small")
    folders.point(root, root / day(7))
    (writing.path / "verdict.json").write_text('{"answer": "PASS", "findings": []}')
    old = time.time() - 9e6
    for path in [writing.path, *writing.path.rglob("*")]:
        os.utime(path, (old, old))
    [found] = [one for one in run_folders.listed(root) if one.busy]
    assert root / found.name == writing.path
    prune(root, 0)
    assert writing.path.exists()
    with pytest.raises(StorageError, match="being written"):
        pruning.remove(root, found)
    writing.close()
    assert not [one for one in run_folders.listed(root) if one.busy]
    prune(root, 0)
    assert not writing.path.exists()


def test_a_process_that_was_forked_meanwhile_does_not_hold_it(root):
    writing = RunFolder(root, "small")
    child = os.fork()
    if not child:
        time.sleep(20)
        os._exit(0)
    try:
        writing.close()
        assert not run_folders.is_held(writing.path)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_run_that_is_not_judged_yet_stays_for_an_hour(root):
    path = root / day(2)
    (path / "verdict.json").unlink()
    os.utime(path / "metadata.json")
    prune(root, 1)
    assert names(root) == [day(2), day(7)]
    old = time.time() - 2 * run_folders.UNJUDGED_S
    os.utime(path / "metadata.json", (old, old))
    prune(root, 1)
    assert names(root) == [day(7)]


def test_a_suite_goes_and_stays_with_its_parts(root):
    suite = folders.suite(root, 3, {"small": root / day(3), "other": root / day(4)})
    [found] = [one for one in run_folders.listed(root) if one.kind == "suite"]
    assert found.parts == (day(3), day(4))
    assert len(names(root)) == 7
    assert found.size_bytes > sum(
        one.stat().st_size for part in found.parts for one in (root / part).iterdir()
    )
    folders.point(root, root / day(4))  # of which it is a part
    prune(root, 1)
    assert names(root) == ["all/2026-03-04T02-00-00", day(7)]
    folders.point(root, root / day(7))
    prune(root, 1)
    assert names(root) == [day(7)]
    assert not suite.parent.exists()
    with store.opened(root) as database:
        assert len(database.entries()) == 9


def test_a_suite_that_lies_about_its_parts_takes_none_along(root):
    folders.suite(root, 5, {"a": root / day(0), "b": root, "c": root.parent, "d": root / "small"})
    found = [one for one in run_folders.listed(root) if one.kind == "suite"]
    assert [one.parts for one in found] == [()]


def test_a_soak_goes_with_its_windows_and_stays_while_it_is_played(root):
    soak = folders.soak(root, 0, [3.0, 4.0])
    name = "steady/2026-03-01T02-00-00"
    handle = run_folders.hold(soak / "windows" / "0002")
    prune(root, 1)
    assert names(root) == [name, day(7)]
    run_folders.let_go(handle)
    lock = state.lock_file(soak / "soak.lock")
    prune(root, 1)
    assert names(root) == [name, day(7)]
    os.close(lock)
    prune(root, 1)
    assert names(root) == [day(7)]
    with store.opened(root) as database:
        kinds = [one.kind for one in database.entries()]
    assert (kinds.count("window"), kinds.count("soak")) == (2, 1)


def test_the_run_of_a_window_makes_no_history_of_its_own(root):
    window = folders.soak(root, 0, [3.0]) / "windows" / "0001"
    store.note(folders.run(window, 0, [folders.row(3.0)], name="steady"))
    assert not (window / "history.db").exists()
    store.note(window)
    with Database(root) as database:
        assert [one.kind for one in database.entries()] == ["window"]


def test_no_link_is_followed_and_nothing_else_is_touched(root, tmp_path):
    outside = tmp_path / "outside"
    folders.run(outside, 0, [folders.row(1.0)])
    (root / "linked").symlink_to(outside / "small")
    (root / "small" / "2026-01-01T00-00-00").symlink_to(outside / "small" / day(0)[6:])
    (root / day(0) / "link").symlink_to(outside)
    mine = root / "notes" / "2026-01-01T00-00-00"
    mine.mkdir(parents=True)
    (mine / "text").write_text("no run of the harness")
    (root / "metadata.json").write_text("{}")
    before = sorted(str(one) for one in outside.rglob("*"))
    prune(root, 1)
    assert names(root) == [day(7)]
    assert sorted(str(one) for one in outside.rglob("*")) == before
    assert (mine / "text").exists()
    assert (root / "linked").is_symlink()


@pytest.mark.parametrize("name", ["..", "../outside", "small", "/", "small/..", "a/b/c", "gone/x"])
def test_what_is_no_folder_of_runs_is_not_removed(root, name):
    (root.parent / "outside").mkdir()
    [*_, last] = run_folders.listed(root)
    with pytest.raises(StorageError, match="expected a folder"):
        pruning.remove(
            root,
            run_folders.RunFolder(
                **{key: getattr(last, key) for key in last.__dataclass_fields__} | {"name": name}
            ),
        )
    assert len(names(root)) == 8


def test_two_prunes_at_once_remove_each_folder_once(root):
    words = [sys.executable, "-m", "harness", "runs", "--runs", str(root), "prune", "--keep", "2"]
    words += ["--keep-failures", "0"]
    both = [
        subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [json.loads(one.communicate(timeout=120)[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(len(one["gone"]) for one in said) == [0, 6]
    assert names(root) == [day(6), day(7)]


def test_what_a_killed_prune_left_goes_with_the_next(root):
    (root / day(0)).rename(root / "small" / f"{run_folders.GOING}2026-03-01T02-00-00")
    assert len(names(root)) == 7
    assert pruning.remove_leftovers(root) == 1
    assert not [*root.glob("*/.*")]


def test_a_folder_whose_rows_cannot_be_kept_stays(root):
    (root / store.KEPT).mkdir()
    with pytest.raises(StorageError, match="history-kept"):
        prune(root, 1)
    assert len(names(root)) == 8
