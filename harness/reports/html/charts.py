"""Figures: a chart, its key, its numbers for the page's script, and what leads on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.checks.verdict import Finding
from harness.history.history import History
from harness.reports.html.elements import Column, escape, files, safe_json, table
from harness.reports.html.findings import back
from harness.reports.series import clock, links, operations, resources, told
from harness.reports.series.bands import NAMES, Band
from harness.reports.series.chart import Chart, thin
from harness.reports.svg import chart as drawing
from harness.reports.svg.chart import Scene

TOO_LONG = (
    "There are no charts: the run has no time in which it was played, or is too long for them."
)


def all_of(
    history: History, sent: Sequence[operations.Sent], findings: Sequence[Finding]
) -> tuple[list[Chart], list[resources.NodeSeries]]:
    """Compute every chart of a run, bounds included, as small as a page shows it, and the series of
    its nodes; charts without any value are left out.
    """
    if not clock.is_drawable(history):
        return [], []
    of_nodes, series = resources.of_nodes(history)
    of_metrics, more = told.of_nodes(history, findings)
    made = [*operations.charts(history, sent), *of_nodes, *of_metrics, resources.host(history)]
    drawn = [thin(one) for one in made if not one.is_empty]
    return links.with_bounds(history, drawn, findings), [*series, *more]


def scene(history: History, bands: Sequence[Band]) -> Scene:
    """Tell what all charts of a run share."""
    return Scene(
        phases=history.phases,
        bands=[band for band in bands if band.is_drawn],
        begin_ns=clock.begin_ns(history),
        end_s=clock.end_s(history),
    )


def figure(
    chart: Chart, of: Scene, findings: Mapping[str, Sequence[tuple[int, Finding]]], prefix: str = ""
) -> str:
    """Lay one chart out; `findings` are those that each chart is about, with their numbers."""
    unit = f" <span class=soft>{escape(chart.unit)}</span>" if chart.unit else ""
    scaled = " <span class=soft>· logarithmic</span>" if chart.log else ""
    notes = [one for one in (chart.note, _smaller(chart)) if one]
    note = f"<span class=note>{escape('. '.join(notes))}</span>" if notes else ""
    mine = back(findings.get(chart.key, ()), prefix)
    from_ = f"data: {files(chart.data)}" if chart.data and not prefix else ""
    foot = " · ".join(part for part in (mine, from_) if part)
    return (
        f'<figure data-chart id="{escape(prefix + chart.key)}"><figcaption>'
        f"<h3>{escape(chart.title)}{unit}{scaled}</h3>{_keys(chart)}{note}</figcaption>"
        f"{drawing.draw(chart, of)}<p class=foot>{foot}</p>"
        f"<script type='application/json'>{safe_json(_data(chart, of))}</script></figure>"
    )


def _smaller(chart: Chart) -> str:
    """Say how the chart was made smaller; empty where each of its seconds is drawn."""
    if chart.seconds <= 1:
        return ""
    how = "the mean" if chart.stacked else "the lowest and the highest value"
    return f"Drawn: {how} of each {chart.seconds:g} s"


def _keys(chart: Chart) -> str:
    keys, colour = [], 0
    for line in chart.lines:
        look = "area" if line.upper is not None else line.look or f"c{colour % 7}"
        filled = " fill" if chart.stacked else ""
        keys.append(f'<span class="key {escape(look)}{filled}">{escape(line.name)}</span>')
        colour += line.upper is None
    if chart.marks:
        keys.append('<span class="key bad fill">some took for ever (∞)</span>')
    if chart.bounds:
        keys.append('<span class="key bound">promised</span>')
    return "".join(keys)


def _data(chart: Chart, of: Scene) -> dict[str, Any]:
    is_thin = chart.seconds > 1 and not chart.stacked
    return {
        "at": numbers(chart.at_s),
        "unit": chart.unit,
        "end": of.end_s,
        "pair": is_thin,
        "marks": [[one.from_s, one.until_s, one.says] for one in chart.marks],
        "lines": [
            {
                "name": line.name,
                "values": numbers(line.values),
                "upper": None if line.upper is None else numbers(line.upper),
            }
            for line in chart.lines
        ],
    }


def numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Write numbers short: with four digits, or all of those before the point; null where nothing
    was measured.
    """
    return [_short(value) if np.isfinite(value) else None for value in values.tolist()]


def _short(value: float) -> float:
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def band_table(bands: Sequence[Band]) -> str:
    """List what was in force and what did not run, with the key of the colours; empty without
    any.
    """
    if not bands:
        return ""
    kinds = [kind for kind in NAMES if any(band.kind == kind for band in bands)]
    keys = "".join(
        f'<span class="key fill k-{kind}">{escape(NAMES[kind])}</span>' for kind in kinds
    )
    columns = (
        Column("what"),
        Column("what it does"),
        Column("from – until", is_number=True),
        Column("what was seen of it"),
    )
    rows = (
        (
            f'<span class="swatch k-{escape(band.kind)}"></span>{escape(band.name)}',
            escape(band.does),
            f"{band.from_s:.1f} – {band.until_s:.1f} s",
            escape(band.shown),
        )
        for band in bands
    )
    return f"<p class=keys>{keys}</p>{table(columns, rows, 'bands')}"
