"""A chart as SVG text: lines and bands over time, phases behind them. Colours are classes of the
page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from harness.history.history import PhaseWindow
from harness.reports.series import Chart, Line, Spell

WIDTH, HEIGHT = 600, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 20, 26
FLOOR = HEIGHT - BOTTOM
CHARACTER_WIDTH = 6.2  # of a phase's name


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where seconds and values lie in the view."""

    across: float  # units of the view a second
    up: float  # units of the view a unit of the value

    def x(self, at_s: float) -> float:
        return LEFT + at_s * self.across

    def y(self, value: float) -> float:
        return FLOOR - value * self.up


def draw(
    chart: Chart,
    phases: Sequence[PhaseWindow],
    spells: Sequence[Spell],
    begin_ns: int,
    end_s: float,
) -> str:
    """Draw the chart for a view of WIDTH × HEIGHT that scales. Faults are bars on its foot; times
    are seconds after `begin_ns`.
    """
    top, ticks = scale(_most(chart))
    axes = _Axes((WIDTH - LEFT - RIGHT) / max(end_s, 1e-9), (FLOOR - TOP) / top)
    parts = [
        (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(chart.title, quote=True)}">'
        ),
        *_phases(phases, begin_ns, axes),
        *(_spell(spell, axes) for spell in spells),
        *(_tick(tick, axes) for tick in ticks),
        *(_second(tick, axes) for tick in scale(end_s)[1] if tick <= end_s),
        *_lines(chart, axes),
        f'<line class="cross" y1="{TOP}" y2="{FLOOR}" hidden=""/></svg>',
    ]
    return "".join(parts)


def _phases(phases: Sequence[PhaseWindow], begin_ns: int, axes: _Axes) -> Iterator[str]:
    """Draw each phase as a ground, in two shades by turns, with its name where there is room."""
    for number, phase in enumerate(phases):
        x, width = axes.x((phase.begin_ns - begin_ns) / 1e9), phase.seconds * axes.across
        yield (
            f'<rect class="phase p{number % 2}" x="{x:.1f}" y="{TOP}" '
            f'width="{max(width, 0):.1f}" height="{FLOOR - TOP}"/>'
        )
        if width > CHARACTER_WIDTH * len(phase.name):
            yield f'<text class="phase" x="{x + 4:.1f}" y="{TOP - 6}">{escape(phase.name)}</text>'


def _spell(spell: Spell, axes: _Axes) -> str:
    width = (spell.until_s - spell.from_s) * axes.across
    return (
        f'<rect class="fault" x="{axes.x(spell.from_s):.1f}" y="{FLOOR}" '
        f'width="{max(width, 1):.1f}" height="5">'
        f"<title>{escape(f'{spell.name}: {spell.does}')}</title></rect>"
    )


def _tick(value: float, axes: _Axes) -> str:
    y = axes.y(value)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" '
        f'text-anchor="end">{value:,.10g}</text>'
    )


def _second(at_s: float, axes: _Axes) -> str:
    return (
        f'<text class="tick" x="{axes.x(at_s):.1f}" y="{HEIGHT - 8}" '
        f'text-anchor="middle">{at_s:,.10g} s</text>'
    )


def _lines(chart: Chart, axes: _Axes) -> Iterator[str]:
    """Draw each line of the chart, as a band where it has an upper bound; bands take no colour."""
    at = LEFT + chart.at_s * axes.across
    colour = 0
    for line in chart.lines:
        if line.upper is not None:
            yield _band(line, at, axes.up)
        else:
            yield f'<path class="line c{colour}" d="{_path(at, FLOOR - line.values * axes.up)}"/>'
            colour += 1


def scale(most: float) -> tuple[float, list[float]]:
    """Choose the top of an axis that holds `most`, and its ticks: steps of 1, 2 or 5 times a power
    of ten.
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
    """Write a path with a gap where a value is missing; a lone value is a short dash."""
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
    there = np.isfinite(line.values) & np.isfinite(line.upper)
    points = [
        f"{at:.1f},{FLOOR - value * up:.1f}"
        for at, value in zip(x[there], line.upper[there], strict=True)
    ]
    points += [
        f"{at:.1f},{FLOOR - value * up:.1f}"
        for at, value in zip(x[there][::-1], line.values[there][::-1], strict=True)
    ]
    return f'<polygon class="band" points="{" ".join(points)}"/>'
