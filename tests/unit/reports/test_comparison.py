"""A comparison as text, Markdown and a page: the same said in each, and nothing of it markup."""

from __future__ import annotations

import json

import pytest

from harness.reports import comparison, markdown

EVIL = "<script>alert(1)</script>|`*"


def row(name="p50", **more):
    plain = {
        "phase": "load",
        "name": name,
        "unit": "ms",
        "better": "lower",
        "answer": "PASS",
        "level": "none",
        "is_worse": False,
        "sentence": "no change shown",
        "base": 10.0,
        "head": 10.1,
        "change": 0.01,
        "low": -0.02,
        "high": 0.04,
        "p": 0.7,
    }
    return {**plain, **more}


def facts(*rows, **more):
    side = {
        "named": "runs/a",
        "scenario": "small",
        "runs": [{"run": "/r", "started": "2026", "answer": "PASS", "others": 0.1}],
    }
    plain = {
        "version": 1,
        "answer": "FAIL",
        "exit_code": 1,
        "sentence": "of 1 rows 1 worse by more than 20%",
        "base": side,
        "head": {**side, "named": "runs/b"},
        "thresholds": {"said": 0.05, "warned": 0.1, "failed": 0.2, "false_alarms": 0.01},
        "confidence": 0.95,
        "differs": {"kernel": ["release: a / b"], "subject": ["meshnode: 1 / 2"]},
        "despite": ["kernel"],
        "remarks": ["a remark"],
        "rows": list(rows),
    }
    return {**plain, **more}


WORSE = row(
    "p99", answer="FAIL", level="failed", is_worse=True, change=0.3, sentence="worse", p=0.004
)


@pytest.mark.parametrize("format_", ["text", "markdown", "html"])
def test_what_is_said_is_said_in_each(format_):
    said = comparison.rendered(facts(row(), WORSE), format_)
    for part in ("runs/a", "runs/b", "p50", "p99", "+30 %", "FAIL", "a remark", "at most 1 %"):
        assert part in said.replace("\\", "").replace("\n", " "), part
    assert said.index("p99") < said.index("p50"), "the worst first"
    assert "differs, and may: kernel: release: a / b" in said.replace("\\", "")
    assert "compared: subject: meshnode: 1 / 2" in said.replace("\\", "")


def test_json_is_what_it_is():
    assert json.loads(comparison.rendered(facts(row()), "json")) == facts(row())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "PASS"),
        ({"level": "warned", "is_worse": True}, "PASS (warned)"),
        ({"level": "failed"}, "PASS (better)"),
        ({"level": "said", "answer": "MEASURED"}, "MEASURED (changed)"),
        ({"level": "failed", "is_worse": True, "answer": "FAIL"}, "FAIL"),
    ],
)
def test_how_far_a_change_goes_stands_beside_the_answer(changes, said):
    assert f" {said}  " in comparison.as_text(facts(row(**changes)))


def test_what_is_not_known_is_a_dash():
    unknown = dict.fromkeys(("base", "head", "change", "low", "high", "p"))
    said = comparison.as_text(facts(row(answer="UNKNOWN", sentence="why", **unknown)))
    assert said.count("–") >= 4
    assert "false alarms" not in said, "nothing was tested"
    assert "<circle" not in comparison.page(facts(row(**unknown)))


def test_nothing_is_markup():
    evil = facts(
        row(EVIL, phase=EVIL, sentence=EVIL, unit=EVIL), remarks=[EVIL], differs={"load": [EVIL]}
    )
    evil["base"]["named"] = evil["base"]["runs"][0]["run"] = EVIL
    page = comparison.page(evil)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in comparison.to_markdown(evil)
    for line in comparison.to_markdown(evil).splitlines():
        if line.startswith("| "):
            assert line.replace("\\|", "").count("|") == len(comparison.HEADS) + 1


def test_a_comment_is_never_too_long():
    many = [row(f"row {number}", sentence="x" * 300) for number in range(2000)]
    said = comparison.to_markdown(facts(*many, WORSE))
    assert len(said) <= markdown.MAX_CHARACTERS
    assert "more" in said
    assert "p99" in said


def test_a_picture_stays_in_its_frame():
    far = row(change=9.0, low=-0.99, high=80.0)
    page = comparison.page(facts(far))
    [circle] = [part for part in page.split("<") if part.startswith("circle")]
    assert f"cx='{comparison.WIDTH - 6:.1f}'" in circle
