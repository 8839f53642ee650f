"""One HTML file that opens anywhere, offline: the verdict first, then what happened over time, and
what was run on what. Everything that a run says is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checks.verdict import Finding, Verdict
from harness.history.history import History
from harness.reports import headline
from harness.reports.html import (
    charts,
    findings,
    gate,
    nodes,
    page,
    phases,
    profiles,
    replay,
    suite,
    tables,
)
from harness.reports.html.elements import note, section
from harness.reports.series import bands, errors, graph, links, operations
from harness.reports.suite_part import SuitePart

FIRST = {"verdict": "Verdict", "replay": "Replay", "parts": "Parts", "criteria": "Criteria"}
TITLES = {
    "phases": "Phases",
    "bands": "Faults and conditions",
    "operations": "Operations",
    "errors": "Errors",
    "charts": "Over time",
    "nodes": "Nodes",
    "profiles": "Profiles",
    "facts": "What was run on what",
}


def render(
    verdict: Verdict,
    facts: Mapping[str, Any],
    run: str,
    history: History | None = None,
    parts: Sequence[SuitePart] = (),
) -> str:
    """Write the page of a run. A suite has no history, and `parts`: its page has their charts."""
    sections = {"facts": tables.facts(facts, run), "replay": replay.section(facts, run)}
    if history is not None:
        sections |= _of_run(history, facts, verdict)
    elif parts:
        sections |= suite.sections(parts, verdict)
    elif criteria := gate.section(facts, verdict):
        sections["criteria"] = criteria
    else:
        sections["verdict"] = findings.rows(verdict.findings, lambda _: "", with_files=False)
    titles = {**FIRST, **suite.titles(parts), **TITLES}
    order = [key for key in titles if sections.get(key)]
    return page.page(
        f"{facts['name']} · {verdict.answer}",
        [
            page.header(facts),
            findings.total(verdict),
            note(headline.unsealed(history, parts)),
            page.contents([(key, titles[key]) for key in order]),
            *(section(key, titles[key], sections[key]) for key in order),
        ],
    )


def _of_run(history: History, facts: Mapping[str, Any], verdict: Verdict) -> dict[str, str]:
    """Write the sections of one run."""
    sent, found = operations.sent(history), bands.bands(history)
    drawn, series = charts.all_of(history, sent, verdict.findings)
    about, scene = findings.by_chart(verdict.findings), charts.scene(history, found)
    tabled = {"phases": phases.listed(history), "bands": charts.band_table(found)}
    anchors = {chart.key for chart in drawn} | {key for key, table in tabled.items() if table}

    def place(one: Finding) -> str:
        key = links.chart_of(one)
        return key if key in anchors else ""

    regions = tables.regions(facts["nodes"])
    regions = regions if len(regions) == len(history.nodes) else ["nodes"] * len(history.nodes)
    return {
        "verdict": findings.rows(verdict.findings, place, with_files=True),
        **tabled,
        "operations": tables.operations(operations.summaries(history, sent)),
        "errors": tables.errors(errors.errors(history)),
        "charts": grid(charts.figure(chart, scene, about) for chart in drawn)
        or note(charts.TOO_LONG),
        "nodes": grid([nodes.pictures(graph.graphs(history, regions))], "charts pictures")
        + nodes.panel(history, series)
        + nodes.worst(series, history.nodes),
        "profiles": profiles.listed(history),
    }


def grid(figures: Iterable[str], look: str = "charts") -> str:
    """Put figures side by side where there is room; empty without any."""
    inside = "".join(figures)
    return f'<div class="{look}">{inside}</div>' if inside else ""
