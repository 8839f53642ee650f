"""Checks that a scenario asks for: by word, or somebody's own, which may do anything."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from kit import run_folders
from kit.histories import history, operation, record

from harness import checks
from harness.checks import record as record_check
from harness.checks import selection, time_limit
from harness.checks.verdict import Answer, Cause
from harness.errors import UsageError
from harness.experiments import judge
from harness.history import manifest
from harness.history.gaps import Gap, Part

OWN = """
import time

from harness.checks.verdict import Answer, Finding
from harness.history.gaps import Part

def check(history):
    count = history.operations.num_rows
    return [Finding(name="mine: some", answer=Answer.PASS, promised="some", measured=f"{count}",
                    sentence="counted")]

check.needs = frozenset({Part.OPERATIONS})

def of_all(history):
    return [Finding(name="mine: all", answer=Answer.PASS, promised="", measured="", sentence="")]

def nothing(history):
    return []

def broken(history):
    raise KeyError("oops")

def ends(history):
    raise SystemExit(3)

def silent(history):
    return None

def prints(history):
    print("debugging")
    return made()

def made(**more):
    return [Finding(**{"name": "mine", "answer": Answer.PASS, "promised": "", "measured": "",
                       "sentence": "", **more})]

def shouts(history):
    return made(answer="fail")

def counts(history):
    return made(measured=3)

def borrows(history):
    return made(name="nodes: alive throughout")

def changes(history):
    history.journal["at_ns"] -= history.journal["at_ns"].min()
    return made()

def mistaken(history):
    return made()

mistaken.needs = frozenset({"journals"})

def says_none(history):
    return made()

says_none.needs = None

def endless(history):
    while True:
        try:
            time.sleep(10)
        except Exception:
            pass

number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own on the path."""
    (tmp_path / "own_checks.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("def check(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("own_checks", "own_broken"):
        sys.modules.pop(name, None)


def asked(*names, **more):
    """The findings of a run of one message whose scenario asks for these."""
    found = history([operation(1)], [record(1)], checks=names, **more)
    return {one.name: one for one in checks.judge(found, ()).findings}


def test_every_word_of_the_table_is_a_check():
    for name in selection.TABLE:
        assert callable(selection.load(name))
        assert not selection.is_foreign(name)
        assert name in record_check.NEEDS, "or a gap that is none of its business ends it"
    assert selection.require([*selection.TABLE]) == ""


def test_nothing_is_asked_of_a_run_that_asks_for_nothing():
    assert not [name for name in asked() if name.startswith(("ordered", "mine"))]


def test_what_is_asked_for_and_had_nothing_to_check_is_unknown():
    """A single message has no order, and there was no cut: each is said, none is PASS."""
    found = asked("ordered", "isolation")
    for name in ("ordered", "isolation"):
        finding = found[f"{name}: something to check"]
        assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.VACUOUS)
        assert f"the check {name}" in finding.sentence


def test_a_check_of_ones_own_is_a_row_like_any(own):
    assert asked("own_checks:check")["mine: some"].answer is Answer.PASS
    empty = asked("own_checks:nothing")["own_checks:nothing: something to check"]
    assert empty.cause is Cause.VACUOUS


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own_checks:broken", "KeyError: 'oops'"),
        ("own_checks:ends", "SystemExit: 3"),
        ("own_checks:silent", "expected a list of findings, found None"),
        ("own_checks:shouts", "expected an Answer, and a Cause or None; found 'fail'"),
        ("own_checks:counts", "finding 'mine': measured: expected str"),
        ("own_checks:borrows", "of names of its own, found 'nodes: alive throughout'"),
        ("own_checks:changes", "read-only"),
        ("own_checks:mistaken", "needs: expected a set of parts of a record"),
        ("own_checks:missing", "cannot be loaded"),
        ("own_checks:number", "expected a function of a history, found 7"),
        ("own_broken:check", "SyntaxError"),
        ("no_such_module:check", "is its folder on PYTHONPATH?"),
        ("orderd", "did you mean 'ordered'"),
        ("ordered within 5 s", "membership alone takes a time"),
        ("membership within 5 h", "expected a time such as 80ms, found '5 h'"),
        ("membership within 0 s", "expected a time above 0"),
        ("own_checks:check within 5 s", "membership alone takes a time"),
        ("os:abort", "expected a check of yours"),
        ("pip.__main__:main", "expected a check of yours"),
    ],
)
def test_a_check_that_breaks_is_unknown(own, name, says):
    finding = asked(name)[name]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.CHECKER_BROKE)
    assert says in finding.sentence


def test_a_check_that_never_ends_is_unknown_and_the_others_judge(own, monkeypatch):
    """The judge waited for ever. An alarm that was set before still comes."""
    monkeypatch.setattr(time_limit, "CHECK_S", 0.2)
    came = []
    handler = signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    before = signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        found = asked("own_checks:endless", "own_checks:check")
        left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 3000 < left_s < 3600
        assert not came
        signal.raise_signal(signal.SIGALRM)
        assert came
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)
    broke = found["own_checks:endless"]
    assert (broke.answer, broke.cause) == (Answer.UNKNOWN, Cause.CHECKER_BROKE)
    assert "did not end within 0.2 s" in broke.sentence
    assert found["mine: some"].answer is Answer.PASS


def test_a_check_that_does_not_say_what_it_needs_rests_on_all(own):
    """Also where it says None, which no set of parts is."""
    torn = (Gap(what=frozenset({Part.SAMPLES}), why="torn"),)
    assert asked("own_checks:says_none", gaps=torn)["mine"].cause is Cause.GAP


def test_what_a_check_prints_is_none_of_the_answer(own, capsys):
    """`harness judge --json` is read by programs."""
    selection.require(["own_checks:prints"])
    assert asked("own_checks:prints")["mine"].answer is Answer.PASS
    assert capsys.readouterr() == ("", "debugging\n")


def test_two_checks_of_a_register_share_findings():
    found = asked("register", "register-by-side")
    assert {one.cause for name, one in found.items() if "register" in name} == {Cause.VACUOUS}


@pytest.mark.parametrize(
    "name",
    [
        "orderd",
        "own_checks:missing",
        "own_broken:check",
        "own_checks:mistaken",
        "membership within x",
    ],
)
def test_what_cannot_be_had_is_refused_before_a_run(own, name):
    with pytest.raises(UsageError, match="checks"):
        selection.require([name])


def test_nobody_elses_code_runs_where_that_is_not_wanted():
    said = selection.require(["ordered", "no_such_module:check"], imports=False)
    assert "no_such_module:check was not looked at" in said


def test_the_folder_says_which_checks_it_is_held_to(own, tmp_path):
    """The same verdict anywhere: nothing but the folder is asked."""
    folder = run_folders.good(tmp_path / "runs")
    facts = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(
        json.dumps({**facts, "checks": ["ordered", "own_checks:check", "own_checks:of_all"]})
    )
    manifest.write(folder)
    found = {one.name: one for one in judge.judge(folder, write=False).verdict.findings}
    assert found["ordered: private messages of each pair, as they were sent"].answer is Answer.PASS
    assert found["mine: some"].answer is Answer.PASS
    # One that does not say what it needs rests on all, of which the histograms have a gap.
    assert found["mine: all"].cause is Cause.GAP
