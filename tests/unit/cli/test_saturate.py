"""What `harness saturate` prints of a search: each try, the answer, and where the page is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.checks.verdict import Answer
from harness.cli import main
from harness.errors import InterruptedByUserError
from harness.experiments.saturate import Saturating
from harness.experiments.saturation import NODES, RATE, Saturation, Try

HELD = Try(at=1_200.0, answer=Answer.PASS, why="p99 < 50 ms: 12 ms; kept", values={"p99": 12.0})
MISSED = replace(HELD, at=2_400.0, answer=Answer.FAIL, why="p99 < 50 ms: 80 ms; \x1b[2Jmissed")


def searched(monkeypatch, tmp_path, found, *words, is_interrupted=False):
    """Run the command, which finds this."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    answer = (tmp_path, found, is_interrupted)
    monkeypatch.setattr(Saturating, "play", lambda *_: answer)
    monkeypatch.setattr("harness.experiments.saturate.up", lambda *_, **__: {})
    monkeypatch.setattr("harness.experiments.saturate.down", lambda *_: False)
    asked = ["saturate", "demo", "--stream", "private_message", "--until", "p99 < 50 ms"]
    return CliRunner().invoke(main, [*asked, *words])


@pytest.mark.parametrize(
    ("searching", "words", "at"),
    [(RATE, (), ("1,200/s", "2,400/s")), (NODES, ("--nodes",), ("1,200 nodes", "2,400 nodes"))],
)
def test_the_text_has_each_try_and_the_answer(monkeypatch, tmp_path, searching, words, at):
    """Each text with a try ended in a traceback (70)."""
    found = Saturation(tries=(HELD, MISSED), searched=searching)
    done = searched(monkeypatch, tmp_path, found, *words)
    assert done.exit_code == 0, done.output
    held, missed, answer, where = done.output.splitlines()
    assert held.split(maxsplit=len(at[0].split()))[-1] == "PASS    p99 < 50 ms: 12 ms; kept"
    assert held.strip().startswith(at[0])
    assert missed.strip().startswith(at[1])
    assert "FAIL    p99 < 50 ms: 80 ms" in missed
    assert "\x1b" not in done.output
    assert answer.startswith(f"PASS: {at[0]} held in its only try, {at[1]} did not (")
    assert where == str(tmp_path / "saturation.html")


@pytest.mark.parametrize(
    ("tries", "is_interrupted", "code"),
    [
        ((MISSED,), False, 1),
        ((replace(MISSED, answer=Answer.UNKNOWN),), False, 2),
        ((), False, 2),
        ((HELD,), True, InterruptedByUserError.exit_code),
    ],
)
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_the_exit_code_is_the_answers(monkeypatch, tmp_path, tries, is_interrupted, code, words):
    found = Saturation(tries=tries)
    done = searched(monkeypatch, tmp_path, found, *words, is_interrupted=is_interrupted)
    assert done.exit_code == code, done.output
    if words:
        assert json.loads(done.output)["interrupted"] is is_interrupted
    else:
        answer = done.output.splitlines()[-2]
        assert answer.endswith("; the search was interrupted") is is_interrupted
