from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.checks.verdict import Answer
from harness.cli import main
from harness.cli.soak import clock, live_line, window_sentence
from harness.errors import BadFileError, UsageError
from harness.experiments.soak.play import Told

NEWS = {
    "window": 2,
    "windows": 48,
    "answer": "PASS",
    "pause_s": 7.25,
    "faults": ["cut halves"],
    "problem": "",
    "so_far": "PASS",
}


def told(**others) -> Told:
    values = {
        "folder": Path("x"),
        "number": 3,
        "windows": 48,
        "stage": "phase chaos 12 of 232 s",
        "elapsed_s": 1300.0,
        "left_s": 27500.0,
        "played": 2,
        "judged": 2,
        "answer": Answer.PASS,
        "slopes": ["node-3: rss +2.0 MB/h [1.8, 2.2]"],
        "news": NEWS,
    }
    return Told(**{**values, **others})


def test_the_live_line_says_how_it_stands():
    assert live_line(told()) == (
        "window 3/48, phase chaos 12 of 232 s · 0:21:40 gone, 7:38:20 left · so far PASS "
        "(2 judged) · node-3: rss +2.0 MB/h [1.8, 2.2]"
    )
    assert "nothing judged yet" in live_line(told(answer=None, slopes=[]))


def test_a_window_is_one_sentence():
    assert window_sentence(told()) == (
        "window 2/48 PASS, 7.2 s after the one before; cut halves · so far PASS, 7:38:20 left"
    )
    broken = {**NEWS, "answer": None, "pause_s": None, "faults": [], "problem": "the disk is full"}
    assert window_sentence(told(news={**broken, "so_far": None})) == (
        "window 2/48 not judged; the disk is full · so far nothing judged, 7:38:20 left"
    )


def test_a_clock():
    assert (clock(0), clock(59.6), clock(36_000)) == ("0:00:00", "0:01:00", "10:00:00")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], UsageError.exit_code, "expected WHAT and --for, or --resume FOLDER"),
        (["soak-10"], UsageError.exit_code, "expected WHAT and --for"),
        (["soak-10", "--for", "8 hours"], UsageError.exit_code, "a time such as 8h"),
        (["soak-10", "--for", "8h", "--window", "1x"], UsageError.exit_code, "units: s, m, min"),
        (["soak-10", "--for", "5s"], UsageError.exit_code, "--for: a soak of 5 s"),
        (["--resume", "."], BadFileError.exit_code, "expected the folder of a soak"),
        (["soak-10", "--resume", "."], UsageError.exit_code, "expected no other option"),
    ],
)
def test_what_cannot_be_is_said(words, code, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    done = CliRunner().invoke(main, ["soak", *words])
    assert done.exit_code == code, done.output
    assert says in done.output
    assert not (tmp_path / "runs").exists()
