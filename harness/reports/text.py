"""The one-screen report: what ran, one line a finding, the answer, and the command that says it
again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from harness.checks.verdict import Answer, Finding, Verdict
from harness.reports import headline
from harness.reports.terminal import Plain, Terminal, plain

COLOURS = {
    Answer.PASS: "green",
    Answer.FAIL: "bold red",
    Answer.UNKNOWN: "yellow",
    Answer.MEASURED: "cyan",
    Answer.NOT_ASKED: "dim",
}
ORDER = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED, Answer.NOT_ASKED)
WIDTH_COLUMNS = 150  # where output is no terminal


def console() -> Terminal:
    """Return the console for reports: as wide as the terminal, or as a report is elsewhere."""
    return Terminal() if sys.stdout.isatty() else Terminal(width=WIDTH_COLUMNS)


def render(verdict: Verdict, facts: Mapping[str, Any], run: str) -> Group:
    """Lay the report out as a rich renderable."""
    return Group(
        plain(_what(facts)),
        Text(),
        findings(verdict),
        Text(),
        _total(verdict),
        Text.assemble(plain(f"run {run} · again: {headline.again(facts, run)}"), style="dim"),
    )


def findings(verdict: Verdict, most: int | None = None) -> RenderableType:
    """Lay the findings out as a table; of more than `most` those with the worst answers."""
    shown = list(verdict.findings)
    if most is not None and len(shown) > most:
        worst = sorted(shown, key=lambda one: ORDER.index(one.answer))[: max(most - 1, 1)]
        shown = [one for one in shown if one in worst]
    table = Plain(header_style="bold", expand=False)
    table.add_column("phase", no_wrap=True)
    table.add_column("promise", overflow="fold")
    table.add_column("promised", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    # Of a look at a terminal each finding has one line.
    table.add_column("why", overflow="fold" if most is None else "ellipsis", no_wrap=bool(most))
    for finding in shown:
        table.add_row(
            finding.phase or "–",
            finding.name,
            finding.promised,
            finding.measured,
            _answer(finding.answer),
            _why(finding),
        )
    left = len(verdict.findings) - len(shown)
    return Group(table, Text(f"… and {left} more", style="dim")) if left else table


def to_text(renderable: RenderableType) -> str:
    """Render as plain text, for files and pipes."""
    console = Terminal(width=WIDTH_COLUMNS, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def _what(facts: Mapping[str, Any]) -> str:
    """Say what was run on what; a suite and a bench have no nodes of their own, and no seed."""
    host, runtime = facts["host"], facts["runtime"]
    packed = (
        f", {runtime['nodes_per_container']} nodes a container"
        if int(runtime.get("nodes_per_container", 0)) > 1
        else ""
    )
    what = headline.nodes(facts, facts["topology"])
    said = [facts["name"], f"{what} on {runtime['name']}{packed}"]
    said += [f"seed {facts['seed']}"] if facts["nodes"] else []
    said += [of] if (of := headline.replay_of(facts)) else []
    return " · ".join([*said, f"{host['cores']} cores {host['cpu']}, kernel {host['kernel']}"])


def _answer(answer: Answer) -> Text:
    return Text(str(answer), style=COLOURS[answer])


def _why(finding: Finding) -> str:
    if finding.answer is Answer.PASS:
        return ""
    return f"{finding.cause}: {finding.sentence}" if finding.cause else finding.sentence


def _total(verdict: Verdict) -> Text:
    said = Text.assemble(_answer(verdict.answer), f"  {headline.counts(verdict)}")
    more = [plain(one) for one in headline.sentences(verdict)]
    return Text("\n").join([said, *more])
