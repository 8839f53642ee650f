"""What a criterion of a gate answers to the verdicts of its runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.record import WHOLE
from harness.checks.verdict import Answer, Cause, Finding, Verdict, worst

# What a gate says, by the answer of its verdict.
WORDS = {Answer.PASS: "MET", Answer.FAIL: "NOT MET", Answer.UNKNOWN: "PARTIAL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run of a criterion: its verdict, or why there is none (`failure`)."""

    folder: str = ""  # of the run, as it is shown; empty where there is none
    verdict: Verdict | None = None
    failure: str = ""


def judge(
    name: str, rows: Sequence[str], planned: int, played: Sequence[Played], skipped: str = ""
) -> Finding:
    """Answer for one criterion: PASS where each of `planned` runs was played and is PASS, by the
    findings named `rows` (all of them, where none is named); FAIL where one is FAIL, whatever else
    was not seen; else UNKNOWN, with the reason. `skipped` says why the rest was not played.
    """
    answers, whys = [], []
    for number, one in enumerate(played, 1):
        answer, why = _answer(one, rows)
        answers.append(answer)
        if answer is not Answer.PASS:
            whys.append(f"run {number}: {why}" if planned > 1 else why)
    if len(played) < planned:
        answers.append(Answer.UNKNOWN)
        whys.append(skipped or f"{planned - len(played)} of {planned} runs were not played")
    answer = worst(answers)
    kept = answers.count(Answer.PASS)
    first = next((why for of, why in zip(_bad(answers), whys, strict=True) if of is answer), "")
    return Finding(
        name=name,
        answer=answer,
        promised=_promised(rows, planned),
        measured=f"{kept} of {planned}" if planned > 1 else WORDS[answer],
        sentence=first,
        cause=Cause.NOT_MEASURED if answer is Answer.UNKNOWN else None,
    )


def _bad(answers: Sequence[Answer]) -> list[Answer]:
    return [one for one in answers if one is not Answer.PASS]


def _promised(rows: Sequence[str], planned: int) -> str:
    what = "PASS" if not rows else f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} PASS"
    return what if planned == 1 else f"{what}, {planned} times"


def _answer(played: Played, rows: Sequence[str]) -> tuple[Answer, str]:
    """The answer of one run, one of WORDS, and why it is not PASS."""
    if played.verdict is None:
        return Answer.UNKNOWN, played.failure or "it was not played"
    findings = played.verdict.findings
    if not rows:
        return played.verdict.answer, _why(played.verdict.answer, findings)
    answers, missing = [], []
    # Without that nobody knows which rows there were, and what they promised.
    rows = [*rows, *dict.fromkeys(one.name for one in findings if one.name == WHOLE)]
    for row in rows:
        mine = [one.answer for one in findings if one.name == row]
        # What is only measured, or was not asked, is no promise that was kept.
        answers += [one if one in WORDS else Answer.UNKNOWN for one in mine]
        if not mine:
            answers.append(Answer.UNKNOWN)
            missing.append(row)
    if missing and worst(answers) is not Answer.FAIL:
        return worst(answers), f"the run has no finding {missing[0]!r}"
    return worst(answers), _why(worst(answers), [one for one in findings if one.name in rows])


def _why(answer: Answer, findings: Sequence[Finding]) -> str:
    """Say the first finding that has the answer."""
    if answer is Answer.PASS:
        return ""
    one = next((one for one in findings if one.answer is answer), None)
    if one is None:
        return "nothing was promised, so nothing was judged"
    where = f" ({one.phase})" if one.phase else ""
    promise = f", {one.measured}, promised {one.promised}" if one.promised != "–" else ""
    return f"{one.name}{where}{promise}: {one.sentence}".rstrip(": ")
