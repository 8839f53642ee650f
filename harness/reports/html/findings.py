"""The verdict: its headline, and a row for each finding, which leads to its chart and its file and
is led back to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.checks.verdict import Answer, Finding, Verdict
from harness.reports import headline
from harness.reports.html.elements import Column, answer, escape, files, mark, table
from harness.reports.series import links

ORDER = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED, Answer.NOT_ASKED)
COLUMNS = (
    Column("verdict"),
    Column("promise"),
    Column("phase"),
    Column("promised", is_number=True),
    Column("measured", is_number=True),
    Column("why"),
)
NAMED_MOST = 6  # findings that a chart leads back to
Numbered = tuple[int, Finding]


def ordered(findings: Sequence[Finding]) -> list[Numbered]:
    """Number findings in their own order, and put the worst first."""
    numbered = list(enumerate(findings, 1))
    return sorted(numbered, key=lambda one: ORDER.index(one[1].answer))


def by_chart(findings: Sequence[Finding]) -> dict[str, list[Numbered]]:
    """Find for each chart the findings that are about it, the worst first."""
    found: dict[str, list[Numbered]] = {}
    for number, finding in ordered(findings):
        key = links.chart_of(finding)
        if key:
            found.setdefault(key, []).append((number, finding))
    return found


def total(verdict: Verdict) -> str:
    """Show the answer, and in a sentence why it is not PASS."""
    told = "".join(f"<p class=why>{escape(one)}</p>" for one in headline.sentences(verdict))
    return (
        f"<p class=total>{answer(verdict.answer)} "
        f"<span class=soft>{escape(headline.counts(verdict))}</span></p>{told}"
    )


def rows(findings: Sequence[Finding], place: Callable[[Finding], str], with_files: bool) -> str:
    """List the findings, the worst first. `place` finds the anchor of a finding's chart, empty
    where the page has none; `with_files`: the page lies beside the files of its run.
    """
    listed = (_row(number, one, place(one), with_files) for number, one in ordered(findings))
    return table(COLUMNS, listed, "rows")


def _row(number: int, finding: Finding, anchor: str, with_files: bool) -> tuple[str, ...]:
    why = f"{finding.cause}: {finding.sentence}" if finding.cause else finding.sentence
    name = f'<b id="f{number}">{escape(finding.name)}</b>'
    if finding.source:
        name += f' <span class=soft title="{escape(finding.source)}">§</span>'
    near = "" if links.is_drawn(finding) else " (of another quantity)"
    what = "table" if anchor in links.TABLES else "chart"
    onward = [f'<a href="#{escape(anchor)}">{what}</a>{near}'] if anchor else []
    if with_files and (data := links.files_of(finding)):
        onward.append(files(data))
    return (
        answer(finding.answer),
        name,
        escape(finding.phase or "–"),
        escape(finding.promised),
        escape(finding.measured),
        f"{escape(why)} <span class=onward>{' · '.join(onward)}</span>",
    )


def back(findings: Sequence[Numbered], prefix: str = "") -> str:
    """Lead from a chart to the findings that are about it."""
    if prefix:
        return ""
    named = ", ".join(
        f'<a class="{mark(finding.answer)}" href="#f{number}">{escape(finding.name)}</a>'
        f"{'' if links.is_drawn(finding) else ' (not of this chart)'}"
        for number, finding in findings[:NAMED_MOST]
    )
    more = f" and {len(findings) - NAMED_MOST} more" if len(findings) > NAMED_MOST else ""
    return f"findings: {named}{more}" if named else ""
