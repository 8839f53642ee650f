"""The page of a search for the highest rate, or number of nodes: what is known, latency against it,
and the tries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from harness.checks.verdict import Answer
from harness.reports.html.elements import Column, answer, table
from harness.reports.svg.axes import Axes, log_scale
from harness.reports.svg.chart import CHARACTER, path
from harness.topology.quantities import number

WIDTH, HEIGHT, RIGHT, TOP, FLOOR = 520, 290, 14, 14, 236
ROWS = (FLOOR + 20, FLOOR + 40)  # of labels: two that would overlap stand one below the other
LINES = {"p50": "c0", "p99": "c1"}
# what is searched → its key in a try, what is behind a value, and the key of the interval's ends
SEARCHED = {"rate": ("rate_per_s", "/s", "per_s"), "number of nodes": ("nodes", " nodes", "nodes")}
Try = Mapping[str, Any]


def render(facts: Mapping[str, Any]) -> str:
    """Write the page of what saturation.json holds. Everything of it is escaped."""
    css = (resources.files("harness.reports.html") / "report.css").read_text()
    title = f"{facts['scenario']}: {facts['stream']} until {facts['until']}"
    searched = str(facts["searched"])
    tried = sorted(facts["tries"], key=lambda one: _at(facts, one))
    values = (Column(name, is_number=True) for name in LINES)
    heads = (Column(searched, is_number=True), Column("answer"), *values, Column("why"))
    return "".join(
        [
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport ",
            f"content='width=device-width, initial-scale=1'><title>{escape(title)}</title>",
            f"<style>{css}</style></head><body><main><header><h1>{escape(title)}</h1></header>",
            f"<p class=total>{escape(sentence(facts))}</p>",
            f"<h2>Latency in {escape(facts['unit'])} against {escape(searched)}</h2>",
            _curve(facts, tried) if tried else "<p>Nothing was tried.</p>",
            "<h2>Tries</h2>",
            table(heads, (_row(facts, one) for one in tried)),
            "</main></body></html>\n",
        ]
    )


def _at(facts: Mapping[str, Any], one: Try) -> float:
    return float(one[SEARCHED[facts["searched"]][0]])


def told(facts: Mapping[str, Any], one: Try) -> str:
    """Write what a try was of: its rate, or how many nodes."""
    return _told(facts, _at(facts, one))


def _told(facts: Mapping[str, Any], at: float) -> str:
    return f"{number(at, at)}{SEARCHED[facts['searched']][1]}"


def sentence(facts: Mapping[str, Any]) -> str:
    """Say what is known, and whether the search was cut short."""
    cut = "; the search was interrupted" if facts["interrupted"] else ""
    return f"{facts['sentence']}{cut}"


def _row(facts: Mapping[str, Any], one: Try) -> tuple[str, ...]:
    of = told(facts, one)
    if one["run"]:
        of = f"<a href='{escape(one['run'], quote=True)}/report.html'>{of}</a>"
    values = (_value(one, name, facts) for name in LINES)
    return (of, answer(Answer(one["answer"])), *values, escape(one["why"]))


def _value(one: Try, name: str, facts: Mapping[str, Any]) -> str:
    if name not in one["values"]:
        return "–"
    value = one["values"][name]
    return "∞" if value is None else f"{number(value, facts['bound'])} {escape(facts['unit'])}"


def _curve(facts: Mapping[str, Any], tried: Sequence[Try]) -> str:
    """Draw p50 and p99 against what is searched, both axes logarithmic; a ring where a try did not
    hold.
    """
    values = [one["values"].get(name) for one in tried for name in LINES]
    finite = [value for value in (*values, facts["bound"]) if value]
    low, high, ticks = log_scale(min(finite, default=1.0), max(finite, default=1.0))
    left = max(len(number(tick, tick)) for tick in ticks) * CHARACTER + 8
    y = Axes(
        left=left,
        right=WIDTH - RIGHT,
        top=TOP,
        floor=FLOOR,
        end_s=1.0,
        least=low,
        most=high,
        log=True,
    )
    ats = [_at(facts, one) for one in tried]
    x = _Across(min(ats), max(ats), left + 8, WIDTH - RIGHT - 8)
    label = escape(f"latency in {facts['unit']} against {facts['searched']}", quote=True)
    caption = (
        "p50 (a line), p99 (dashed), and the bound (in the colour of texts); a ring: did not hold, "
        "or is not known to. What never arrived (∞) has no point."
    )
    return "".join(
        [
            "<figure style='max-width:48rem'>",
            f"<svg class=chart viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{label}'>",
            *(_tick(tick, y) for tick in ticks),
            *_places(facts, ats, x),
            _bound(facts["bound"], y),
            *(_line(facts, tried, name, x, y) for name in LINES),
            f"</svg><figcaption>{caption}</figcaption></figure>",
        ]
    )


def _places(facts: Mapping[str, Any], ats: Sequence[float], x: _Across) -> Iterator[str]:
    """Name what was tried, the ends of the answer's interval first; others where there is room."""
    ends = SEARCHED[facts["searched"]][2]
    answers = [facts[key] for key in (f"holds_at_{ends}", f"fails_at_{ends}") if key in facts]
    taken: list[tuple[int, float, float]] = []
    for at in dict.fromkeys([*(one for one in answers if one in ats), min(ats), max(ats), *ats]):
        of = _told(facts, at)
        half = len(of) * CHARACTER / 2
        middle = min(max(x(at), half), WIDTH - half)
        row = next((row for row in ROWS if _is_free(taken, row, middle - half, middle + half)), 0)
        if row:
            taken.append((row, middle - half, middle + half))
            yield (
                f"<line class=grid x1='{x(at):.1f}' x2='{x(at):.1f}' y1='{TOP}' y2='{row - 14}'/>"
                f"<text class=tick x='{middle:.1f}' y='{row}' text-anchor=middle>{of}</text>"
            )


def _is_free(taken: Sequence[tuple[int, float, float]], row: int, begin: float, end: float) -> bool:
    return all(row != other or end < left or begin > right for other, left, right in taken)


def _tick(value: float, y: Axes) -> str:
    at = y.y(value)
    return (
        f"<line class=grid x1='{y.left:.1f}' x2='{y.right}' y1='{at:.1f}' y2='{at:.1f}'/>"
        f"<text class=tick x='{y.left - 5:.1f}' y='{at + 4:.1f}' text-anchor=end>"
        f"{number(value, value)}</text>"
    )


def _bound(bound: float, y: Axes) -> str:
    """Draw the bound; one of 0 has no place on a logarithmic axis."""
    if bound <= 0:
        return ""
    at = y.y(bound)
    return f"<line class=bound x1='{y.left:.1f}' x2='{y.right}' y1='{at:.1f}' y2='{at:.1f}'/>"


def _line(facts: Mapping[str, Any], tried: Sequence[Try], name: str, x: _Across, y: Axes) -> str:
    """Draw one statistic, with a gap at each try that has no point."""
    xs = np.array([x(_at(facts, one)) for one in tried])
    ys = y.ys(np.array([one["values"].get(name) or math.nan for one in tried]))
    marks = (
        f"<circle cx='{at:.1f}' cy='{value:.1f}' r='{3 if held else 5}' "
        f"fill='{'currentColor' if held else 'none'}' stroke='currentColor'/>"
        for at, value, held in zip(xs, ys, (one["answer"] == "PASS" for one in tried), strict=True)
        if math.isfinite(value)
    )
    return f"<path class='line {LINES[name]}' d='{path(xs, ys)}'/>" + "".join(marks)


class _Across:
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
