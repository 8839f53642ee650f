"""Of a gate: its criteria, and the pages of the runs that were made for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checks.verdict import Verdict
from harness.reports import gate
from harness.reports.html.elements import Column, answer, escape, file_link, table

COLUMNS = tuple(map(Column, ("verdict", "criterion", "asked", "answer", "why", "runs")))


def section(facts: Mapping[str, Any], verdict: Verdict) -> str:
    """List the criteria; empty where it is no gate."""
    if "criteria" not in facts:
        return ""
    rows = (
        (
            answer(finding.answer),
            f"<b>{escape(finding.name)}</b>",
            escape(finding.promised),
            escape(gate.told(finding)),
            escape(finding.sentence),
            ", ".join(file_link(f"{one['folder']}/report.html") for one in runs if "folder" in one),
        )
        for finding, runs in zip(verdict.findings, facts["criteria"], strict=True)
    )
    return table(COLUMNS, rows)
