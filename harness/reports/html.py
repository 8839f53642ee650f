"""One HTML file that opens anywhere, offline: the verdict first, then what happened over time, and
what was run on what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.checks.verdict import Answer, Finding, Verdict
from harness.history.history import History
from harness.reports import headline, series, svg
from harness.reports.series import Chart, Spell

ORDER = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED)


def render(verdict: Verdict, facts: Mapping[str, Any], run: str, history: History | None) -> str:
    """Write the page. Without a history (a suite) it has no charts. Everything of the run is
    escaped.
    """
    assets = resources.files("harness.reports")
    title = f"{facts['name']} · {verdict.answer}"
    charts = series.charts(history) if history is not None else []
    parts = [
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
            "content='width=device-width, initial-scale=1'>"
        ),
        f"<title>{escape(title)}</title><style>{(assets / 'report.css').read_text()}</style>",
        "</head><body><main>",
        (
            f"<header><h1>{escape(str(facts['name']))}</h1><span "
            f"class=soft>{escape(_what(facts))}</span><button id=theme type=button>light / "
            "dark</button></header>"
        ),
        (
            f"<p class=total>{_answer(verdict.answer)} <span "
            f"class=soft>{escape(headline.counts(verdict))}</span></p>"
            f"<p>{escape(headline.why(verdict), quote=False)}</p>"
        ),
        _rows(verdict.findings),
    ]
    if charts and history is not None:
        end_s, begin_ns, spells = (
            series.end_s(history),
            series.begin_ns(history),
            series.spells(history),
        )
        parts.append("<h2>Over time</h2><div class=charts>")
        parts += [
            _figure(chart, svg.draw(chart, history.phases, spells, begin_ns, end_s), end_s)
            for chart in charts
        ]
        parts.append("</div>")
        parts.append(_faults(spells))
        parts.append(_worst(history))
    parts.append(_facts(facts, run))
    parts.append(f"</main><script>{(assets / 'report.js').read_text()}</script></body></html>\n")
    return "".join(parts)


def _what(facts: Mapping[str, Any]) -> str:
    nodes = (
        f"{len(facts['nodes'])} {facts['adapter']} nodes ({facts['topology']})"
        if facts["nodes"]
        else f"{facts['topology']}"
    )
    return (
        f"{nodes} on {facts['runtime']['name']} · "
        f"{str(facts.get('started', ''))[:16].replace('T', ' ')} UTC"
    )


def _answer(answer: Answer) -> str:
    return f'<span class="answer {answer}">{answer}</span>'


def _rows(findings: Sequence[Finding]) -> str:
    head = (
        "<div class=scroll><table class=rows><thead><tr><th>verdict<th>promise<th>phase<th "
        "class=number>promised<th class=number>measured<th>why</thead><tbody>"
    )
    return (
        head
        + "".join(
            _row(finding) for finding in sorted(findings, key=lambda one: ORDER.index(one.answer))
        )
        + "</tbody></table></div>"
    )


def _row(finding: Finding) -> str:
    why = f"{finding.cause}: {finding.sentence}" if finding.cause else finding.sentence
    name = escape(finding.name) + (
        f" <span class=soft title='{escape(finding.source, quote=True)}'>§</span>"
        if finding.source
        else ""
    )
    return (
        f"<tr><td class=verdict>{_answer(finding.answer)}<td class=name>{name}<td "
        f"class=phase>{escape(finding.phase or '–')}"
        f"<td class=number data-label=promised>{escape(finding.promised)}<td class=number "
        f"data-label=measured>{escape(finding.measured)}<td class=why>{escape(why)}</tr>"
    )


def _figure(chart: Chart, drawing: str, end_s: float) -> str:
    keys, colour = [], 0
    for line in chart.lines:
        if line.upper is not None:
            keys.append(f'<span class="key area">{escape(line.name)}</span>')
        else:
            keys.append(f'<span class="key c{colour}">{escape(line.name)}</span>')
            colour += 1
    data = {
        "at": _numbers(chart.at_s),
        "unit": chart.unit,
        "end": end_s,
        "width": svg.WIDTH,
        "left": svg.LEFT,
        "right": svg.RIGHT,
        "lines": [
            {
                "name": line.name,
                "values": _numbers(line.values),
                "upper": None if line.upper is None else _numbers(line.upper),
            }
            for line in chart.lines
        ],
    }
    unit = f" <span class=soft>{escape(chart.unit)}</span>" if chart.unit else ""
    note = f"<span class=note>{escape(chart.note)}</span>" if chart.note else ""
    return (
        "<figure "
        f"data-chart><figcaption><h3>{escape(chart.title)}{unit}</h3>{''.join(keys)}{note}</figcaption>{drawing}"
        f"<script type='application/json'>{_safe(data)}</script></figure>"
    )


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def _safe(value: object) -> str:
    """Write JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _faults(spells: Sequence[Spell]) -> str:
    if not spells:
        return ""
    rows = "".join(
        f"<tr><td class=name>{escape(spell.name)}<td>{escape(spell.does)}<td "
        f"class=number>{spell.from_s:.1f} – {spell.until_s:.1f} s<td "
        f"class=why>{escape(spell.shown)}</tr>"
        for spell in spells
    )
    head = "<tr><th>fault<th>what it does<th class=number>in force<th>what was seen of it"
    return (
        "<h2>Faults</h2><p>The bars on the foot of each chart.</p><div class=scroll><table "
        f"class=faults><thead>{head}</thead><tbody>{rows}</tbody></table></div>"
    )


def _worst(history: History) -> str:
    found = series.worst_nodes(history)
    if not found:
        return ""
    blocks = []
    for title, unit, nodes in found:
        listed = ", ".join(
            f"<b>{escape(name)}</b> {value:,.3g} {escape(unit)}".rstrip() for name, value in nodes
        )
        blocks.append(f"<div><dt>{escape(title)}</dt><dd>{listed}</dd></div>")
    return f"<h2>Worst nodes</h2><dl class=facts>{''.join(blocks)}</dl>"


def _workers(said: object) -> str:
    """Say how many load workers there were; a run that ended lists what each did."""
    count = len(said) if isinstance(said, list) else said
    return f"{count} workers" if count != 1 else "1 worker"


def _facts(facts: Mapping[str, Any], run: str) -> str:
    host, runtime = facts["host"], facts["runtime"]
    shown = {
        "host": f"{host['cores']} cores {host['cpu']}, {host.get('memory_bytes', 0) / 2**30:.0f} "
        "GiB",
        "kernel": f"{host['kernel']} ({host.get('machine', '?')})",
        "Python": host.get("python", "?"),
        "runtime": ", ".join(f"{key} {value}" for key, value in runtime.items()),
        "network": ", ".join(f"{key} {value}" for key, value in facts.get("network", {}).items()),
        "seed": facts["seed"],
        "load": f"{facts['load'].get('generator', '–')}, "
        f"{_workers(facts['load'].get('workers', 0))}",
        "versions": ", ".join(f"{key} {value}" for key, value in host.get("versions", {}).items()),
        "run folder": run,
        "again": f"harness judge {run}",
    }
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(str(value)) or '–'}</dd></div>"
        for key, value in shown.items()
    )
    return f"<h2>What was run on what</h2><dl class=facts>{rows}</dl>"
