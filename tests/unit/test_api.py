"""The Python API: cheap to import, whole, and without an answer that misleads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kit.verdicts import FACTS

import harness
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.experiments.judge import Judged
from harness.pytest_plugin import SCOPES, _slug


def judged(*answers):
    findings = tuple(
        Finding(
            name="row",
            answer=answer,
            promised="< 1 ms",
            measured="2 ms",
            sentence="it says why",
            cause=Cause.HOST_LIMITED if answer is Answer.UNKNOWN else None,
        )
        for answer in answers
    )
    return Judged(run=Path("runs/a"), verdict=Verdict(findings=findings), facts=FACTS)


def test_only_a_pass_has_passed_and_else_a_sentence_says_why():
    assert judged(Answer.PASS).passed
    assert not judged(Answer.PASS).why
    for answers in [(Answer.PASS, Answer.UNKNOWN), (Answer.FAIL,), (Answer.MEASURED,), ()]:
        found = judged(*answers)
        assert found.passed is False
        assert found.why.endswith(".")
        assert str(found.answer) in repr(found)
    for found in (judged(Answer.PASS, Answer.UNKNOWN), judged(Answer.FAIL)):
        assert "it says why" in found.why
        assert "row: it says why" in repr(found)  # what a failed assertion shows


def test_a_verdict_is_neither_true_nor_false():
    for found in (judged(Answer.UNKNOWN), judged(Answer.UNKNOWN).verdict):
        with pytest.raises(TypeError, match="neither true nor false"):
            bool(found)
    for never in (True, "PASS", Answer.PASS):
        with pytest.raises(TypeError, match="is never"):
            _ = judged(Answer.PASS) == never


@pytest.mark.parametrize("answer", list(Answer))
def test_nor_is_an_answer(answer):
    """`if judged.answer:` and `assert verdict.answer` were true of a FAIL."""
    with pytest.raises(TypeError, match=f"{answer} is an answer, neither true nor false: ask `is"):
        bool(answer)
    assert json.loads(json.dumps({"answer": answer})) == {"answer": str(answer)}
    assert (answer == "FAIL") is (answer is Answer.FAIL)


def test_every_name_of_the_api_is_there_and_documented():
    assert set(harness.__all__) == set(harness._HOMES)
    for name in harness.__all__:
        assert getattr(harness, name).__doc__, name
    with pytest.raises(AttributeError, match="nope"):
        _ = harness.nope


def test_importing_it_and_its_plugin_loads_nothing_heavy():
    program = (
        "import sys, harness, harness.pytest_plugin; "
        "print([one for one in sys.modules if one.split('.')[0] in "
        "('numpy', 'pyarrow', 'docker', 'scipy', 'click') or one.startswith('harness.')])"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said == "['harness.pytest_plugin']\n"


def test_a_folder_is_called_as_its_test():
    assert _slug("test_it[cluster-10-True]") == "test-it-cluster-10-true"
    assert _slug("test_" + "x" * 60) == "test-" + "x" * 27
    assert _slug("[é]") == "test"
    assert SCOPES[0] == "function"
