"""What `shrink` names at its end is there, whatever ended it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.cli import main, progress
from harness.errors import InterruptedByUserError
from harness.experiments.laboratory import Laboratory
from harness.experiments.sequential_test import FAILURES_WANTED, Outcome
from harness.history import manifest
from harness.scenario import files

TOPOLOGY = "name = 'four'\nadapter = 'meshnode'\n[nodes]\ncount = 4\n[shape]\nkind = 'full-mesh'\n"


@pytest.fixture
def failed(tmp_path) -> Path:
    """A run whose latency is not what was promised."""
    folder = run_folders.good(tmp_path)
    (folder / "topology.toml").write_text(TOPOLOGY)
    text = (folder / "budget.toml").read_text()
    (folder / "budget.toml").write_text(text.replace("bound = 10.0", "bound = 0.001", 1))
    manifest.write(folder)
    return folder


def ended(monkeypatch, outcome, plays, *words):
    """`harness shrink`: so many runs come out so, then somebody presses Ctrl-C."""
    runs = iter(range(plays))

    def play(lab, case, file=None):
        if next(runs, None) is None:
            raise InterruptedByUserError("interrupted")
        return outcome

    monkeypatch.setattr(Laboratory, "play", play)
    monkeypatch.setattr(progress, "end_like_ctrl_c", lambda: None)  # signals are of a process
    return CliRunner().invoke(main, ["shrink", *words, "--for", "60m"])


@pytest.mark.parametrize("plays", [0, FAILURES_WANTED + 2])
def test_the_last_line_names_what_was_written(failed, tmp_path, monkeypatch, plays):
    """Before it is known how often the original fails there is no smallest one to be copied."""
    out = tmp_path / "small.toml"
    words = (str(failed), "--runs", str(tmp_path / "runs"), "--out", str(out))
    done = ended(monkeypatch, Outcome.FAILS, plays, *words)
    assert done.exit_code == 130, done.output
    named = Path(done.stdout.splitlines()[-1])
    assert (named == out) == out.exists() == bool(plays)
    assert named.name == ("small.toml" if plays else "smallest.toml")
    assert files.read_scenario(named).topology.nodes


def test_of_an_original_that_did_not_fail_again_nothing_is_copied(failed, tmp_path, monkeypatch):
    out = tmp_path / "small.toml"
    words = (str(failed), "--runs", str(tmp_path / "runs"), "--out", str(out))
    done = ended(monkeypatch, Outcome.PASSES, 1000, *words)
    assert done.exit_code == 2, done.output
    assert "there is nothing to go by" in done.output
    assert not out.exists()
    assert Path(done.stdout.splitlines()[-1]).is_file()
