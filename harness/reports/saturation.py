"""The page of a search for the highest rate, or number of nodes: what is known, latency against it,
and the tries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 960, 380, 70, 20, 16, 336
LINES = {"p50": "c0", "p99": "c1"}
# what is searched → its key in a try, and what is behind a value
SEARCHED = {"rate": ("rate_per_s", "/s"), "number of nodes": ("nodes", " nodes")}


def render(facts: Mapping[str, Any]) -> str:
    """Write the page of what saturation.json holds. Everything of it is escaped."""
    css = (resources.files("harness.reports.html") / "report.css").read_text()
    title = f"{facts['scenario']}: {facts['stream']} until {facts['until']}"
    searched = str(facts["searched"])
    tried = sorted(facts["tries"], key=lambda one: _at(facts, one))
    return "".join(
        [
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport ",
            f"content='width=device-width, initial-scale=1'><title>{escape(title)}</title>",
            f"<style>{css}</style></head><body><main><header><h1>{escape(title)}</h1></header>",
            f"<p class=total>{escape(facts['sentence'])}{_cut(facts)}</p>",
            f"<h2>Latency against {escape(searched)}</h2>",
            _curve(facts, tried) if tried else "<p>Nothing was tried.</p>",
            f"<h2>Tries</h2><table><thead><tr><th>{escape(searched)}</th><th>answer</th>",
            "<th>p50</th><th>p99</th><th>why</th></tr></thead><tbody>",
            *(_row(facts, one) for one in tried),
            "</tbody></table></main></body></html>\n",
        ]
    )


def _at(facts: Mapping[str, Any], one: Mapping[str, Any]) -> float:
    return float(one[SEARCHED[facts["searched"]][0]])


def told(facts: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Write what a try was of: its rate, or how many nodes."""
    return f"{_at(facts, one):,g}{SEARCHED[facts['searched']][1]}"


def _cut(facts: Mapping[str, Any]) -> str:
    return "; the search was interrupted" if facts["interrupted"] else ""


def _row(facts: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    of = told(facts, one)
    if one["run"]:
        of = f"<a href='{escape(one['run'], quote=True)}/report.html'>{of}</a>"
    cells = [
        of,
        escape(one["answer"]),
        *(_value(one, name, facts["unit"]) for name in LINES),
        escape(one["why"]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _value(one: Mapping[str, Any], name: str, unit: str) -> str:
    if name not in one["values"]:
        return "–"
    value = one["values"][name]
    return "∞" if value is None else f"{value:,.3g} {escape(unit)}"


def _curve(facts: Mapping[str, Any], tried: list[Mapping[str, Any]]) -> str:
    """Draw p50 and p99 against what is searched, both axes logarithmic; a ring where a try did not
    hold.
    """
    values = [one["values"].get(name) for one in tried for name in LINES]
    finite = [value for value in (*values, facts["bound"]) if value]
    low, high = min(finite, default=1.0), max(finite, default=1.0)
    places = {_at(facts, one): told(facts, one) for one in tried}
    x, y = _Axis(min(places), max(places), LEFT, WIDTH - RIGHT), _Axis(low, high, FLOOR, TOP)
    unit = escape(facts["unit"], quote=True)
    label = f"latency in {unit} against {escape(facts['searched'], quote=True)}"
    bound = f"<path d='M{LEFT} {y(facts['bound'] or low):.1f}H{WIDTH - RIGHT}'"
    caption = (
        "In colour p50 (a line) and p99 (dashed), in black the bound; a ring: did not hold, or is "
        "not known to. What never arrived (∞) has no point."
    )
    return "".join(
        [
            f"<figure><svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{label}'>",
            *(_place(at, of, x) for at, of in places.items()),
            *(_tick(value, unit, y) for value in _decades(low, high)),
            f"{bound} stroke='currentColor' stroke-dasharray='6 4'/>",
            *(_line(facts, tried, name, x, y) for name in LINES),
            f"</svg><figcaption>{caption}</figcaption></figure>",
        ]
    )


def _place(at: float, of: str, x: _Axis) -> str:
    return f"<text class=tick x='{x(at):.1f}' y='{HEIGHT - 22}' text-anchor=middle>{of}</text>"


def _tick(value: float, unit: str, y: _Axis) -> str:
    at = y(value)
    return (
        f"<line class=grid x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{at:.1f}' y2='{at:.1f}'/>"
        f"<text class=tick x='{LEFT - 6}' y='{at + 3.5:.1f}' text-anchor=end>"
        f"{value:,g} {unit}</text>"
    )


def _line(
    facts: Mapping[str, Any], tried: list[Mapping[str, Any]], name: str, x: _Axis, y: _Axis
) -> str:
    points = [
        (x(_at(facts, one)), y(one["values"][name]), one["answer"] == "PASS")
        for one in tried
        if one["values"].get(name)
    ]
    if not points:
        return ""
    path = "L".join(f"{at:.1f} {value:.1f}" for at, value, _ in points)
    marks = (
        f"<circle cx='{at:.1f}' cy='{value:.1f}' r='{3 if held else 5}' "
        f"fill='{'currentColor' if held else 'none'}' stroke='currentColor'/>"
        for at, value, held in points
    )
    return f"<path class='line {LINES[name]}' d='M{path}'/>" + "".join(marks)


class _Axis:
    """A logarithmic axis from one pixel to another."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._low, self._begin, self._end = low, begin, end
        self._span = math.log(high / low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        if not self._span:
            return (self._begin + self._end) / 2
        share = math.log(value / self._low) / self._span
        return self._begin + share * (self._end - self._begin)


def _decades(low: float, high: float) -> list[float]:
    """Return ticks of 1, 2 and 5 times powers of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [value for value in found if low <= value <= high]
