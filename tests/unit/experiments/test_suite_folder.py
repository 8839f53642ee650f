"""A suite's folder closes itself off: what was edited in it by hand is said, and is no PASS."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from kit.suites import BUDGET, part_run

from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.experiments import suite, suite_folder
from harness.history import manifest


@pytest.fixture
def folder(tmp_path):
    """A suite that passes: it promises something of part a, and nothing of b."""
    made = tmp_path / "s" / "now"
    made.mkdir(parents=True)
    (made / "budget.toml").write_text(BUDGET.format(bound=200, name="a"))
    runs = {name: closed_run(tmp_path, name) for name in ("a", "b")}
    parts = {name: os.path.relpath(run, made) for name, run in runs.items()}
    suite_folder.write(made, "s", list(parts), parts, {})
    assert suite.judge(made).verdict.answer is Answer.PASS
    return made


def closed_run(runs, name, bound_mb=500):
    run = part_run(runs, name, bound_mb)
    manifest.write(run)
    return run


def edited(folder, **values):
    """What suite.json says, changed by hand."""
    found = json.loads((folder / "suite.json").read_text())
    (folder / "suite.json").write_text(json.dumps({**found, **values}))


def said_of(folder):
    judged = suite.judge(folder).verdict
    [said] = [one for one in judged.findings if one.name == "record: whole"]
    assert (judged.answer, said.answer, said.cause) == (Answer.UNKNOWN, Answer.UNKNOWN, Cause.GAP)
    return said


def test_a_part_that_was_taken_out_is_said(folder):
    """No row is about it, so what it broke left the verdict with it: PASS."""
    found = suite_folder.read(folder)
    edited(folder, planned=["a"], parts={"a": found["parts"]["a"]})
    said = said_of(folder)
    assert said.measured == "2 gaps"
    assert said.sentence == (
        "suite.json of the suite is not as it was; the run of b is not the one that was played"
    )


def test_a_run_that_took_a_part_s_place_is_said(folder):
    """It is whole, and as good as the one that was played: PASS."""
    run = folder / suite_folder.read(folder)["parts"]["b"]
    kept = run.with_name("kept")
    run.rename(kept)
    other = closed_run(run.parent.parent, "b", 400)
    shutil.move(other, run)
    assert said_of(folder).sentence == "the run of b is not the one that was played"
    shutil.rmtree(run)
    kept.rename(run)
    assert suite.judge(folder).verdict.answer is Answer.PASS


def test_a_run_in_the_place_of_one_that_broke_before_it_was_closed_is_said(folder, tmp_path):
    """Nothing closed the run off; what it began with tells it from another."""
    broken, other = part_run(tmp_path / "x", "c", 500), closed_run(tmp_path / "y", "c")
    begins(broken, 7)
    begins(other, 8)
    manifest.write(other)
    parts = {"c": os.path.relpath(broken, folder)}
    why = {"c": "UnavailableError: its supervisor is gone"}
    suite_folder.write(folder, "s", ["c"], parts, why)
    found = suite_folder.read(folder)
    assert suite_folder.own_rows(folder, found)[1] == []
    manifest.write(broken)  # whoever closes it off later makes no other run of it
    assert suite_folder.own_rows(folder, found)[1] == []
    shutil.rmtree(broken)
    shutil.move(other, broken)
    [said] = suite_folder.own_rows(folder, found)[1]
    assert said.sentence == "the run of c is not the one that was played"


def begins(run, at_ns):
    (run / "events.jsonl").write_text(f'{{"at_ns": {at_ns}, "event": "begin"}}\n')


def test_what_an_earlier_version_wrote_is_said(folder):
    edited(folder, version=1)
    assert "an earlier version wrote suite.json" in said_of(folder).sentence


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": 1, "parts": {}, "failures": {}}', "{"])
def test_a_suite_json_that_says_nothing_is_a_bad_file(folder, text):
    (folder / "suite.json").write_text(text)
    with pytest.raises(BadFileError, match=r"suite\.json: cannot be read: "):
        suite.judge(folder)
