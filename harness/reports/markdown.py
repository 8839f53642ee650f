"""Markdown for a comment on a pull request: the answer, the rows that are not kept, and the others
folded away. At most MAX_CHARACTERS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.checks.verdict import Answer, Finding, Verdict
from harness.history.history import History
from harness.reports import headline
from harness.reports.suite_part import SuitePart

MAX_CHARACTERS = 60_000  # a comment has at most 65,536
MARKS = {
    Answer.PASS: "✅",
    Answer.FAIL: "❌",
    Answer.UNKNOWN: "❔",
    Answer.MEASURED: "▫️",
    Answer.NOT_ASKED: "➖",
}
# A backslash keeps no @name from being a mention; a space of no width does.
SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]<>#|~"}
    | {"\n": " ", "\r": " ", "&": "&amp;", "@": "@\N{ZERO WIDTH SPACE}"}
)
HEAD = "| | promise | phase | promised | measured | why |\n|---|---|---|--:|--:|---|\n"


def render(
    verdict: Verdict,
    facts: Mapping[str, Any],
    run: str,
    history: History | None = None,
    parts: Sequence[SuitePart] = (),
) -> str:
    """Write the comment."""
    unsealed, by = headline.unsealed(history, parts), headline.by_another(facts)
    said = (by, *headline.sentences(verdict), unsealed)
    lead = "".join(f"{escaped(one)}\n\n" for one in said if one)
    nodes, seed = f"{facts['other_system']} nodes on " if facts.get("other_system") else "", ""
    if facts["nodes"]:
        nodes = f"{len(facts['nodes'])} {facts['adapter']} nodes on "
        seed = f" · seed {facts['seed']}"
    text = (
        f"## {MARKS[verdict.answer]} {verdict.answer} · "
        f"{escaped(str(facts['name']))}\n\n{lead}"
        f"{headline.counts(verdict)} · {escaped(nodes + facts['runtime']['name'])}{seed} · "
        f"`{run.replace('`', '')}`\n"
    )
    bad = [
        finding for finding in verdict.findings if finding.answer in (Answer.FAIL, Answer.UNKNOWN)
    ]
    good = [
        finding
        for finding in verdict.findings
        if finding.answer not in (Answer.FAIL, Answer.UNKNOWN)
    ]
    if bad:
        text += f"\n{HEAD}{_rows(bad, MAX_CHARACTERS // 2)}"
    if good:
        text += (
            f"\n<details><summary>{len(good)} {_kept(good)}"
            f"</summary>\n\n{HEAD}{_rows(good, MAX_CHARACTERS // 2 - 1000)}\n</details>\n"
        )
    return text


def _kept(good: Sequence[Finding]) -> str:
    """Say what these are; that some were not asked is never folded away."""
    count = sum(one.answer is Answer.NOT_ASKED for one in good)
    return "kept or measured" if not count else f"kept, measured or not asked (these: {count})"


def _rows(findings: Sequence[Finding], room: int) -> str:
    """Write as many rows as there is room for, and the number of the others."""
    text = ""
    for number, finding in enumerate(findings):
        phase = finding.phase or "–"
        cells = (finding.name, phase, finding.promised, finding.measured, finding.sentence)
        row = f"| {MARKS[finding.answer]} | {' | '.join(map(escaped, cells))} |\n"
        if len(text) + len(row) > room:
            return text + f"| | … and {len(findings) - number} more | | | | |\n"
        text += row
    return text


def escaped(text: str) -> str:
    """Make a text harmless in Markdown, in a cell of a table too."""
    return text.translate(SPECIAL)
