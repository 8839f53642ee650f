"""One Markdown page of a gate: MET, NOT MET or PARTIAL, and the reason of each criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.checks.gate import WORDS
from harness.checks.verdict import Answer, Finding, Verdict
from harness.reports.markdown import MARKS, escaped

Runs = Sequence[Mapping[str, str]]  # {"folder": …} or {"failure": …}, as gate.json has them


def render(name: str, started: str, verdict: Verdict, runs: Sequence[tuple[str, Runs]]) -> str:
    """Write the page. `runs`: the runs of each criterion, in the order of the findings."""
    counts = verdict.counts()
    told = ", ".join(f"{counts[answer]} {word}" for answer, word in WORDS.items() if counts[answer])
    rows = "".join(map(_row, verdict.findings, (of for _, of in runs)))
    return (
        f"# {MARKS[verdict.answer]} {WORDS[verdict.answer]} · gate {escaped(name)}\n\n"
        f"{len(verdict.findings)} criteria: {told} · {started[:16].replace('T', ' ')} UTC\n\n"
        f"| | criterion | asked | answer | why | runs |\n|---|---|---|---|---|---|\n{rows}"
    )


def _row(finding: Finding, runs: Runs) -> str:
    links = " ".join(
        f"[{number}]({one['folder']}/report.html)"
        for number, one in enumerate(runs, 1)
        if "folder" in one
    )
    cells = (finding.name, finding.promised, told(finding), finding.sentence)
    return f"| {MARKS[finding.answer]} | {' | '.join(map(escaped, cells))} | {links} |\n"


def told(finding: Finding) -> str:
    """Say what a criterion came to: ``NOT MET (2 of 3)``."""
    word = WORDS.get(finding.answer, WORDS[Answer.UNKNOWN])
    return word if finding.measured == word else f"{word} ({finding.measured})"
