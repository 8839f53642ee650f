"""A session's folder: what was asked for and broke is said, and each verdict stays what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.suites import BUDGET, part_run

from harness.checks.verdict import Answer
from harness.experiments import suite
from harness.experiments.session.folder import SessionFolder
from harness.history import run_folders

LOOSE, STRICT = 500, 50  # MB; the nodes of kit.suites have 100


@pytest.fixture
def session(tmp_path):
    made = SessionFolder(tmp_path / "runs", "session")
    yield made
    made.close()


def record(session, kind="load"):
    """A load that has begun."""
    name = session.next_name(kind)
    session.began(name, part_run(session.make(), name, LOOSE, planned=True))
    return name


def budget(tmp_path, bound):
    file = tmp_path / f"{bound}.toml"
    file.write_text(BUDGET.format(bound=bound, name="").replace('scenario = ""', ""))
    return file


def answers(judged):
    return [(one.phase, one.answer) for one in judged.verdict.findings if one.name == "memory"]


def test_a_row_without_a_scenario_is_held_against_each_part(session, tmp_path):
    session.ended(record(session))
    session.ended(record(session))
    judged = session.judge(budget(tmp_path, STRICT), {})
    assert answers(judged) == [("load-1/load", Answer.FAIL), ("load-2/load", Answer.FAIL)]


def test_each_verdict_stays_what_it_was_and_the_last_is_the_sessions(session, tmp_path):
    session.ended(record(session))
    first = session.judge(budget(tmp_path, STRICT), {})
    second = session.judge(budget(tmp_path, LOOSE), {})
    none = session.judge(None, {})
    for judged in (first, second, none):
        assert answers(suite.judge(judged.run)) == answers(judged)
    assert [dict(answers(one)) for one in (first, second, none)] == [
        {"load-1/load": Answer.FAIL},
        {"load-1/load": Answer.PASS},
        {},
    ]
    assert answers(suite.judge(session.make())) == []
    assert (tmp_path / "runs" / "latest").resolve() == session.path
    (none.run / "budget.toml").write_text(budget(tmp_path, LOOSE).read_text())
    assert "was added" in str(suite.judge(none.run).verdict)


def test_it_is_moved_whole(session, tmp_path):
    session.ended(record(session))
    session.judge(budget(tmp_path, STRICT), {})
    session.path.rename(tmp_path / "elsewhere")
    for folder in (tmp_path / "elsewhere", tmp_path / "elsewhere" / "verdict-1"):
        assert answers(suite.judge(folder)) == [("load-1/load", Answer.FAIL)]


def test_what_broke_or_never_ended_is_unknown(session, tmp_path):
    session.ended(record(session))
    session.broke(session.next_name("load"), "HarnessError: no")
    session.next_name("wait")
    cut = suite.judge(session.path)  # as it is where the program was killed
    asked = session.judge(None, {"fault a": "nobody proved it"})
    for judged in (cut, asked):
        found = {one.phase: one.sentence for one in judged.verdict.findings if one.cause}
        assert judged.answer is Answer.UNKNOWN
        assert found["load-2"] == "load-2: HarnessError: no"
        assert found["wait-3"] == "wait-3: it was asked for and has not ended"
    assert found["fault a"] == "nobody proved it"


def test_a_program_that_was_killed_in_a_load_leaves_what_it_recorded(session):
    """A load was named only when it had ended: "nothing was measured"."""
    record(session)
    judged = suite.judge(session.path)
    said = [(one.phase, one.sentence) for one in judged.verdict.findings if "played" in one.name]
    assert said == [("load-1", "load-1: it has begun and has not ended")]
    assert [part.name for part in judged.parts] == ["load-1"]
    assert judged.verdict.answer is Answer.UNKNOWN


def test_it_is_one_of_the_runs_and_nobody_prunes_it_while_it_is_open(session):
    session.ended(record(session))
    [listed] = run_folders.listed(session.path.parents[1])
    assert (listed.kind, listed.busy is None) == ("suite", False)
    assert run_folders.is_held(session.path)
    session.close()
    assert not run_folders.is_held(session.path)
    assert json.loads((Path(session.path) / "suite.json").read_text())["planned"] == ["load-1"]
