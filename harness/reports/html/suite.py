"""The page of a suite: its parts beside each other, then the charts of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.checks.verdict import Finding, Verdict
from harness.reports import headline
from harness.reports.html import charts, findings, tables
from harness.reports.html.elements import Column, answer, escape, file_link, table
from harness.reports.series import bands, links, operations
from harness.reports.series.chart import Chart
from harness.reports.suite_part import SuitePart


def titles(parts: Sequence[SuitePart]) -> dict[str, str]:
    """Name the sections of a suite's parts."""
    return {_key(part): part.name for part in parts}


def _key(part: SuitePart) -> str:
    return f"part-{part.name}"


def sections(parts: Sequence[SuitePart], verdict: Verdict) -> dict[str, str]:
    """Write the sections of a suite."""
    made: dict[str, list[Chart]] = {}
    found: dict[str, str] = {}
    for part in parts:
        sent, spells = operations.sent(part.history), bands.bands(part.history)
        drawn, _ = charts.all_of(part.history, sent, part.verdict.findings)
        made[part.name] = drawn
        scene, prefix = charts.scene(part.history, spells), f"{_key(part)}-"
        figures = "".join(charts.figure(chart, scene, {}, prefix) for chart in drawn)
        found[_key(part)] = (
            f"{findings.total(part.verdict)}<p class=soft>its own page, by its own budget: "
            f"{file_link(f'{part.folder}/report.html')}</p>{charts.band_table(spells)}"
            f"{tables.operations(operations.summaries(part.history, sent))}"
            f"<div class=charts>{figures}</div>"
        )
    keys = {name: {chart.key for chart in drawn} for name, drawn in made.items()}

    def place(finding: Finding) -> str:
        name, _, phase = finding.phase.partition("/")
        key = links.chart_of(replace(finding, phase=phase))
        return f"part-{name}-{key}" if key in keys.get(name, ()) else ""

    found["parts"] = _parts(parts)
    found["verdict"] = findings.rows(verdict.findings, place, with_files=False)
    return found


def _parts(parts: Sequence[SuitePart]) -> str:
    columns = (Column("verdict"), Column("part"), Column("findings"), Column("why"))
    rows = (
        (
            answer(part.verdict.answer),
            f'<a href="#{escape(_key(part))}"><b>{escape(part.name)}</b></a>',
            escape(headline.counts(part.verdict)),
            escape(" ".join(headline.sentences(part.verdict))),
        )
        for part in parts
    )
    return table(columns, rows)
