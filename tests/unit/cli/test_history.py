"""`harness history` and `harness runs`, as a user calls them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from kit import judged_folders as folders
from kit import run_folders as whole

from harness.cli import main
from harness.errors import BadFileError, StorageError, UsageError
from harness.experiments import judge
from harness.history.database import Database


@pytest.fixture
def root(tmp_path):
    runs = tmp_path / "runs"
    for number in range(12):
        folders.run(runs, number, [folders.row(20 * 1.03**number)])
    return runs


def said(*words, code=0):
    done = CliRunner().invoke(main, [str(one) for one in words])
    assert done.exit_code == code, done.output
    return done


def test_history_tells_and_writes_the_page(root):
    out = said("history", "--runs", root).stdout
    assert "1 of 1 rows got worse" in out
    assert "drifts +3." in out
    assert "What got worse" in (root / "history.html").read_text()


def test_json_says_the_same_and_writes_no_page(root):
    found = json.loads(said("history", "--runs", root, "--json").stdout)
    assert found["runs"] == 12
    [one] = found["series"]
    assert one["changes"][0]["is_degradation"]
    assert len(one["points"]) == 12
    assert not (root / "history.html").exists()


def test_options_are_heard(root, tmp_path):
    folders.run(root, 0, [folders.row(1.0)], name="other")
    page = tmp_path / "page.html"
    words = ["history", "--runs", root, "--json", "--last", 7, "--scenario", "small"]
    [one] = json.loads(said(*words, "--least", 50, "--page", page).stdout)["series"]
    assert len(one["points"]) == 7
    assert not one["changes"][0]["is_degradation"]
    assert page.exists()
    assert said(*words, "--false-alarms", 0).exit_code == 0
    assert "none" in said("history", "--runs", root, "--scenario", "none", code=64).output


def test_a_folder_that_is_not_there_is_said(tmp_path):
    gone = tmp_path / "gone"
    assert "gone" in said("history", "--runs", gone, code=StorageError.exit_code).output
    said("runs", "--runs", gone, "list", code=BadFileError.exit_code)
    said("runs", "--runs", gone, "prune", code=BadFileError.exit_code)
    assert not gone.exists()


def test_rebuild_export_and_merge(root, tmp_path):
    assert json.loads(said("history", "--runs", root, "rebuild", "--json").stdout)["added"] == 12
    file, other = tmp_path / "all.json", tmp_path / "other"
    assert said("history", "--runs", root, "export", "--output", file).stdout == ""
    assert said("history", "--runs", root, "export", "--json").stdout == file.read_text()
    out = said("history", "--runs", other, "merge", file).stdout
    assert "12 added" in out
    assert "12 same" in said("history", "--runs", other, "merge", root / "history.db").stdout
    words = ["history", "--runs", other, "export", "--format"]
    assert len(said(*words, "csv").stdout.splitlines()) == 13
    found = json.loads(said(*words, "github-action-benchmark").stdout)
    assert len(found) == 1
    assert (
        json.loads(said(*words, "github-action-benchmark", "--tool", "customBiggerIsBetter").stdout)
        == []
    )
    said(*words, "csv", "--json", code=UsageError.exit_code)
    said(*words, "csv", "--tool", "customBiggerIsBetter", code=UsageError.exit_code)
    (tmp_path / "bad").write_text("{}")
    said("history", "--runs", other, "merge", tmp_path / "bad", code=BadFileError.exit_code)


def test_runs_are_listed_and_pruned(root):
    out = said("runs", "--runs", root, "list").stdout
    assert "12 run folders" in out
    assert "latest" in out
    dry = json.loads(
        said("runs", "--runs", root, "prune", "--keep", 4, "--dry-run", "--json").stdout
    )
    assert len(dry["gone"]) == 8
    assert len(list((root / "small").iterdir())) == 12
    assert "8 of 12 run folders went" in said("runs", "--runs", root, "prune", "--keep", 4).stdout
    assert len(list((root / "small").iterdir())) == 4
    found = json.loads(said("history", "--runs", root, "--json").stdout)
    assert found["runs"] == 12
    assert said("runs", "--runs", root, "prune", "--keep", -1, code=64).exit_code == 64


def test_a_run_that_is_judged_and_judged_again_is_in_it_once(tmp_path):
    """By the judge itself, of a whole run folder."""
    run = whole.good(tmp_path)
    for _ in range(2):
        judge.judge(run)
        with Database(tmp_path) as database:
            [entry] = database.entries()
    assert entry.run == run.relative_to(tmp_path).as_posix()
    verdict = json.loads((run / "verdict.json").read_text())
    assert [one.name for one in entry.rows] == [one["name"] for one in verdict["findings"]]
    assert entry.answer == verdict["answer"]


def test_a_broken_database_fails_no_judge(tmp_path):
    run = whole.good(tmp_path)
    (tmp_path / "history.db").write_text("no database\n" * 100)
    assert judge.judge(run).verdict.findings
    found = said("history", "--runs", tmp_path, "--json")
    assert json.loads(found.stdout)["runs"] == 1
    assert "made anew" in found.stderr
