"""Of a gate: its criteria, and the pages of the runs that were made for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from harness.checks.verdict import Verdict
from harness.reports import gate
from harness.reports.html.elements import Column, escape, mark, table

COLUMNS = tuple(map(Column, ("answer", "criterion", "asked", "why", "runs")))


def section(facts: Mapping[str, Any], verdict: Verdict) -> str:
    """List the criteria; empty where it is no gate."""
    if "criteria" not in facts:
        return ""
    rows = (
        (
            f'<span class="answer {mark(finding.answer)}">{escape(gate.told(finding))}</span>',
            f"<b>{escape(finding.name)}</b>",
            escape(finding.promised),
            escape(finding.sentence),
            ", ".join(_run(number, one) for number, one in enumerate(runs, 1)),
        )
        for finding, runs in zip(verdict.findings, facts["criteria"], strict=True)
    )
    return table(COLUMNS, rows)


def _run(number: int, said: Mapping[str, str]) -> str:
    """Link the page of a run; one that broke has none."""
    if "folder" not in said:
        return f"run {number} broke"
    return f'<a href="{escape(quote(said["folder"]))}/report.html">run {number}</a>'
