"""A chart as SVG text: lines and bands over time, phases behind them. Colours are classes of the
page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from harness.history.history import PhaseWindow
from harness.reports.series import Chart, Line, Spell

WIDTH, HEIGHT = 600, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 20, 26


def draw(
    chart: Chart,
    phases: Sequence[PhaseWindow],
    spells: Sequence[Spell],
    begin_ns: int,
    end_s: float,
) -> str:
    """The chart, drawn for a view of WIDTH × HEIGHT that scales; faults are bars on its foot."""
    top, ticks = scale(_most(chart))
    across = (WIDTH - LEFT - RIGHT) / max(end_s, 1e-9)
    up = (HEIGHT - TOP - BOTTOM) / top
    parts = [
        (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(chart.title, quote=True)}">'
        )
    ]
    for number, phase in enumerate(phases):
        x, width = LEFT + (phase.begin_ns - begin_ns) / 1e9 * across, phase.seconds * across
        parts.append(
            f'<rect class="phase p{number % 2}" x="{x:.1f}" y="{TOP}" '
            f'width="{max(width, 0):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
        if width > 6.2 * len(phase.name):
            parts.append(
                f'<text class="phase" x="{x + 4:.1f}" y="{TOP - 6}">{escape(phase.name)}</text>'
            )
    for spell in spells:
        x, width = LEFT + spell.from_s * across, (spell.until_s - spell.from_s) * across
        parts.append(
            f'<rect class="fault" x="{x:.1f}" y="{HEIGHT - BOTTOM}" width="{max(width, 1):.1f}" '
            f'height="5"><title>{escape(f"{spell.name}: {spell.does}")}</title></rect>'
        )
    for tick in ticks:
        y = HEIGHT - BOTTOM - tick * up
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" '
            f'text-anchor="end">{tick:,.10g}</text>'
        )
    parts += [
        f'<text class="tick" x="{LEFT + tick * across:.1f}" y="{HEIGHT - 8}" '
        f'text-anchor="middle">{tick:,.10g} s</text>'
        for tick in scale(end_s)[1]
        if tick <= end_s
    ]
    at = LEFT + chart.at_s * across
    colour = 0
    for line in chart.lines:
        if line.upper is not None:
            parts.append(_band(line, at, up))
        else:
            parts.append(
                f'<path class="line c{colour}" '
                f'd="{_path(at, HEIGHT - BOTTOM - line.values * up)}"/>'
            )
            colour += 1
    parts.append(f'<line class="cross" y1="{TOP}" y2="{HEIGHT - BOTTOM}" hidden=""/></svg>')
    return "".join(parts)


def scale(most: float) -> tuple[float, list[float]]:
    """The top of an axis that holds `most`, and its ticks: steps of 1, 2 or 5 times a power of
    ten.
    """
    most = most if math.isfinite(most) and most > 0 else 1.0
    rough = most / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = math.ceil(most / step * 0.999)
    return count * step, [round(number * step, 12) for number in range(count + 1)]


def _most(chart: Chart) -> float:
    values = [line.values if line.upper is None else line.upper for line in chart.lines]
    finite = [part[np.isfinite(part)] for part in values]
    return max((float(part.max()) for part in finite if len(part)), default=1.0)


def _path(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    """A path with a gap where a value is missing; a lone value is a short dash."""
    parts, is_drawing = [], False
    for number, (at, value) in enumerate(zip(x, y, strict=True)):
        if not np.isfinite(value):
            is_drawing = False
            continue
        parts.append(f"{'L' if is_drawing else 'M'}{at:.1f} {value:.1f}")
        follows = number + 1 < len(y) and np.isfinite(y[number + 1])
        if not is_drawing and not follows:
            parts.append("h2")
        is_drawing = True
    return "".join(parts)


def _band(line: Line, x: npt.NDArray[np.float64], up: float) -> str:
    assert line.upper is not None
    floor = HEIGHT - BOTTOM
    there = np.isfinite(line.values) & np.isfinite(line.upper)
    points = [
        f"{at:.1f},{floor - value * up:.1f}"
        for at, value in zip(x[there], line.upper[there], strict=True)
    ]
    points += [
        f"{at:.1f},{floor - value * up:.1f}"
        for at, value in zip(x[there][::-1], line.values[there][::-1], strict=True)
    ]
    return f'<polygon class="band" points="{" ".join(points)}"/>'
