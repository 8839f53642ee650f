"""`harness compare` and `harness baseline` on the command line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from kit.run_folders import good

from harness.checks.changes import Thresholds
from harness.cli import compare as cli
from harness.cli import main
from harness.errors import StorageError, UsageError
from harness.experiments import agreement


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("sides")
    for name, took_ms in (("base", 2), ("same", 2.001), ("slow", 3)):
        for jitter in range(5):
            good(root / name, took_ms * (1 + jitter / 100))
    return root


def harness(*words, **environment):
    return CliRunner().invoke(
        main, list(map(str, words)), env={"HARNESS_RUNS": None, **environment}
    )


def test_the_exit_code_is_the_answer(folders):
    done = harness("compare", folders / "base", folders / "slow")
    assert done.exit_code == 1, done.output
    assert "worse by more than 20 %" in done.output
    done = harness("compare", folders / "base", folders / "slow", "--failed", 90, "--row", "late*")
    assert done.exit_code == 0, done.output
    alone = [next((folders / name / "small").iterdir()) for name in ("base", "slow")]
    done = harness("compare", *alone)
    assert done.exit_code == 2, done.output
    assert "one run a side" in done.output


def test_formats_and_a_file(folders, tmp_path):
    sides = (folders / "base", folders / "same")
    found = json.loads(harness("compare", *sides, "--json").stdout)
    assert found["version"] == 1
    for format_, begins in (("markdown", "## "), ("html", "<!doctype"), ("json", "{")):
        file = tmp_path / format_
        done = harness("compare", *sides, "--format", format_, "--output", file)
        assert done.stdout == ""
        assert file.read_text().startswith(begins)
    assert (
        harness("compare", *sides, "--json", "--format", "html").exit_code == UsageError.exit_code
    )
    nowhere = tmp_path / "no" / "file"
    done = harness("compare", *sides, "--format", "html", "--output", nowhere)
    assert done.exit_code == StorageError.exit_code


def test_baselines_come_and_go(folders, tmp_path):
    runs = tmp_path / "runs"
    done = harness("baseline", "save", "v1", folders / "base", "--runs", runs)
    assert done.exit_code == 0, done.output
    assert "v1: 5 runs of small" in done.output
    assert "small" in harness("baseline", "list", HARNESS_RUNS=str(runs)).output
    done = harness("compare", "v1", folders / "slow", HARNESS_RUNS=str(runs))
    assert done.exit_code == 1, done.output
    again = harness("baseline", "save", "v1", folders / "base", "--runs", runs)
    assert (again.exit_code, "--replace" in again.output) == (73, True)
    assert harness("baseline", "remove", "v1", "--runs", runs).exit_code == 0
    done = harness("baseline", "remove", "v1", "--runs", runs)
    assert done.exit_code == UsageError.exit_code
    assert "no baselines" in harness("baseline", "list", "--runs", runs).output


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "a", "b"),
        ("compare", ".", "."),
        ("compare", ".", ".", "--failed", "nan"),
        ("compare", ".", ".", "--despite", "kernle"),
        ("baseline", "save", "../x", "."),
        ("baseline", "save", "x"),
        ("baseline", "remove", "x"),
    ],
)
def test_mistakes_are_told_and_no_verdict(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = harness(*words)
    assert done.exit_code in (64, 65), done.output
    assert done.output
    assert not list(tmp_path.iterdir())


def test_defaults_are_those_of_the_check():
    found = Thresholds()
    assert pytest.approx(
        [100 * one for one in (found.said, found.warned, found.failed, found.false_alarms)]
    ) == [cli.SAID, cli.WARNED, cli.FAILED, cli.FALSE_ALARMS]
    assert (*agreement.PARTS, agreement.OTHERS) == cli.PARTS
